"""The only file where ROS messages meet arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from builtin_interfaces.msg import Duration, Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from dope_msgs.msg import ObjectInfo, ObjectInfoArray
from geometry_msgs.msg import Point, PoseArray, PoseStamped, Quaternion, Transform, TransformStamped, Vector3
from geometry_msgs.msg import Pose as PoseMsg
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import ColorRGBA, Header
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection3D, Detection3DArray, ObjectHypothesisWithPose
from visualization_msgs.msg import Marker, MarkerArray

from dope_ros2.common.errors import UserError
from dope_ros2.evaluation.matching import Instance
from dope_ros2.geometry import cuboid
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.io import image_encodings
from dope_ros2.objects.detection import Detection
from dope_ros2.objects.object_model import UNITS, ObjectModel
from dope_ros2.pipeline.diagnostics import Condition, Level


def image_to_array(msg: Image | CompressedImage, topic: str = "image") -> np.ndarray:
    """The picture as (H, W, 3) uint8 RGB; a view of the message for unpadded rgb8. See `pixels.decode`."""
    if isinstance(msg, CompressedImage):
        return image_encodings.decompress(msg.data, topic)
    big = bool(msg.is_bigendian)
    return image_encodings.decode(msg.data, msg.encoding, msg.width, msg.height, msg.step, big_endian=big, where=topic)


def depth_to_array(msg: Image, topic: str = "depth") -> np.ndarray:
    """The depths as (H, W) float32 [m]. See `pixels.decode_depth`."""
    big = bool(msg.is_bigendian)
    return image_encodings.decode_depth(
        msg.data, msg.encoding, msg.width, msg.height, msg.step, big_endian=big, where=topic
    )


def array_to_image(rgb: np.ndarray, header: Header) -> Image:
    """Fill an rgb8 message from an (H, W, 3) uint8 array with a single copy."""
    height, width, channels = rgb.shape
    msg = Image(header=header, height=height, width=width, encoding="rgb8", step=width * channels)
    msg.data.frombytes(np.ascontiguousarray(rgb).data)  # assigning the array would copy it number by number
    return msg


def camera_to_info(camera: CameraModel, header: Header) -> CameraInfo:
    """Describe a camera: K, distortion, R = identity, P = [K | 0]."""
    msg = CameraInfo(header=header, width=camera.width, height=camera.height)
    msg.distortion_model = "rational_polynomial" if len(camera.distortion) == 8 else "plumb_bob"
    msg.d = [float(value) for value in camera.distortion] or [0.0] * 5
    msg.k, msg.r = camera.K.ravel().tolist(), np.eye(3).ravel().tolist()
    msg.p = np.column_stack([camera.K, np.zeros(3)]).ravel().tolist()
    return msg


def _point(xyz: Sequence[float]) -> Point:
    return Point(x=float(xyz[0]), y=float(xyz[1]), z=float(xyz[2]))


def _vector(xyz: Sequence[float]) -> Vector3:
    return Vector3(x=float(xyz[0]), y=float(xyz[1]), z=float(xyz[2]))


def _quaternion(pose: Pose) -> Quaternion:
    x, y, z, w = (float(value) for value in pose.quaternion)
    return Quaternion(x=x, y=y, z=z, w=w)


def _pose(pose: Pose) -> PoseMsg:
    return PoseMsg(position=_point(pose.translation), orientation=_quaternion(pose))


def _transform(pose: Pose) -> Transform:
    return Transform(translation=_vector(pose.translation), rotation=_quaternion(pose))


def transform_to_pose(msg: Transform) -> Pose:
    """The pose of a transform: T_parent_child."""
    q, t = msg.rotation, msg.translation
    return Pose.from_quaternion(np.array([q.x, q.y, q.z, q.w]), np.array([t.x, t.y, t.z]))


def _box(detection: Detection) -> Pose:
    """The pose of the box's centre, whose axes are the object's."""
    return Pose(detection.pose.rotation, detection.pose.apply(detection.model.centre))


def seconds(stamp: Time | Duration) -> float:
    """A stamp or a duration as a number [s]."""
    return stamp.sec + 1e-9 * stamp.nanosec


def box_to_msg(detection: Detection, header: Header) -> PoseStamped:
    """The pose of the box's centre."""
    return PoseStamped(header=header, pose=_pose(_box(detection)))


def detections_to_msg(detections: Iterable[Detection], header: Header) -> Detection3DArray:
    """Hypothesis: name, score, pose of the mesh's origin with covariance. Box: pose of its centre, size. Id: track."""
    return Detection3DArray(header=header, detections=[_detection(d, header) for d in detections])


