"""How to start the node as DOPE's ROS 1 node was: parameters, commands, and notes on settings without a counterpart."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from dope_ros2.common.errors import UserError
from dope_ros2.legacy.box_axes import IDENTITY_AXES
from dope_ros2.legacy.ros1_config import Ros1Config

HEIGHT = 500  # and so on: what the ROS 1 node takes where the file says nothing
TOPICS = {"topic_camera": "/dope/webcam/image_raw", "topic_camera_info": "/dope/webcam/camera_info"}
PUBLISHED = "dope"
PEAKS = (0.01, 1.0)  # range of peak_threshold
HEIGHTS = (1, 4096)  # of input_height
PROFILE = "nvlabs-2018"
USED = {*TOPICS, "topic_publishing", "input_is_rectified", "downscale_height", "overlay_belief_images", "thresh_points"}
GONE = {
    "thresh_map": "keypoints are found in the maps as they are, not blurred; peak_threshold alone says which count",
    "sigma": "the maps are not blurred; a Gaussian is fitted to each peak",
    "thresh_angle": "always 0.5, and which corner belongs to which centre is decided for all at once",
}
UNRECTIFIED = (
    "the node takes rectified images, and P of camera_info; rectify_node of image_proc makes them of {topic} "
    "(remap its `image`), and the command below listens to {rectified}"
)


@dataclass(frozen=True, kw_only=True)
class Ros1Launch:
    """What is to be run for a configuration.

    Attributes:
        config: of the ROS 1 node.
        axes: for each object which axes of the weights' box are its own.
        objects_file, params: the files that were made of it; the weights will be beside the former.
    """

    config: Ros1Config
    axes: dict[str, str]
    objects_file: Path
    params: Path

    def parameters(self) -> dict[str, dict]:
        """A ROS 2 parameter file.

        Raises:
            UserError: a setting is of the wrong kind or out of range.
        """
        height = self.config.number("downscale_height", HEIGHT)
        if height != int(height) or not HEIGHTS[0] <= height <= HEIGHTS[1]:
            low, high = HEIGHTS
            raise UserError(
                f"{self.config.path}: downscale_height: {height} is not a whole number from {low} to {high}"
            )
        common = {"objects_file": str(self.objects_file.resolve()), "ros1_topics": True, "tracking": False}
        common["input_height"] = int(height)
        if "thresh_points" in self.config.settings:
            common["peak_threshold"] = min(max(self._lowest_peak(), PEAKS[0]), PEAKS[1])
        weights = {name: str(self._weights(name).resolve()) for name in self.config.enabled}
        return {
            f"/**/{self._node(name)}": {"ros__parameters": {"weights": file} | common} for name, file in weights.items()
        }

    def imports(self) -> list[list[str]]:
        """The commands that turn each object's checkpoint into weights."""
        return [self._import(name) for name in self.config.enabled]

    def nodes(self) -> list[list[str]]:
        """The commands that start the nodes."""
        return [self._start(name) for name in self.config.enabled]

    def notes(self) -> list[str]:
        """A line for each setting that has no counterpart, and for what is different."""
        settings = self.config.settings
        notes = [f"{key} {settings[key]}: {reason}" for key, reason in GONE.items() if key in settings]
        if settings.get("input_is_rectified") is False:
            notes.append(
                "input_is_rectified False: " + UNRECTIFIED.format(topic=self._topic(), rectified=self._image())
            )
        if settings.get("overlay_belief_images") is False:
            notes.append("overlay_belief_images False: belief_<object> is always drawn over the darkened image")
        if "thresh_points" in settings and not PEAKS[0] <= self._lowest_peak() <= PEAKS[1]:
            notes.append(f"thresh_points {self._lowest_peak():g}: peak_threshold is {PEAKS[0]:g} to {PEAKS[1]:g}")
        notes += [
            f"weights: {name}: no file {file}; correct the command below"
            for name in self.config.enabled
            if not (file := self.config.file(self.config.of("weights", name))).is_file()
        ]
        notes += [f"{key}: not a setting that is known" for key in settings if key not in USED and key not in GONE]
        if len(self.config.enabled) > 1:
            notes.append("weights: such a network knows one object, so each has a node, and rgb_points, of its own")
        return notes

    def _lowest_peak(self) -> float:
        return float(self.config.number("thresh_points", 0))

    def _place(self) -> tuple[str, str]:
        """Namespace and name of the node whose private topics are those of topic_publishing."""
        text = self._text("topic_publishing", PUBLISHED).strip("/")
        if not all(re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", part) for part in text.split("/")):
            raise UserError(f"{self.config.path}: topic_publishing: {text!r} is not the name of a topic")
        namespace, _, node = text.rpartition("/")
        return namespace, node

    def _node(self, name: str) -> str:
        node = self._place()[1]
        return node if len(self.config.enabled) == 1 else f"{node}_{name}"

    def _weights(self, name: str) -> Path:
        return self.objects_file.parent / f"{name}.safetensors"

    def _import(self, name: str) -> list[str]:
        checkpoint = str(self.config.file(self.config.of("weights", name)))
        turned = [] if self.axes[name] == IDENTITY_AXES else [f"--axes={self.axes[name]}"]
        files = ["--objects-file", str(self.objects_file), "--out", str(self._weights(name))]
        return ["dope", "import-weights", checkpoint, "--object", name, "--profile", PROFILE, *turned, *files]

    def _start(self, name: str) -> list[str]:
        namespace, published = self._place()
        node = self._node(name)
        maps = {
            "image_rect": self._image(),
            "camera_info": self._text("topic_camera_info", TOPICS["topic_camera_info"]),
        }
        if namespace:
            maps["__ns"] = f"/{namespace}"
        if node != "dope":
            maps["__node"] = node
        if node != published:
            root = f"/{namespace}" if namespace else ""
            for topic in ("pose", "dimension", "belief"):
                maps[f"{root}/{node}/{topic}_{name}"] = f"{root}/{published}/{topic}_{name}"
        remaps = [word for old, new in maps.items() for word in ("-r", f"{old}:={new}")]
        return ["dope", "node", "--ros-args", "--params-file", str(self.params), *remaps]

    def _topic(self) -> str:
        return self._text("topic_camera", TOPICS["topic_camera"])

    def _image(self) -> str:
        """The topic of the rectified images."""
        if self.config.settings.get("input_is_rectified") is not False:
            return self._topic()
        namespace, slash, _ = self._topic().rpartition("/")
        return f"{namespace}{slash}image_rect"

    def _text(self, key: str, default: str) -> str:
        value = self.config.settings.get(key, default)
        if not isinstance(value, str) or not value:
            raise UserError(f"{self.config.path}: {key}: {value!r} is not the name of a topic")
        return value
