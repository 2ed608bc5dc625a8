"""The real dope_node around an estimator whose answers a test can foretell from image, camera and settings."""

import sys
import time
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import rclpy

from dope_ros2.common.errors import UserError
from dope_ros2.common.stage_timer import StageTimer
from dope_ros2.geometry.pose import Pose
from dope_ros2.nodes.base.run import run
from dope_ros2.nodes.dope_node import DopeNode
from dope_ros2.objects.detection import Detection
from dope_ros2.objects.object_model import ObjectModel

SLOW = 128  # green of the first pixel of an image that takes a second
MODELS = [
    ObjectModel(name="carton", class_id=101, size=(0.16, 0.11, 0.06), centre=(0.01, 0.0, 0.0)),
    ObjectModel(name="mustard", class_id=5, size=(0.10, 0.07, 0.19)),
]


class Foretold:
    """As many cartons as the red of the first pixel says, at a depth of fx millimetres, 10 cm apart.

    They take as many hundredths of a second as its blue says.
    """

    models, can_follow, stages = MODELS, False, StageTimer()
    engine = SimpleNamespace(name="foretold", fallback="", memory=lambda: None)
    appearances = SimpleNamespace(notes=[])

    def __call__(self, image, camera, settings):
        assert image.shape == (camera.height, camera.width, 3)
        assert image[0, 0, 1] < 255, "an image that no estimator survives"
        time.sleep(image[0, 0, 2] / 100)
        if image[0, 0, 1] == SLOW:
            print("begins to look at it", flush=True)
            time.sleep(1.0)
        scores = 0.9 - 0.2 * np.arange(image[0, 0, 0])
        return [self._carton(i, s, camera) for i, s in enumerate(scores) if s >= settings.min_score]

    @staticmethod
    def beliefs(image, camera, settings):
        """Keypoint k of cartons is in column k of the last row of cells."""
        print("beliefs are looked at", flush=True)
        carton = np.zeros((9, 6, 9), np.float32)
        carton[np.arange(9), 5, np.arange(9)] = 1
        return image, {"carton": carton, "mustard": np.zeros_like(carton)}

    @staticmethod
    def _carton(index, score, camera):
        pose = Pose.from_rotvec([0, 0, 0.5], [0.1 * index, 0, camera.K[0, 0] / 1000])
        return Detection(MODELS[0], score, pose, 0.01 * np.eye(6), np.full((9, 2), 5.0), 0.5)


def load(weights, objects_file, device, engine):
    """Whatever the weights, unless their name says that they are broken."""
    if weights.endswith("broken"):
        raise UserError(f"{weights}: damaged; copy it again")
    return Foretold()


@contextmanager
def in_process(*arguments, load=load):
    """The node in this process, with ROS arguments, not configured yet; nobody spins it."""
    context = rclpy.Context()
    context.init(args=["--ros-args", *arguments])
    node = DopeNode(load, context=context)
    try:
        yield node
    finally:
        node.destroy_node()
        context.try_shutdown()


if __name__ == "__main__":
    sys.exit(run(lambda: DopeNode(load), "dope_node", sys.argv[1:]))
