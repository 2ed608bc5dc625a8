"""Quality of service of our topics."""

from __future__ import annotations

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

NEWEST = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)  # a stale frame is worth nothing
RELIABLE_NEWEST = QoSProfile(depth=1)  # serves reliable and best-effort subscribers
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
RESULTS = QoSProfile(depth=10)
