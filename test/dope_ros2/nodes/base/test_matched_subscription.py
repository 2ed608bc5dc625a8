"""Subscriptions follow their publishers, over DDS in one process."""

import pytest
import rclpy
from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from std_msgs.msg import Header

from dope_ros2.nodes.base.matched_subscription import MatchedSubscription

pytestmark = pytest.mark.ros
RELIABLE = QoSProfile(depth=5)
BEST_EFFORT = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)


class Listener:
    def __init__(self, observer, topic, choice="auto", depth=1):
        self.observer, self.topic, self.received = observer, topic, []
        self.subscription = MatchedSubscription(observer.node, Header, topic, self.received.append, choice, depth)
        self.publishers = []

    def add(self, qos):
        self.publishers.append(self.observer.node.create_publisher(Header, self.topic, qos))
        return self.publishers[-1]

    def remove(self):
        self.observer.node.destroy_publisher(self.publishers.pop(0))

    def hears(self, publisher):
        count = len(self.received)
        self.observer.until(lambda: publisher.get_subscription_count() == 1, "one subscription")
        self.observer.until(lambda: publisher.publish(Header()) or len(self.received) > count, "a message")
        return True

    def becomes(self, reliable):
        self.observer.until(lambda: self.subscription.is_reliable is reliable, f"reliable: {reliable}")
        return True


@pytest.fixture
def listen(observer):
    made = []

    def listen(*args):
        made.append(Listener(observer, f"/matched_{len(made)}", *args))
        return made[-1]

    yield listen
    for listener in made:
        listener.subscription.destroy()
        for publisher in listener.publishers:
            observer.node.destroy_publisher(publisher)


def test_a_publisher_that_is_there_is_matched_from_the_start(observer):
    publisher = observer.node.create_publisher(Header, "/there", BEST_EFFORT)
    observer.until(lambda: observer.node.count_publishers("/there"), "the publisher")
    subscription = MatchedSubscription(observer.node, Header, "/there", lambda _: None)
    assert not subscription.is_reliable
    subscription.destroy()
    observer.node.destroy_publisher(publisher)


@pytest.mark.parametrize("qos", [RELIABLE, BEST_EFFORT], ids=["reliable", "best effort"])
def test_a_publisher_that_comes_later_is_matched(listen, qos):
    listener = listen()
    assert listener.subscription.is_reliable
    assert listener.hears(listener.add(qos))
    assert listener.becomes(qos is RELIABLE)


def test_another_publisher_is_followed_there_and_back(listen):
    listener = listen()
    listener.add(RELIABLE)
    unsure = listener.add(BEST_EFFORT)
    assert listener.becomes(reliable=False)
    assert listener.hears(unsure)
    listener.remove()
    listener.remove()
    sure = listener.add(RELIABLE)
    assert listener.becomes(reliable=True)
    assert listener.hears(sure)


def test_what_was_chosen_is_not_changed(listen, observer):
    unsure, sure = listen("best_effort"), listen("reliable")
    assert unsure.hears(unsure.add(RELIABLE))
    assert not unsure.subscription.is_reliable
    sure.add(BEST_EFFORT)
    observer.spin(0.7)
    assert sure.subscription.is_reliable
    assert sure.subscription.remedy().startswith("the network or this computer is too slow")
    assert unsure.subscription.remedy().startswith("subscribe reliably (qos:=auto")


def test_the_users_qos_overrides_win_also_when_it_is_made_again():
    context = rclpy.Context()
    rclpy.init(context=context)
    name = "qos_overrides./seen.subscription.reliability"
    node = rclpy.create_node("own", context=context, parameter_overrides=[Parameter(name, value="best_effort")])
    for _ in range(2):
        subscription = MatchedSubscription(node, Header, "seen", lambda _: None, "reliable")
        assert not subscription.is_reliable
        subscription.destroy()
    assert node.get_parameter(name).value == "best_effort"
    node.destroy_node()
    rclpy.shutdown(context=context)


def test_of_many_messages_a_busy_node_gets_the_newest_and_counts_those_that_it_displaced(listen, observer):
    listener = listen()
    publisher = listener.add(RELIABLE)
    assert listener.hears(publisher)
    observer.spin(0.3)
    before = listener.subscription.deliveries.counts()
    for number in range(10):
        publisher.publish(Header(frame_id=str(number)))
    observer.until(lambda: listener.received[-1].frame_id == "9", "the newest")
    after = listener.subscription.deliveries.counts()
    assert after.published - before.published == 10
    assert after.lost == before.lost
    assert after.displaced - before.displaced >= 8


def test_a_middleware_that_does_not_report_losses_will_do(listen, monkeypatch):
    make = SubscriptionEventCallbacks.create_event_handlers

    def unable(self, *args):
        if self.message_lost:
            raise UnsupportedEventTypeError("not supported")
        return make(self, *args)

    monkeypatch.setattr(SubscriptionEventCallbacks, "create_event_handlers", unable)
    listener = listen()
    assert listener.hears(listener.add(RELIABLE))
