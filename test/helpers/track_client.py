"""A user's Python package that depends on dope_msgs: it prints poses, and whether each was seen or is coasting."""

NAME = "track_client"
FILES = {
    "package.xml": """<package format="3">
  <name>track_client</name>
  <version>0.1.0</version>
  <description>Prints the poses of tracked objects.</description>
  <maintainer email="someone@robots.example.org">someone</maintainer>
  <license>Apache-2.0</license>
  <depend>dope_msgs</depend>
  <depend>vision_msgs</depend>
  <exec_depend>rclpy</exec_depend>
  <export><build_type>ament_python</build_type></export>
</package>
""",
    "setup.py": """from setuptools import setup

setup(
    name="track_client",
    version="0.1.0",
    packages=[],
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/track_client"]),
        ("share/track_client", ["package.xml"]),
        ("lib/track_client", ["listen"]),
    ],
)
""",
    "resource/track_client": "",
    "listen": """#!/usr/bin/env python3
import rclpy
from dope_msgs.msg import TrackArray
from rclpy.node import Node
from vision_msgs.msg import Detection3DArray


class Listener(Node):
    def __init__(self):
        super().__init__("listener")
        self._found = None
        self.create_subscription(Detection3DArray, "detections", self._on_detections, 10)
        self.create_subscription(TrackArray, "tracks", self._on_tracks, 10)

    def _on_detections(self, msg):
        self._found = msg

    def _on_tracks(self, msg):
        if self._found is None or self._found.header != msg.header:
            return
        for detection, track in zip(self._found.detections, msg.tracks):
            at = detection.results[0].pose.pose.position
            state = "coasting" if track.coasting else "seen"
            print(f"{track.id} {state} at {at.x:.3f} {at.y:.3f} {at.z:.3f}", flush=True)


rclpy.init()
rclpy.spin(Listener())
""",
}


def write(folder):
    """Write the package into a folder that is not there yet."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (folder / "listen").chmod(0o755)
