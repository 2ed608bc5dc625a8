"""Stores painted by hand: a carton whose six sides have colours of their own, on a plain ground; easy to learn."""

from dataclasses import replace

import cv2
import numpy as np

from dope_datagen.dataset import store
from dope_datagen.dataset.labels import Label
from dope_datagen.dataset.store import Sample
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.cuboid import CORNERS_OF_FACES
from dope_ros2.geometry.pose import Pose
from dope_ros2.objects.object_model import load_objects

CARTON = load_objects()["carton"]
WIDTH, HEIGHT = 160, 120
CAMERA = CameraModel.from_focal(200, WIDTH, HEIGHT)
COLORS = ((230, 40, 40), (40, 200, 60), (50, 80, 240), (240, 220, 40), (220, 60, 220), (60, 220, 220))


def picture(number, model=CARTON, camera=CAMERA):
    """The object once, wholly seen, about 0.45 m away."""
    rng = np.random.default_rng(number)
    pose = Pose.random(rng, rng.uniform([-0.06, -0.04, 0.4], [0.06, 0.04, 0.5]))
    corners = pose.apply(model.keypoints)
    pixels = camera.project(corners)
    rgb = np.full((camera.height, camera.width, 3), rng.integers(30, 120), np.uint8)
    mask = np.zeros((camera.height, camera.width), np.uint8)
    for face, color in zip(CORNERS_OF_FACES, COLORS, strict=True):
        a, b, c = corners[list(face[:3])]
        if np.cross(b - a, c - a) @ a > 0:
            for canvas, value in ((rgb, color), (mask, 1)):
                cv2.fillConvexPoly(canvas, np.round(16 * pixels[list(face)]).astype(np.int32), value, 8, 4)
    count = int(mask.sum())
    label = Label(model.name, model.class_id, pose, pixels, 1.0, 0.0, cv2.boundingRect(mask), count, count)
    return Sample(rgb, camera, [label], mask)


def make(path, images=40, models=(CARTON,), change=lambda number, sample: sample, of=picture):
    """A store of `images` images; `change` may alter each, without the store knowing."""
    samples = [change(number, of(number)) for number in range(images)]
    store.create(path, images, 0, {"width": WIDTH, "height": HEIGHT, "depth": False}, models)
    for shard in range(-(-images // store.SHARD)):
        store.write_shard(path, shard, samples[shard * store.SHARD : (shard + 1) * store.SHARD], 95)
    return path


def relabelled(sample, **changes):
    """The same image, its label changed."""
    return replace(sample, objects=[replace(sample.objects[0], **changes)])
