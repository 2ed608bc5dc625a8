"""The parameters of `dope_node`: what they are, which values are allowed, and what they mean for the estimator."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from dope_ros2.common.errors import MAX_VALUE_LENGTH, UserError, closest, short
from dope_ros2.common.resources import default_weights, resolve
from dope_ros2.engines.registry import NAMES
from dope_ros2.estimation.estimator import Estimator
from dope_ros2.estimation.settings import Settings
from dope_ros2.nodes.base import qos
from dope_ros2.nodes.base.node import NodeBase
from dope_ros2.objects.object_model import ObjectModel, load_objects
from dope_ros2.pipeline.request import Request, Roi
from dope_ros2.tracking.tracker import Smoothing

CHOICES = {"image_transport": ("raw", "compressed"), "qos": tuple(qos.CHOICES)}
AUTO = "auto"
ESTIMATOR = ("weights", "objects_file", "device", "engine")  # what it is loaded with
AT_CONFIGURE = "Set while the node is not configured: after `ros2 lifecycle set <node> cleanup`, before configure."
Load = Callable[[str, str, str, str], Estimator]


def declare(node: NodeBase) -> None:
    """Declare all of them."""
    add = node.parameter
    add_at_configure = partial(add, fixed=False, when=AT_CONFIGURE)
    add("autostart", True, "Configure and activate at the start; else the node waits for its life cycle's services.")
    text = "Weights file; empty: the package's dope-lite.safetensors. To set it is to read it again."
    add("weights", "", text, fixed=False)
    add_at_configure("objects_file", "", "objects.yaml; empty: the package's.")
    add("objects", [""], "Names of the objects to look for; empty: all that the weights know.", fixed=False)
    add_at_configure("device", "auto", "auto, cpu or cuda.")
    text = f"What runs the network: {', '.join(NAMES)}; auto: the fastest that is installed."
    add_at_configure("engine", "auto", text)
    text = "Namespaces of image_rect and camera_info, one per camera; empty: the node's own."
    add_at_configure("cameras", [""], text)
    add_at_configure("image_transport", "raw", "raw; or compressed, for JPEG or PNG from image_rect/compressed.")
    text = "How images, camera_info and depth are subscribed to: reliable, best_effort, or auto: as they are published."
    add_at_configure("qos", "auto", text)
    text = "Depth images that correct ranges, of the colour camera's frame, beside image_rect; empty: none."
    add_at_configure("depth", "", text)
    add("publish_tf", True, "Publish a frame <prefix><class>_<n> for each detection.", fixed=False)
    text = f"What names of frames and ids begin with; {AUTO}: the node's name and namespace, without a last part dope."
    add_at_configure("frame_prefix", AUTO, text)
    text = "Publish pose_, dimension_ and belief_<object> and rgb_points, too, as DOPE's node for ROS 1."
    add_at_configure("ros1_topics", False, text)
    text = "Markers that nothing replaces are removed after this time [s], or two periods of max_rate; 0: never."
    add("marker_lifetime", 2.0, text, (0.0, 3600.0), fixed=False)
    text = "Look at images only while someone subscribes to a topic of results, or to /tf where publish_tf is set."
    add("lazy", False, text, fixed=False)
    _declare_processing(node)


def _declare_processing(node: NodeBase) -> None:
    """What holds from the next image on: how it is looked at, tracked and recorded."""
    add, start, smoothing = node.parameter, Settings(), Smoothing()
    text = "Part of the images to look at: x, y, width, height [px]; width or height 0: all of it."
    add("roi", [0, 0, 0, 0], text, fixed=False)
    text = "Most images a second to look at, of each camera; 0: as many as it can."
    add("max_rate", 0.0, text, (0.0, 1000.0), fixed=False)
    text = "Scale images to this height before detection [px]; 0: their own, -1: what the weights were trained for."
    add("input_height", -1, text, (-1, 4096), fixed=False)
    text = "Look again at each object that is found, larger: more exact poses, for a fifth more time each."
    add("closer_look", start.closer_look, text, fixed=False)
    text = "Compare each pose with the image and correct it, where it is known what the object looks like."
    add("refine", start.refine, text, fixed=False)
    add("min_score", start.min_score, "Detections below are not published.", (0.0, 1.0), fixed=False)
    text = "Lowest belief that counts as a keypoint."
    add("peak_threshold", start.peak_threshold, text, (0.01, 1.0), fixed=False)
    text = "Largest root mean square error of a pose's keypoints [px at the network's scale]."
    add("max_reprojection_error", start.max_reprojection_error, text, (0.1, 100.0), fixed=False)
    add("tracking", True, "Give instances a name that lasts, and filter their poses.", fixed=False)
    text = "Of tracked poses: 0 leaves them as measured, 1 suits what mostly lies still, 2 expects half the motion."
    add("smoothing", smoothing.strength, text, (0.0, 10.0), fixed=False)
    text = "An object that is not seen is still reported for so long [s]."
    add("coast", smoothing.coast, text, (0.0, 10.0), fixed=False)
    text = "It is still reported even when its score, which falls meanwhile, is below min_score."
    add("coast_below_min_score", False, text, fixed=False)
    text = "After so long without being seen an object is forgotten, and its number is free [s]."
    add("max_age", smoothing.max_age, text, (0.0, 3600.0), fixed=False)
    text = "Look for new objects at least so often [s]; in between only where tracked ones are. 0: in every image."
    add("search_period", 0.25, text, (0.0, 3600.0), fixed=False)
    text = "The last so many seconds are kept for the service ~/record; 0: none."
    add("record_seconds", 10.0, text, (0.0, 3600.0), fixed=False)
    add("record_megabytes", 256, "Most memory that these seconds may take.", (1, 65536), fixed=False)
    add("record_folder", "~/.ros/dope", "Where ~/record writes.", fixed=False)


def load_estimator(weights: str, objects_file: str, device: str, engine: str) -> Estimator:
    """The estimator of four parameters' values.

    Raises:
        UserError: weights, objects, device or engine are not usable.
    """
    objects = load_objects(resolve(objects_file, Path.cwd()) if objects_file else None)
    return Estimator.load(weights_file(weights), objects, device, engine)


def weights_file(weights: str) -> Path:
    """The file that the parameter names."""
    return resolve(weights, Path.cwd()) if weights else default_weights()


def chosen(names: Iterable[str], models: Iterable[ObjectModel], where: str = "parameter objects") -> list[str]:
    """The names to look for, of the objects that the weights know; all of them if none is given; `where` they stand.

    Raises:
        UserError: the weights do not know one.
    """
    names, known = [name for name in names if name], [model.name for model in models]
    for name in names:
        if name not in known:
            raise UserError(f"{where}: the weights know no {short(name)}{closest(name[:MAX_VALUE_LENGTH], known)}")
    return names or known


def settings(node: NodeBase, models: Iterable[ObjectModel]) -> Settings:
    """What the estimator, which knows these objects, is asked for now."""
    names = ("min_score", "peak_threshold", "max_reprojection_error", "input_height", "closer_look", "refine")
    objects = tuple(chosen(node.value("objects"), models))
    return Settings(objects=objects, **{name: node.value(name) for name in names})


def check_choices(value: Callable[[str], object]) -> None:
    """Refuse values of parameters, by name, that are not among those allowed.

    Raises:
        UserError: naming those that are.
    """
    for name, allowed in CHOICES.items():
        if value(name) not in allowed:
            raise UserError(f"parameter {name}: {short(value(name))} is not one of {', '.join(allowed)}")


def request(node: NodeBase, models: Iterable[ObjectModel]) -> Request:
    """What is asked of an image now, where these objects are known."""
    smoothing = Smoothing(node.value("smoothing"), node.value("coast"), node.value("max_age"))
    return Request(
        settings(node, models),
        Roi.of(node.value("roi")),
        smoothing if node.value("tracking") else None,
        coast_below_min_score=node.value("coast_below_min_score"),
    )


def frame_prefixes(node: NodeBase) -> dict[str, str]:
    """What the names of frames begin with, by the namespace of each camera, which has no slashes around it.

    Raises:
        UserError: the parameter is no beginning of a frame's name, or two cameras would have the same frames.
    """
    prefix = node.value("frame_prefix")
    if prefix == AUTO:
        prefix = _as_prefix(node.get_fully_qualified_name().removesuffix("/dope").strip("/"))
    if not re.fullmatch(r"([^\s/]\S*)?", prefix):
        raise UserError(
            f"parameter frame_prefix: {short(prefix)} is no beginning of a frame's name, which has no / in front "
            f"and no spaces; write such as left_, or {AUTO}"
        )
    cameras = [name.strip("/") for name in node.value("cameras") or [""]]
    prefixes = [prefix + _as_prefix(name) * (len(cameras) > 1) for name in cameras]
    if len(set(prefixes)) < len(prefixes):
        raise UserError(
            f"parameter cameras: {', '.join(map(short, cameras))} would have the same frames, "
            "whose names begin with the camera's, / written as _; rename one"
        )
    return dict(zip(cameras, prefixes, strict=True))


def _as_prefix(name: str) -> str:
    return name.replace("/", "_") + "_" if name else ""
