"""A subscription as reliable as the publishers of its topic, which counts what is lost on the way."""

from __future__ import annotations

import time
from collections.abc import Callable

from rcl_interfaces.msg import ParameterDescriptor
from rclpy.clock import Clock, ClockType
from rclpy.event_handler import QoSSubscriptionMatchedInfo, SubscriptionEventCallbacks, UnsupportedEventTypeError
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions, QoSPolicyKind
from rclpy.subscription import Subscription

from dope_ros2.nodes.base.qos import CHOICES, RELIABLE, offered_reliability
from dope_ros2.pipeline.deliveries import Deliveries

FOLLOW_PERIOD = 0.5  # between two looks at who publishes [s]
MAX_WAIT = 60.0  # that a message may have waited in the queue; more is a clock that was set [s]


class MatchedSubscription:
    """Subscribes anew when the publishers are others.

    Without a publisher it is reliable: a reliable one then loses nothing, and a best-effort one is followed when it
    comes. The user's `qos_overrides` parameters win.

    Attributes:
        topic: resolved name.
        deliveries: what became of the messages.
    """

    def __init__(
        self,
        node: Node,
        kind: type,
        topic: str,
        callback: Callable[[object], None],
        choice: str = "auto",
        depth: int = 1,
    ) -> None:
        """Subscribe; `choice` is one of CHOICES, `depth` the length of the queue [messages]."""
        self._node, self._kind, self._callback, self._depth = node, kind, callback, depth
        self.topic, self.deliveries = node.resolve_topic_name(topic), Deliveries()
        self._choice, self._is_overridden = CHOICES[choice], self._is_given()
        self._subscription: Subscription | None = None
        self._subscribe(self._wanted() or RELIABLE)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(FOLLOW_PERIOD, self._follow, clock=steady) if self._follows() else None

    @property
    def is_reliable(self) -> bool:
        """Whether it asks for what is lost again."""
        return self._subscription.qos_profile.reliability == RELIABLE

    def destroy(self) -> None:
        """Subscribe to nothing."""
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
        self._node.destroy_subscription(self._subscription)
        self._subscription = None

    def take_waiting(self) -> None:
        """Handle what has come and waits, also while a callback runs."""
        handle = self._subscription.handle
        with handle:
            while (taken := handle.take_message(self._kind, False)) is not None:
                self._take(*taken)

    def remedy(self) -> str:
        """What helps when messages are lost."""
        others = (
            "give the camera's process this package's config/fastdds_images.xml, enlarge net.core.rmem_max and "
            "net.core.rmem_default, or let it compress (image_transport:=compressed)"
        )
        if self.is_reliable:
            return f"the network or this computer is too slow: lower the camera's resolution or rate, {others}"
        if offered_reliability(self._node, self.topic) == RELIABLE:
            return f"subscribe reliably (qos:=auto, no qos_overrides), {others}"
        return f"let the camera publish reliably, {others}"

    def _follows(self) -> bool:
        return self._choice is None and not self._is_overridden

    def _is_given(self) -> bool:
        """Whether the user overrides the reliability of this subscription."""
        name = f"qos_overrides.{self.topic}.subscription.reliability"
        if self._node.has_parameter(name):
            return True
        value = self._node.declare_parameter(name, None, ParameterDescriptor(dynamic_typing=True)).value
        self._node.undeclare_parameter(name)  # it was declared only to see whether it is given
        return value is not None

    def _wanted(self) -> ReliabilityPolicy | None:
        """The reliability that is right now; None where there is nobody to ask."""
        return self._choice or offered_reliability(self._node, self.topic)

    def _follow(self, _: object = None) -> None:
        """Subscribe anew, if the publishers are of another reliability."""
        if self._subscription is None:  # destroyed, in the round of the executor to which this event belongs
            return
        wanted = self._wanted()
        if wanted is None or (wanted == RELIABLE) == self.is_reliable:
            return
        old = self._subscription
        self._subscribe(wanted)
        self._node.destroy_subscription(old)
        self.deliveries.restart()

    def _subscribe(self, reliability: ReliabilityPolicy) -> None:
        kinds = [QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH]
        if self._is_overridden:  # else a parameter would say what was right at the start
            kinds.append(QoSPolicyKind.RELIABILITY)
        make = self._node.create_subscription
        quality = QoSProfile(depth=self._depth, reliability=reliability)
        options = {"qos_overriding_options": QoSOverridingOptions(kinds)}
        try:
            self._subscription = make(
                self._kind, self.topic, self._take, quality, event_callbacks=self._events(), **options
            )
        except UnsupportedEventTypeError:  # a middleware that does not report losses
            self._subscription = make(self._kind, self.topic, self._take, quality, **options)

    def _events(self) -> SubscriptionEventCallbacks:
        return SubscriptionEventCallbacks(
            message_lost=lambda event: self.deliveries.lose(time.monotonic(), event.total_count_change),
            matched=self._on_matched,
            incompatible_qos=self._follow if self._follows() else None,
        )

    def _on_matched(self, event: QoSSubscriptionMatchedInfo) -> None:
        self.deliveries.restart(event.current_count)
        if self._follows():
            self._follow()

    def _take(self, msg: object, info: dict) -> None:
        waited = time.time() - 1e-9 * info["received_timestamp"]
        came = time.monotonic() - (waited if 0 < waited < MAX_WAIT else 0.0)
        self.deliveries.take(came, info["publication_sequence_number"])
        self._callback(msg)
