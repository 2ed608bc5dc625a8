"""How a test talks to a node: images, cameras, parameters, services."""

import numpy as np
import rclpy
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from std_msgs.msg import Header

from dope_ros2.geometry.camera import CameraModel
from dope_ros2.nodes.messages import images

FRAME = "test_optical_frame"


def header(number):
    msg = Header(frame_id=FRAME)
    msg.stamp.sec, msg.stamp.nanosec = 1000 + number, 7
    return msg


def picture(number, count=1, width=64, height=48):
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[0, 0, 0] = count
    return images.array_to_image(rgb, header(number))


def info(focal=600.0, width=64, height=48):
    return images.camera_to_info(CameraModel.from_focal(focal, width, height), header(0))


def answer(observer, msg, namespace="", camera_info=None, answers="/dope/detections"):
    """Publish camera_info and image until they are answered, since best effort may lose one; return the answer."""

    def answered():
        return [a for a in observer.received[answers] if a.header.stamp == msg.header.stamp]

    for _ in range(150):
        observer.publish(camera_info or info(), f"{namespace}/camera_info")
        observer.spin(0.1)
        observer.publish(msg, f"{namespace}/image_rect")
        observer.spin(0.1)
        if answered():
            return answered()[0]
    raise AssertionError(f"no answer on {answers}")


def set_parameter(observer, name, value, node="/dope"):
    """Set one parameter of a running node; returns the result with its reason."""
    request = SetParameters.Request(parameters=[Parameter(name, value=value).to_parameter_msg()])
    return call(observer, SetParameters, f"{node}/set_parameters", request).results[0]


def call(observer, kind, name, request):
    """Call a service and return its response."""
    client = observer.node.create_client(kind, name)
    assert client.wait_for_service(30)
    sent = []
    for _ in range(3):  # the first response is lost where the server has not found this client yet
        sent.append(client.call_async(request))
        rclpy.spin_until_future_complete(observer.node, sent[-1], timeout_sec=20)
        if done := [future for future in sent if future.done()]:
            return done[0].result()
    raise AssertionError(f"no response of {name}")
