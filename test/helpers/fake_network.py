"""A network that sees where it looks: the image's colours say it, and the maps are drawn accordingly."""

import numpy as np
import torch

from dope_ros2.geometry.camera import CameraModel
from dope_ros2.network.belief_maps import MapSpec
from dope_ros2.network.metadata import IMAGENET_MEAN, IMAGENET_STD
from dope_ros2.objects.object_model import ObjectModel
from helpers.target_maps import encode

BOX = ObjectModel(name="box", class_id=1, size=(0.16, 0.11, 0.06), centre=(0.01, 0.0, -0.02))
CAMERA = CameraModel.from_focal(600, 640, 480)
SIDE = 160


def ramps():
    """An image whose red grows to the right and whose green grows downward, so that any window tells where it is."""
    x, y = np.meshgrid(np.arange(640), np.arange(480))
    return np.stack([40 + x / 4, 40 + y / 4, np.full_like(x, 90.0)], -1).round().astype(np.uint8)


class Seer(torch.nn.Module):
    """Draws the maps of given poses for whatever part of `ramps` it is shown, the first time not exactly."""

    def __init__(self, poses, shift=0.0, blind=False):
        super().__init__()
        self.poses, self.shift, self.blind = poses, shift, blind

    def forward(self, images):
        belief, affinity = zip(*map(self.one, images), strict=True)
        return torch.stack(belief), torch.stack(affinity)

    def one(self, image):
        rgb = image.permute(1, 2, 0).numpy() * IMAGENET_STD + IMAGENET_MEAN
        x, y = (rgb[..., :2] * 255 - 40).transpose(2, 0, 1) * 4
        side, closer = rgb.shape[1], rgb.shape[1] == SIDE
        known = (y > 5) & (y < 470) & (x > 5) & (x < 630)
        columns, rows = np.meshgrid(np.arange(side), np.arange(rgb.shape[0]))
        scale, left = np.polyfit(x[known], columns[known], 1)
        _, top = np.polyfit(y[known], rows[known], 1)
        keypoints = [CAMERA.project(pose.apply(BOX.keypoints)) * scale + [left, top] for pose in self.poses]
        keypoints = np.array(keypoints) + (0 if closer else self.shift)
        maps = encode(keypoints, rgb.shape[1::-1], MapSpec())
        gone = 0.0 if closer and self.blind else 1.0
        return tuple(torch.from_numpy(gone * m)[None].float() for m in maps)
