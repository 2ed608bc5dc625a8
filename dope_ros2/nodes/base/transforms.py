"""Where one frame is in another at a moment: from tf2 where it is installed, else from the same topics."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from importlib.util import find_spec

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Transform
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from tf2_msgs.msg import TFMessage

from dope_ros2.common.errors import UserError, closest, short
from dope_ros2.geometry.pose import Pose
from dope_ros2.io.messages import read_seconds, read_transform
from dope_ros2.nodes.base.node import REPEAT_AFTER

BUFFER_SECONDS = 10.0  # seconds of transforms that are remembered, as in tf2
QUATERNION_TOLERANCE, MAX_DISTANCE = 0.01, 1e9  # a quaternion's length is 1, and a frame is not beyond [m]
STATIC = QoSProfile(depth=100, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def frames(node: Node) -> Tf2Buffer | TransformBuffer:
    """What listens to transforms for this node."""
    return Tf2Buffer(node) if find_spec("tf2_ros") else TransformBuffer(node)


def is_motion(msg: Transform) -> bool:
    """Whether it has a unit quaternion, nearly, and a finite translation."""
    q, t = msg.rotation, msg.translation
    norm = np.linalg.norm([q.x, q.y, q.z, q.w])
    return bool(abs(norm - 1) < QUATERNION_TOLERANCE and np.linalg.norm([t.x, t.y, t.z]) < MAX_DISTANCE)


class Tf2Buffer:
    """tf2's buffer."""

    def __init__(self, node: Node) -> None:
        from tf2_ros import Buffer, TransformListener

        self._buffer = Buffer()
        self._listener = TransformListener(self._buffer, node, spin_thread=False)

    def find(self, target: str, source: str, stamp: Time) -> Pose:
        """T_target_source at a moment.

        Raises:
            UserError: it is not known.
        """
        from tf2_ros import TransformException

        try:
            return read_transform(self._buffer.lookup_transform(target, source, stamp).transform)
        except TransformException as error:
            raise UserError(f"no transform from {source} to {target}: {error}") from error


class TransformBuffer:
    """The newest transforms of /tf, interpolated along screws, and those of /tf_static."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._parents: dict[str, str] = {}
        self._moving: dict[str, deque[tuple[float, np.ndarray]]] = {}
        self._fixed: dict[str, Pose] = {}
        node.create_subscription(TFMessage, "/tf", self._on_moving, QoSProfile(depth=100))
        node.create_subscription(TFMessage, "/tf_static", self._on_fixed, STATIC)

    def _on_fixed(self, msg: TFMessage) -> None:
        for child, _, pose in self._usable(msg):
            self._fixed[child] = pose

    def _on_moving(self, msg: TFMessage) -> None:
        for child, time, pose in self._usable(msg):
            known = self._moving.setdefault(child, deque())
            if known and time <= known[-1][0]:
                if known[-1][0] - time > BUFFER_SECONDS:  # the clock has gone back
                    known.clear()
                else:
                    continue
            x, y, z, w = pose.quaternion
            known.append((time, np.array([*pose.translation, w, x, y, z])))
            while time - known[0][0] > BUFFER_SECONDS:
                known.popleft()

    def _usable(self, msg: TFMessage) -> Iterator[tuple[str, float, Pose]]:
        """Child frame, stamp [s] and T_parent_child of the transforms that are some; their frames are linked."""
        for transform in msg.transforms:
            parent, child = transform.header.frame_id.lstrip("/"), transform.child_frame_id.lstrip("/")
            if not is_motion(transform.transform):
                text = (
                    f"/tf: what leads from {short(child)} to {short(parent)} is no rotation and place; it is left out"
                )
                self._node.get_logger().warning(text, throttle_duration_sec=REPEAT_AFTER)
                continue
            self._parents[child] = parent
            yield child, read_seconds(transform.header.stamp), read_transform(transform.transform)

    def find(self, target: str, source: str, stamp: Time) -> Pose:
        """T_target_source at a moment.

        Raises:
            UserError: it is not known.
        """
        target, source, time = target.lstrip("/"), source.lstrip("/"), read_seconds(stamp)
        if target == source:
            return Pose.identity()
        known = {*self._parents, *self._parents.values()}
        for frame in (target, source):
            if frame not in known:
                raise UserError(f"no transform from {source} to {target}: no frame {frame!r}{closest(frame, known)}")
        (root, T_root_source), (other, T_root_target) = self._to_root(source, time), self._to_root(target, time)
        if root != other:
            raise UserError(f"no transform from {source} to {target}: they hang on {root} and {other}")
        return T_root_target.inverse() @ T_root_source

    def _to_root(self, frame: str, time: float) -> tuple[str, Pose]:
        """The frame that a frame hangs on in the end, and T_root_frame."""
        pose, passed = Pose.identity(), {frame}
        while frame in self._parents:
            pose = self._at(frame, time) @ pose
            frame = self._parents[frame]
            if frame in passed:
                raise UserError(f"the transforms go round in a circle at {frame}; a frame has one parent")
            passed.add(frame)
        return frame, pose

    def _at(self, frame: str, time: float) -> Pose:
        """T_parent_frame."""
        from pytransform3d.transform_manager import NumpyTimeseriesTransform

        if frame in self._fixed:
            return self._fixed[frame]
        times, poses = (np.array(values) for values in zip(*self._moving[frame], strict=True))
        if not times[0] <= time <= times[-1]:
            late = f"{time - times[-1]:.2f} s after the newest" if time > times[-1] else "before the oldest"
            raise UserError(f"the transform of {frame} is not known at the image's stamp, {late}")
        if len(times) == 1:
            times, poses = np.array([time, time + 1]), poses.repeat(2, 0)
        return Pose.from_matrix(NumpyTimeseriesTransform(times, poses).as_matrix(time))
