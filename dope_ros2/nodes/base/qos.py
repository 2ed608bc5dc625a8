"""Quality of service of our topics."""

from __future__ import annotations

from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

RELIABLE, BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT
CHOICES = {"auto": None, "reliable": RELIABLE, "best_effort": BEST_EFFORT}  # of the parameter `qos`
RELIABLE_NEWEST = QoSProfile(depth=1)  # serves reliable and best-effort subscribers
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
RESULTS = QoSProfile(depth=10)


def offered_reliability(node: Node, topic: str) -> ReliabilityPolicy | None:
    """What every publisher of a topic can serve: reliable, if all of them are; None where there is no publisher."""
    publishers = node.get_publishers_info_by_topic(topic)
    if not publishers:
        return None
    is_reliable = all(each.qos_profile.reliability == RELIABLE for each in publishers)
    return RELIABLE if is_reliable else BEST_EFFORT
