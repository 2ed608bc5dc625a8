"""Whatever a network says, poses are finite numbers: decoding, PnP, the closer look, tracks and the drawing."""

import numpy as np
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from dope_ros2.estimation.estimator import Estimator
from dope_ros2.estimation.pnp.solver import Gate, solve
from dope_ros2.estimation.settings import Settings
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.network.belief_maps import MapSpec
from dope_ros2.network.metadata import Metadata, TrainedObject
from dope_ros2.objects.object_model import ObjectModel
from dope_ros2.tracking.tracker import Tracker
from dope_ros2.visualization import overlay
from helpers.fuzzing import fuzz, tried
from helpers.target_maps import encode

BOX = ObjectModel(name="box", class_id=1, size=(0.16, 0.11, 0.06), centre=(0.01, 0.0, -0.02))
CAN = ObjectModel(
    name="can", class_id=2, size=(0.07, 0.07, 0.1), symmetries_continuous=({"axis": [0, 0, 1], "offset": [0, 0, 0]},)
)
MODELS = [BOX, CAN]
STRANGE = [np.nan, np.inf, -np.inf, 1e30, -1e30, 0.0]


class Babbler(torch.nn.Module):
    """A network whose maps are drawn things with noise, holes and numbers that are none; the same for a seed."""

    def __init__(self, seed, strange, noise):
        super().__init__()
        self.seed, self.strange, self.noise = seed, strange, noise

    def forward(self, images):
        rng = np.random.default_rng(self.seed)
        batch, _, height, width = images.shape
        maps = [[self.drawn(rng, model, width, height) for model in MODELS] for _ in range(batch)]
        belief, affinity = (np.array([[each[k] for each in one] for one in maps]) for k in (0, 1))
        surface = rng.normal(0, 4, (batch, len(MODELS), 4, height // 8, width // 8))
        return tuple(torch.from_numpy(self.spoilt(rng, m)).float() for m in (belief, affinity, surface))

    def drawn(self, rng, model, width, height):
        camera = CameraModel.from_focal(60, width, height)
        poses = [Pose.random(rng, [*rng.uniform(-0.1, 0.1, 2), 0.3]) for _ in range(rng.integers(0, 4))]
        keypoints = np.array([camera.project(pose.apply(model.keypoints)) for pose in poses]).reshape(-1, 9, 2)
        return encode(keypoints + rng.choice([0, 5]) * rng.normal(size=keypoints.shape), (width, height), MapSpec())

    def spoilt(self, rng, maps):
        maps = maps * rng.choice([0.5, 1, 3]) + self.noise * rng.random(maps.shape)
        return np.where(rng.random(maps.shape) < self.strange, rng.choice(STRANGE, maps.shape), maps)


def estimator(network, **facts):
    trained = tuple(TrainedObject(name=m.name, size=m.size, centre=m.centre) for m in MODELS)
    return Estimator.of_network(network, Metadata(architecture="dope-lite", objects=trained, **facts), MODELS, "cpu")


def is_finite(detection):
    numbers = [detection.pose.matrix, detection.covariance, detection.score, detection.reprojection_error]
    return all(np.isfinite(number).all() for number in numbers)


seeds, shares = st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.0, 0.001, 0.05, 1.0])
sides, focals = st.sampled_from([99, 98, 64, 31, 2, 1]), st.sampled_from([60.0, 60.0, 60.0, 600.0, 1e5, 0.5, 1e-3])
asked = st.builds(
    Settings,
    min_score=st.just(0.0),
    peak_threshold=st.sampled_from([0.15, 0.15, 0.01, 1.0]),
    max_reprojection_error=st.sampled_from([0.1, 6.0, 100.0]),
    input_height=st.sampled_from([-1, -1, -1, 0, 1, 50, 150]),
    closer_look=st.booleans(),
)


@fuzz("maps")
@given(seeds, shares, st.sampled_from([0.0, 0.1, 1.0]), sides, sides, focals, asked)
@example(0, 0.0, 0.0, 90, 1, 60.0, Settings(input_height=4096))
@example(0, 0.0, 0.0, 1, 90, 60.0, Settings(input_height=1))
@example(0, 0.05, 0.0, 98, 1, 1e-3, Settings(peak_threshold=0.01))
def test_whatever_the_network_says_poses_are_finite(seed, strange, noise, width, height, focal, settings):
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    camera = CameraModel.from_focal(focal, width, height)
    estimate = estimator(Babbler(seed, strange, noise), input_height=0, crop=64)
    found = tried(estimate, image, camera, settings)
    tracker = Tracker(MODELS)
    for time in (0.0, 0.1, 0.2):
        tracked = tracker(found or [], time)
        assert all(map(is_finite, tracked))
    assert overlay.draw(image, camera, (found or []) + tracked).shape == image.shape


@fuzz("pnp")
@given(seeds, st.sampled_from([1e-3, 1.0, 600.0, 1e6]), st.integers(0, 9))
def test_whatever_the_keypoints_are_a_pose_is_finite_or_none(seed, focal, strange):
    rng = np.random.default_rng(seed)
    pixels = rng.choice([1.0, 100.0, 1e4]) * rng.normal(size=(9, 2)) + rng.choice([0, 320], 2)
    sigmas = rng.choice([1e-12, 1.0, 1e12, 0.0, -1.0], 9)
    pixels[rng.choice(9, strange, replace=False), rng.integers(2)] = rng.choice([*STRANGE, 320.0], strange)
    K = np.array([[focal, 0, 320], [0, focal, 240], [0, 0, 1]])
    solution = solve(BOX.keypoints, pixels, K, sigmas, Gate(rms=1e9, relative=1e9))
    assert solution is None or (np.isfinite(solution.pose.matrix).all() and np.isfinite(solution.covariance).all())
