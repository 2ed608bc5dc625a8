"""A few labelled images made without a renderer, for the tests of file formats."""

import cv2
import numpy as np

from dope_datagen.assets.library import object_mesh
from dope_datagen.dataset import store
from dope_datagen.dataset.labels import Label
from dope_datagen.dataset.store import Sample
from dope_datagen.formats.silhouette import draw
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.meshes.mesh import facets
from dope_ros2.objects.object_model import ObjectModel, load_objects

WIDTH, HEIGHT = 160, 120
CARTON = load_objects()["carton"]
# No mesh, its box is not around its origin, and its edges differ.
MUG = ObjectModel(
    name="mug",
    class_id=201,
    size=(0.12, 0.09, 0.1),
    centre=(0.01, 0.0, 0.05),
    symmetries_discrete=((-1, 0, 0, 0.02, 0, -1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1),),
    symmetries_continuous=({"axis": [0, 0, 1], "offset": [0.01, 0, 0]},),
)
OBJECTS_YAML = """
objects:
  carton:
    class_id: 101
    size: [0.160, 0.110, 0.060]
    mesh: package://dope_ros2/config/objects/carton/carton.obj
  mug:
    class_id: 201
    size: [0.12, 0.09, 0.10]
    centre: [0.01, 0, 0.05]
    symmetries_discrete:
      - [-1, 0, 0, 0.02,  0, -1, 0, 0,  0, 0, 1, 0,  0, 0, 0, 1]
    symmetries_continuous:
      - {axis: [0, 0, 1], offset: [0.01, 0, 0]}
"""
FACES = ((0, 1, 2, 3), (4, 5, 6, 7), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7))


def box_mesh(model):
    corners = [model.keypoints[list(face)] for face in FACES]
    return facets(np.array([quad[list(three)] for quad in corners for three in ((0, 1, 2), (0, 2, 3))]))


def silhouette(model, pose, camera):
    return draw(object_mesh(model) if model.mesh else box_mesh(model), pose, camera)


def sample(number, models=(CARTON, MUG, CARTON, CARTON)):
    """Objects at different distances: two in front, one that the frame cuts, one outside it."""
    rng = np.random.default_rng(number)
    camera = CameraModel(np.array([[150.0 + number, 0, 81.5], [0, 149.0, 57.25], [0, 0, 1]]), WIDTH, HEIGHT)
    mask, depth = np.zeros((HEIGHT, WIDTH), np.uint8), np.zeros((HEIGHT, WIDTH), np.float32)
    places = [(-0.12, -0.05, 0.7), (0.08, 0.02, 0.8), (0.33, 0.25, 0.9), (0.8, 0.1, 0.9)]
    poses = [Pose.random(rng, place) for place in places[: len(models)]]
    shapes = [silhouette(model, pose, camera) for model, pose in zip(models, poses, strict=True)]
    for k in reversed(range(len(models))):
        mask[shapes[k].inside(camera)] = k + 1
        depth[shapes[k].inside(camera)] = poses[k].translation[2]
    labels = [label(models[k], poses[k], camera, shapes[k], mask == k + 1) for k in range(len(models))]
    rgb = cv2.resize(rng.integers(0, 256, (6, 8, 3), np.uint8), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return Sample(rgb, camera, labels, mask, depth)


def label(model, pose, camera, shape, seen):
    visible, inside = int(seen.sum()), int(shape.inside(camera).sum())
    return Label(
        name=model.name,
        class_id=model.class_id,
        pose=pose,
        keypoints=camera.project(pose.apply(model.keypoints)),
        visibility=visible / shape.area,
        truncation=1 - inside / shape.area,
        bbox=cv2.boundingRect(seen.astype(np.uint8)) if visible else (0, 0, 0, 0),
        px_visible=visible,
        px_all=shape.area,
    )


def write_store(path, samples, models=(CARTON, MUG)):
    config = {"width": WIDTH, "height": HEIGHT, "depth": True}
    store.create(path, len(samples), 0, config, models)
    store.write_shard(path, 0, samples, 95)
    return path


def assert_same_label(got, wanted, tolerance=1e-5, pixels=2e-3):
    np.testing.assert_allclose(got.pose.matrix, wanted.pose.matrix, atol=tolerance)
    np.testing.assert_allclose(got.keypoints, wanted.keypoints, atol=pixels)
    assert (got.name, got.class_id, got.bbox) == (wanted.name, wanted.class_id, wanted.bbox)
    assert (got.px_visible, got.px_all) == (wanted.px_visible, wanted.px_all)
    np.testing.assert_allclose([got.visibility, got.truncation], [wanted.visibility, wanted.truncation], atol=1e-4)
