"""Detections to markers for RViz."""

from __future__ import annotations

from collections.abc import Iterable

from rclpy.duration import Duration
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from dope_ros2.geometry import cuboid
from dope_ros2.nodes.messages.detections import box_pose, numbered
from dope_ros2.nodes.messages.geometry import point_to_msg, pose_to_msg, vector_to_msg
from dope_ros2.nodes.messages.objects import mesh_uri
from dope_ros2.objects.detection import Detection
from dope_ros2.objects.object_model import UNITS, ObjectModel

COASTING_ALPHA = 0.4  # of what is not detected in this image, as a factor


class Markers:
    """Makes the markers of detections and remembers which stand in the viewer, to delete those gone stale."""

    def __init__(self, models: Iterable[ObjectModel], prefix: str = "") -> None:
        self._prefix = prefix
        self._shown: set[tuple[str, int]] = set()
        self._header = Header()
        self.know(models)

    def know(self, models: Iterable[ObjectModel]) -> None:
        """Other objects from now on; what stands in the viewer goes with the next image."""
        self._meshes = {model.name: mesh_uri(model) for model in models}

    def __call__(self, detections: Iterable[Detection], header: Header, lifetime: float = 0.0) -> MarkerArray:
        """Edges, translucent box, label and mesh of each, fainter and without the mesh where it is coasting.

        Args:
            detections: of one image.
            header: that image's.
            lifetime: after so long a viewer removes them by itself [s]; 0: never.

        Returns:
            Markers: namespace = prefix and class, ids stable per number of the class; with those to delete.
        """
        self._header = header
        markers = [marker for detection, n in numbered(detections) for marker in self._of(detection, n, header)]
        for marker in markers:
            marker.lifetime = Duration(seconds=lifetime).to_msg()
        shown = {(marker.ns, marker.id) for marker in markers}
        stale = [
            Marker(header=header, ns=ns, id=number, action=Marker.DELETE) for ns, number in sorted(self._shown - shown)
        ]
        self._shown = shown
        return MarkerArray(markers=stale + markers)

    def delete(self) -> MarkerArray:
        """What removes all that stand in the viewer."""
        return self((), self._header)

    def _of(self, detection: Detection, number: int, header: Header) -> list[Marker]:
        model, box, ns = detection.model, box_pose(detection), self._prefix + detection.model.name
        coasting = detection.unseen_for > 0
        alpha = COASTING_ALPHA if coasting else 1.0
        edges = Marker(type=Marker.LINE_LIST, pose=pose_to_msg(detection.pose), color=_color(model, alpha))
        edges.points = [point_to_msg(model.keypoints[corner]) for edge in cuboid.EDGES for corner in edge]
        edges.scale.x = 0.02 * model.diameter
        solid = Marker(
            type=Marker.CUBE, pose=pose_to_msg(box), scale=vector_to_msg(model.size), color=_color(model, 0.25 * alpha)
        )
        label = Marker(type=Marker.TEXT_VIEW_FACING, pose=pose_to_msg(box), color=_color(model, alpha))
        label.text = f"{model.name} {detection.score:.2f}" + " coasting" * coasting
        label.scale.z = 0.2 * model.diameter
        label.pose.position.y -= 0.6 * model.diameter  # above it: y points down
        markers = [edges, solid, label]
        uri = self._meshes.get(model.name)
        if uri and not coasting:  # a colour of zeros leaves the mesh its own materials, so it cannot be made fainter
            scale = vector_to_msg([UNITS[model.mesh_unit]] * 3)
            mesh = Marker(type=Marker.MESH_RESOURCE, pose=pose_to_msg(detection.pose), scale=scale, mesh_resource=uri)
            mesh.mesh_use_embedded_materials = True
            markers.append(mesh)
        for kind, marker in enumerate(markers):
            marker.header, marker.ns, marker.id = header, ns, 4 * number + kind
        return markers


def _color(model: ObjectModel, alpha: float) -> ColorRGBA:
    r, g, b = (value / 255 for value in model.color)
    return ColorRGBA(r=r, g=g, b=b, a=alpha)
