"""Subscribes to what a node publishes, reliably and with a queue of one, and says once that it hears it."""

import sys

import rclpy
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from vision_msgs.msg import Detection3DArray

if __name__ == "__main__":
    rclpy.init()
    node, heard = rclpy.create_node("listener"), set()

    def hear(kind):
        if kind not in heard:
            heard.add(kind)
            print(f"hears {kind.__name__}", flush=True)

    for kind, topic in ((Detection3DArray, "detections"), (Image, "image_annotated")):
        node.create_subscription(kind, f"{sys.argv[1]}/{topic}", lambda _, kind=kind: hear(kind), QoSProfile(depth=1))
    rclpy.spin(node)