def _detection(detection: Detection, header: Header) -> Detection3D:
    msg = Detection3D(header=header, id=detection.track)
    result = ObjectHypothesisWithPose()
    result.hypothesis.class_id = detection.model.name
    result.hypothesis.score = float(detection.score)
    result.pose.pose = _pose(detection.pose)
    result.pose.covariance = np.asarray(detection.covariance, float).ravel().tolist()
    msg.results = [result]
    msg.bbox.center, msg.bbox.size = _pose(_box(detection)), _vector(detection.model.size)
    return msg


def msg_to_instances(msg: Detection3DArray) -> list[Instance]:
    """The detections of a message by their first hypothesis; those without one are left out."""
    return [_instance(detection) for detection in msg.detections if detection.results]


def _instance(msg: Detection3D) -> Instance:
    best = msg.results[0]
    p, q, c = best.pose.pose.position, best.pose.pose.orientation, msg.bbox.center.position
    pose = Pose.from_quaternion(np.array([q.x, q.y, q.z, q.w]), np.array([p.x, p.y, p.z]))
    return Instance(best.hypothesis.class_id, best.hypothesis.score, pose, np.array([c.x, c.y, c.z]))


def msg_to_detections(msg: Detection3DArray, models: Mapping[str, ObjectModel]) -> list[Detection]:
    """The detections of a message by their first hypothesis, without keypoints; `models` are known by name.

    Raises:
        UserError: an object that is not known has no usable name or size.
    """
    return [_detected(detection, models) for detection in msg.detections if detection.results]


def _detected(msg: Detection3D, models: Mapping[str, ObjectModel]) -> Detection:
    instance, size = _instance(msg), msg.bbox.size
    model = models.get(instance.name) or ObjectModel(
        name=instance.name,
        class_id=1,
        size=(size.x, size.y, size.z),
        centre=tuple(instance.pose.inverse().apply(instance.centre)),
    )
    covariance = np.reshape(msg.results[0].pose.covariance, (6, 6))
    return Detection(model, instance.score, instance.pose, covariance, np.full((9, 2), np.nan), np.nan, track=msg.id)


def poses_to_msg(detections: Iterable[Detection], header: Header) -> PoseArray:
    """Only the poses of the mesh's origins, in the order of the detections."""
    return PoseArray(header=header, poses=[_pose(d.pose) for d in detections])


def numbered(detections: Iterable[Detection]) -> list[tuple[Detection, int]]:
    """The detections with their tracks' numbers; without tracks those of each class from 0, the best first."""
    counts: dict[str, int] = {}
    result = []
    for detection in sorted(detections, key=lambda d: -d.score):
        number = counts[detection.model.name] = counts.get(detection.model.name, -1) + 1
        result.append((detection, int(detection.track.rpartition("_")[2]) if detection.track else number))
    return result


def transforms_to_msg(detections: Iterable[Detection], header: Header, prefix: str = "") -> TFMessage:
    """One transform camera -> `<prefix><class>_<n>` for each detection, n as `numbered` says."""
    return TFMessage(
        transforms=[
            TransformStamped(header=header, child_frame_id=f"{prefix}{d.model.name}_{n}", transform=_transform(d.pose))
            for d, n in numbered(detections)
        ]
    )


def mesh_uri(model: ObjectModel) -> str:
    """package:// URI as it stands in objects.yaml, else file:// URI; empty when there is no such file."""
    try:
        path = model.mesh_path
    except UserError:
        return ""
    return model.mesh if model.mesh.startswith("package://") else path.resolve().as_uri()


def objects_to_msg(models: Iterable[ObjectModel], header: Header) -> ObjectInfoArray:
    """What is known about the objects, for the latched topic."""
    return ObjectInfoArray(header=header, objects=[_object(model) for model in models])


def _object(model: ObjectModel) -> ObjectInfo:
    msg = ObjectInfo(class_id=model.name, number=model.class_id, mesh_uri=mesh_uri(model))
    msg.size, msg.centre, msg.mesh_scale = _vector(model.size), _point(model.centre), UNITS[model.mesh_unit]
    msg.symmetries_discrete = [
        _transform(Pose.from_matrix(np.reshape(numbers, (4, 4)))) for numbers in model.symmetries_discrete
    ]
    msg.symmetry_axes = [_vector(entry["axis"]) for entry in model.symmetries_continuous]
    msg.symmetry_offsets = [_point(entry.get("offset", (0, 0, 0))) for entry in model.symmetries_continuous]
    return msg


