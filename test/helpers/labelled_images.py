"""Images in memory with known truth, to judge answers by."""

from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.objects.object_model import load_objects
from dope_training.evaluation.labelled_images import LabelledImage, TrueObject

CARTON = load_objects()["carton"]
CAMERA = CameraModel.from_focal(150, 160, 120)


class Row:
    """Images in memory: five objects side by side in each, of the given visibility."""

    path = Path("row")

    def __init__(self, count, model=CARTON, visibility=1.0, objects=5):
        self.model, self.visibility, self.objects = model, visibility, objects
        self.keys = [(0, k) for k in range(count)]
        self.names = {model.name}

    def __getitem__(self, index):
        rng = np.random.default_rng(index)
        places = [(0.3 * (k - 2), 0, 1 + 0.1 * k) for k in range(self.objects)]
        truths = [TrueObject(self.model.name, Pose.random(rng, place), self.visibility) for place in places]
        return LabelledImage(self.keys[index], CAMERA, np.zeros((120, 160, 3), np.uint8), truths)


def moved(pose, error):
    return Pose(Rotation.from_rotvec(error[3:]).as_matrix() @ pose.rotation, pose.translation + error[:3])
