"""Detections to vision_msgs, poses and transforms, and back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from dope_msgs.msg import Track, TrackArray
from geometry_msgs.msg import PoseArray, PoseStamped, TransformStamped
from rclpy.duration import Duration
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection3D, Detection3DArray, ObjectHypothesisWithPose

from dope_ros2.geometry.pose import Pose
from dope_ros2.io.messages import read_point, read_pose
from dope_ros2.nodes.messages.geometry import pose_to_msg, transform_to_msg, vector_to_msg
from dope_ros2.objects.detection import Detection
from dope_ros2.objects.object_model import ObjectModel


def box_pose(detection: Detection) -> Pose:
    """The pose of the box's centre, whose axes are the object's."""
    return Pose(detection.pose.rotation, detection.pose.apply(detection.model.centre))


def box_to_msg(detection: Detection, header: Header) -> PoseStamped:
    """The pose of the box's centre."""
    return PoseStamped(header=header, pose=pose_to_msg(box_pose(detection)))


def detections_to_msg(detections: Iterable[Detection], header: Header, prefix: str = "") -> Detection3DArray:
    """Hypothesis: name, score, pose of the mesh's origin with covariance. Box: pose of its centre, size. Id: frame."""
    found = [_detection(d, name, header) for d, name in named(detections, prefix)]
    return Detection3DArray(header=header, detections=found)


def _detection(detection: Detection, name: str, header: Header) -> Detection3D:
    msg = Detection3D(header=header, id=name)
    result = ObjectHypothesisWithPose()
    result.hypothesis.class_id = detection.model.name
    result.hypothesis.score = float(detection.score)
    result.pose.pose = pose_to_msg(detection.pose)
    result.pose.covariance = np.asarray(detection.covariance, float).ravel().tolist()
    msg.results = [result]
    msg.bbox.center, msg.bbox.size = pose_to_msg(box_pose(detection)), vector_to_msg(detection.model.size)
    return msg


def msg_to_detections(msg: Detection3DArray, models: Mapping[str, ObjectModel]) -> list[Detection]:
    """The detections of a message by their first hypothesis, without keypoints; `models` are known by name.

    Raises:
        UserError: an object that is not known has no usable name or size.
    """
    return [_detected(detection, models) for detection in msg.detections if detection.results]


def _detected(msg: Detection3D, models: Mapping[str, ObjectModel]) -> Detection:
    best, size = msg.results[0], msg.bbox.size
    pose, centre = read_pose(best.pose.pose), read_point(msg.bbox.center.position)
    model = models.get(best.hypothesis.class_id) or ObjectModel(
        name=best.hypothesis.class_id,
        class_id=1,
        size=(size.x, size.y, size.z),
        centre=tuple(pose.inverse().apply(centre)),
    )
    covariance = np.reshape(best.pose.covariance, (6, 6))
    return Detection(model, best.hypothesis.score, pose, covariance, track=msg.id)


def poses_to_msg(detections: Iterable[Detection], header: Header) -> PoseArray:
    """Only the poses of the mesh's origins, in the order of the detections."""
    return PoseArray(header=header, poses=[pose_to_msg(d.pose) for d in detections])


def numbered(detections: Iterable[Detection]) -> list[tuple[Detection, int]]:
    """The detections with their tracks' numbers; without tracks those of each class from 0, the best first."""
    counts: dict[str, int] = {}
    result = []
    for detection in sorted(detections, key=lambda d: -d.score):
        number = counts[detection.model.name] = counts.get(detection.model.name, -1) + 1
        result.append((detection, int(detection.track.rpartition("_")[2]) if detection.track else number))
    return result


def named(detections: Iterable[Detection], prefix: str) -> list[tuple[Detection, str]]:
    """The detections, best first, with the names of their frames: `<prefix><class>_<n>`, n as `numbered` says."""
    return [(detection, f"{prefix}{detection.model.name}_{n}") for detection, n in numbered(detections)]


def transforms_to_msg(detections: Iterable[Detection], header: Header, prefix: str = "") -> TFMessage:
    """One transform from the camera to the frame of each detection."""
    frames = [
        TransformStamped(header=header, child_frame_id=name, transform=transform_to_msg(d.pose))
        for d, name in named(detections, prefix)
    ]
    return TFMessage(transforms=frames)


def tracks_to_msg(detections: Iterable[Detection], header: Header, prefix: str = "") -> TrackArray:
    """Which detections are coasting, by the names of their frames, in the order of `detections_to_msg`."""
    tracks = [
        Track(id=name, coasting=d.unseen_for > 0, unseen_for=Duration(seconds=d.unseen_for).to_msg())
        for d, name in named(detections, prefix)
    ]
    return TrackArray(header=header, tracks=tracks)