def msg_to_models(msg: ObjectInfoArray) -> list[ObjectModel]:
    """The objects of the latched topic: names, boxes and meshes.

    Raises:
        UserError: one of them cannot be.
    """
    units = {scale: unit for unit, scale in UNITS.items()}
    return [
        ObjectModel(
            name=info.class_id,
            class_id=info.number,
            size=(info.size.x, info.size.y, info.size.z),
            centre=(info.centre.x, info.centre.y, info.centre.z),
            mesh=info.mesh_uri or None,
            mesh_unit=units.get(info.mesh_scale, "m"),
        )
        for info in msg.objects
    ]


def conditions_to_msg(conditions: dict[str, Condition], header: Header, source: str) -> DiagnosticArray:
    """A status of each condition, by its name; `source` is the hardware id, such as the node's name."""
    return DiagnosticArray(header=header, status=[_status(name, c, source) for name, c in conditions.items()])


def _status(name: str, condition: Condition, source: str) -> DiagnosticStatus:
    values = [KeyValue(key=key, value=value) for key, value in condition.values.items()]
    level = bytes([condition.level])
    return DiagnosticStatus(level=level, name=name, message=condition.message, hardware_id=source, values=values)


def msg_to_conditions(msg: DiagnosticArray, source: str) -> dict[str, Condition]:
    """The conditions, by name, of what has this hardware id; a level that is not ours counts as an error."""
    return {
        status.name: Condition(
            Level(min(status.level[0], Level.ERROR)),
            status.message,
            {entry.key: entry.value for entry in status.values},
        )
        for status in msg.status
        if status.hardware_id == source
    }


class Markers:
    """Makes the markers of detections and remembers which stand in the viewer, to delete those gone stale."""

    def __init__(self, models: Iterable[ObjectModel], prefix: str = "") -> None:
        self._prefix = prefix
        self._shown: set[tuple[str, int]] = set()
        self.know(models)

    def know(self, models: Iterable[ObjectModel]) -> None:
        """Other objects from now on; what stands in the viewer goes with the next picture."""
        self._meshes = {model.name: mesh_uri(model) for model in models}

    def __call__(self, detections: Iterable[Detection], header: Header) -> MarkerArray:
        """Edges, translucent box, label and mesh of each; namespace = class, ids stable per number of the class."""
        markers = [marker for detection, n in numbered(detections) for marker in self._of(detection, n, header)]
        shown = {(marker.ns, marker.id) for marker in markers}
        stale = [
            Marker(header=header, ns=ns, id=number, action=Marker.DELETE) for ns, number in sorted(self._shown - shown)
        ]
        self._shown = shown
        return MarkerArray(markers=stale + markers)

    def _of(self, detection: Detection, number: int, header: Header) -> list[Marker]:
        model, box, ns = detection.model, _box(detection), self._prefix + detection.model.name
        edges = Marker(type=Marker.LINE_LIST, pose=_pose(detection.pose), color=_color(model, 1.0))
        edges.points = [_point(model.keypoints[corner]) for edge in cuboid.EDGES for corner in edge]
        edges.scale.x = 0.02 * model.diameter
        solid = Marker(type=Marker.CUBE, pose=_pose(box), scale=_vector(model.size), color=_color(model, 0.25))
        label = Marker(type=Marker.TEXT_VIEW_FACING, pose=_pose(box), color=_color(model, 1.0))
        label.text, label.scale.z = f"{model.name} {detection.score:.2f}", 0.2 * model.diameter
        label.pose.position.y -= 0.6 * model.diameter  # above it: y points down
        markers = [edges, solid, label]
        if uri := self._meshes.get(model.name):  # a colour of zeros leaves the mesh its own materials
            scale = _vector([UNITS[model.mesh_unit]] * 3)
            mesh = Marker(type=Marker.MESH_RESOURCE, pose=_pose(detection.pose), scale=scale, mesh_resource=uri)
            mesh.mesh_use_embedded_materials = True
            markers.append(mesh)
        for kind, marker in enumerate(markers):
            marker.header, marker.ns, marker.id = header, ns, 4 * number + kind
        return markers


def _color(model: ObjectModel, alpha: float) -> ColorRGBA:
    r, g, b = (value / 255 for value in model.color)
    return ColorRGBA(r=r, g=g, b=b, a=alpha)
