"""Scenes of boxes as a network would draw them: beliefs of any height, votes, and the surface that is seen."""

import numpy as np
import torch

from dope_ros2.estimation.estimator import Estimator
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.network.belief_maps import MapSpec
from dope_ros2.network.metadata import Metadata, TrainedObject
from dope_ros2.objects.object_model import ObjectModel
from helpers.target_maps import encode

BOX = ObjectModel(name="box", class_id=1, size=(0.16, 0.11, 0.06), centre=(0.01, 0.0, -0.02))
CAMERA = CameraModel.from_focal(400, 640, 480)
SPEC = MapSpec()
STRIDE = SPEC.stride


def pixels_of(pose):
    return CAMERA.project(pose.apply(BOX.keypoints))


def draw(keypoints, heights=1.0, size=(640, 480)):
    """Belief (9, h, w) and affinity (16, h, w) of instances (N, 9, 2) [px], whose peaks are `heights` (N, 9) high.

    A keypoint of height 0 is hidden: it leaves no trace.
    """
    keypoints = np.asarray(keypoints, float).reshape(-1, 9, 2)
    heights = np.broadcast_to(heights, keypoints.shape[:2])
    _, affinity = encode(np.where(heights[..., None] > 0, keypoints, -1e4), size, SPEC)
    beliefs = [h[:, None, None] * encode(k[None], size, SPEC)[0] for k, h in zip(keypoints, heights, strict=True)]
    return np.max(beliefs, axis=0).astype(np.float32), affinity


def cells():
    """Centres (60 * 80, 2) of all cells [px]."""
    rows, columns = np.mgrid[: CAMERA.height // STRIDE, : CAMERA.width // STRIDE]
    return np.column_stack([columns.ravel(), rows.ravel()]) * float(STRIDE) + (STRIDE - 1) / 2


def draw_surface(poses):
    """Surface (4, h, w) of boxes, of which the nearer hides the farther; 0 or 1, and 0 to 1 across the cuboid."""
    surface = np.zeros((4, CAMERA.height // STRIDE, CAMERA.width // STRIDE), np.float32)
    for pose in sorted(poses, key=lambda pose: -pose.translation[2]):
        own = _surface_of(pose)
        surface = np.where(own[0] > 0, own, surface)
    return surface


def _surface_of(pose):
    rays = CAMERA.unproject(cells(), 1.0) @ pose.rotation
    origin = -pose.rotation.T @ pose.translation - BOX.centre
    half = np.array(BOX.size) / 2
    near, far = (-np.sign(rays) * half - origin) / rays, (np.sign(rays) * half - origin) / rays
    enters, leaves = near.max(1), far.min(1)
    points = origin + enters[:, None] * rays
    surface = np.vstack([enters < leaves, (points / (2 * half) + 0.5).T]).astype(np.float32)
    return surface.reshape(4, CAMERA.height // STRIDE, CAMERA.width // STRIDE)


class Drawn(torch.nn.Module):
    """A network that sees the same maps in any image of the camera: belief, affinity and, if given, surface.

    Each is of one object (channels, h, w), or of several (objects, channels, h, w).
    """

    def __init__(self, belief, affinity, surface=None):
        super().__init__()
        maps = [belief, affinity]
        if surface is not None:
            p = np.clip(surface, 1e-4, 1 - 1e-4)
            maps.append(np.log(p / (1 - p)))
        self.maps = tuple(torch.from_numpy(np.asarray(m, np.float32)).reshape(1, -1, *m.shape[-3:]) for m in maps)

    def forward(self, images):
        return self.maps


def estimator(network, models=(BOX,), **metadata):
    """Of a network that knows these objects."""
    trained = tuple(TrainedObject(name=model.name, size=model.size, centre=model.centre) for model in models)
    facts = Metadata(architecture="dope-lite", objects=trained, **{"input_height": 0, **metadata})
    return Estimator.of_network(network, facts, list(models), "cpu")


def picture(camera=CAMERA):
    return np.zeros((camera.height, camera.width, 3), np.uint8)


def found_in(belief, affinity, surface=None, settings=None):
    """What the estimator finds in an image with these maps."""
    return estimator(Drawn(belief, affinity, surface))(picture(), CAMERA, settings)


def places_in(look, image, camera):
    """Where an estimator would look closer: names and centres (N, 2) [px], in its order."""
    return named_pixels(look.places(image, camera))


def named_pixels(places):
    return [place.name for place in places], np.array([(place.x, place.y) for place in places]).reshape(-1, 2)


def is_right(detection, pose):
    """Whether a detection is within 5 % of the distance and 10 degrees of a pose."""
    near = detection.pose.distance_to(pose) < 0.05 * np.linalg.norm(pose.translation)
    return near and np.rad2deg(detection.pose.angle_to(pose)) < 10


def random_pose(rng, pixel, distance):
    return Pose.random(rng, CAMERA.unproject(np.asarray(pixel, float), distance))
