"""Small datasets made by hand: a carton as a flat box of pixels, labelled as if it had been rendered."""

import json
from dataclasses import replace

import numpy as np

from dope_datagen.dataset import shards, store
from dope_datagen.dataset.labels import Label
from dope_datagen.dataset.shards import SHARD, Reader
from dope_datagen.dataset.store import Sample
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.objects.object_model import load_objects

WIDTH, HEIGHT = 48, 32
CONFIG = {"width": WIDTH, "height": HEIGHT, "depth": True}
CARTON = load_objects()["carton"]


def picture(number):
    """One carton about 0.4 m away; of its box the middle is painted, and it is nowhere else visible."""
    rng = np.random.default_rng(number)
    camera = CameraModel.from_focal(60, WIDTH, HEIGHT)
    pose = Pose.random(rng, rng.uniform([-0.03, -0.02, 0.38], [0.03, 0.02, 0.45]))
    keypoints = camera.project(pose.apply(CARTON.keypoints))
    left, top = np.round(keypoints[8]).astype(int) - 2
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    mask[top : top + 5, left : left + 4] = 1
    depth = np.where(mask, pose.translation[2], 0).astype(np.float32)
    rgb = np.full((HEIGHT, WIDTH, 3), rng.integers(40, 200, 3), np.uint8)
    rgb[mask > 0] = 220
    label = Label("carton", 101, pose, keypoints, 20 / 28, 0.25, (int(left), int(top), 4, 5), 20, 28)
    return Sample(rgb, camera, [label], mask, depth)


def empty():
    """An image that shows nothing."""
    return replace(picture(0), objects=[], mask=np.zeros((HEIGHT, WIDTH), np.uint8))


def make(path, images=6, **changes):
    """A store of `images` images; the changes are of the configuration."""
    pictures = [picture(n) for n in range(min(images, 16))]
    store.create(path, images, 7, CONFIG | changes, [CARTON])
    for shard in range(-(-images // SHARD)):
        numbers = range(shard * SHARD, min((shard + 1) * SHARD, images))
        store.write_shard(path, shard, [pictures[n % 16] for n in numbers], 90)
    return path


def rewrite(path, name, change, shard=0):
    """Write a shard of one array again, each row as `change(number, content)` says."""
    images = json.loads((path / "zarr.json").read_text())["attributes"]["images"]
    reader = Reader(path / name)
    numbers = range(shard * SHARD, min((shard + 1) * SHARD, images))
    rows = [change(number, reader.row(number)) for number in numbers]
    scratch = path.with_name("scratch")
    shards.write(path / name, shard, rows, scratch).replace(shards.chunk_file(path / name, shard))


def relabel(path, number, change):
    """Let `change` alter the JSON of one image in place."""

    def altered(row, content):
        entry = json.loads(content.rstrip(b"\0"))
        if row == number:
            change(entry)
        return json.dumps(entry).encode()

    rewrite(path, "labels", altered, number // SHARD)


def all_files(path):
    """Every file below a folder with its content."""
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def write_all(path, images):
    """Complete a store of so many images, as `dope generate` does, without rendering."""
    pictures = [picture(n) for n in range(16)]
    store.create(path, images, 7, CONFIG, [CARTON])
    store.prepare(path)
    for shard in sorted(set(range(-(-images // store.SHARD))) - set(store.finished(path))):
        numbers = range(shard * store.SHARD, min((shard + 1) * store.SHARD, images))
        store.write_shard(path, shard, [pictures[n % 16] for n in numbers], 90)
    store.tidy(path)
