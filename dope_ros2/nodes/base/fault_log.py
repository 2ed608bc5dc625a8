"""Faults that last, in the log: once, again now and then, and when they are over."""

from __future__ import annotations

from collections.abc import Callable, Collection
from difflib import SequenceMatcher

from rclpy.node import Node

from dope_ros2.nodes.base.qos import RELIABLE, offered_reliability

LASTING, REPEAT_AFTER = 4.0, 60.0  # when a fault is logged, and again [s]
MAX_SIMILAR = 3  # topics that are named


class FaultLog:
    """Warns of what does not pass by itself. All times are seconds of one clock that never goes back."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._began: dict[str, float] = {}
        self._logged: dict[str, float] = {}

    def update(self, name: str, now: float, fault: Callable[[], str] | None, over: str) -> None:
        """Say how something is: `fault` gives the line to log, None: all is well, as `over` says once after a fault."""
        if fault is None:
            self._began.pop(name, None)
            if self._logged.pop(name, None) is not None:
                self._node.get_logger().info(over)
            return
        lasts = now - self._began.setdefault(name, now) >= LASTING
        if lasts and now - self._logged.get(name, -REPEAT_AFTER) >= REPEAT_AFTER:
            self._logged[name] = now
            self._node.get_logger().warning(fault())


def why_nothing_comes(node: Node, topic: str, kinds: Collection[str], is_reliable: bool) -> str:
    """What the graph shows of a topic on which nothing comes.

    Args:
        node: which subscribes.
        topic: resolved name.
        kinds: types that would do, such as sensor_msgs/msg/Image; the first is the subscription's.
        is_reliable: whether the subscription is.
    """
    publishers = node.get_publishers_info_by_topic(topic)
    kind, *_ = kinds
    others = sorted({each.topic_type for each in publishers} - {kind})
    if others:
        return f"it has {', '.join(others)}, and {kind} is wanted; check topic names and image_transport"
    if publishers and is_reliable and offered_reliability(node, topic) != RELIABLE:
        return "its publisher is best effort and does not serve reliable subscriptions; qos:=auto"
    if publishers:
        return f"publishers: {len(publishers)}; is the camera streaming, and does the network let its messages through?"
    similar = _similar_topics(node, topic, kinds)
    listed = "; such topics are " + ", ".join(similar) if similar else ""
    return f"nobody publishes it{listed}; start the camera, or remap the topic{' to one of them' if similar else ''}"


def _similar_topics(node: Node, topic: str, kinds: Collection[str]) -> list[str]:
    """Topics of these types that others publish, with their types, the most similar names first."""
    own = f"{node.get_fully_qualified_name()}/"
    found = [
        (name, kind)
        for name, types in node.get_topic_names_and_types()
        for kind in types
        if kind in kinds and name != topic and not name.startswith(own) and node.count_publishers(name)
    ]
    found.sort(key=lambda entry: -SequenceMatcher(None, topic, entry[0]).ratio())
    return [f"{name} ({kind})" for name, kind in found[:MAX_SIMILAR]]
