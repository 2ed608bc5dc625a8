"""Shape and look are judged apart, and what is written brings the object back to itself."""

import numpy as np
import pytest
import trimesh
from scipy.spatial import cKDTree

from dope_datagen.mesh_preparation.mesh_file import read
from dope_datagen.mesh_preparation.symmetry import CONTINUOUS, Symmetry, matrices, verdict
from dope_ros2.geometry.pose import Pose
from helpers.mesh_files import SIZE, box, bumpy, save


def axes_of(path):
    symmetry = Symmetry(read(path).surface, np.random.default_rng(0))
    return [symmetry.about(k) for k in range(3)]


def stl(path, mesh):
    mesh.export(path)
    return path


def test_a_box_with_a_picture_has_a_symmetric_shape_and_no_symmetric_look(tmp_path):
    axes = axes_of(save(tmp_path / "box.obj", *box()))
    assert [(axis.shape, axis.look) for axis in axes] == [(2, 1)] * 3
    assert verdict(axes[2]).startswith("the shape is 2-fold about z, the look is not (")
    assert verdict(axes[2]).endswith("left out, since the look tells the sides apart")
    assert matrices(axes, np.zeros(3)) == ([], [])


def test_a_small_label_is_enough_to_tell_the_sides_apart(tmp_path):
    image = np.full((128, 192, 3), 240, np.uint8)
    plain = axes_of(save(tmp_path / "plain.obj", *box(), image=image))
    assert [axis.look for axis in plain] == [2, 2, 2]
    image[84:108, 20:44] = [200, 30, 30]  # in the middle of the side +x
    labelled = axes_of(save(tmp_path / "label.obj", *box(), image=image))
    assert [axis.look for axis in labelled] == [2, 1, 1]


def test_print_that_repeats_keeps_the_symmetry(tmp_path):
    vertices, uvs, faces = box()
    uvs[4:8] = uvs[:4]  # the same image on both sides along x, and on both along y
    uvs[12:16] = uvs[[10, 11, 8, 9]]
    uvs[16:] = uvs[16]  # one colour on both ends
    axes = axes_of(save(tmp_path / "box.obj", vertices, uvs, faces))
    assert [(axis.shape, axis.look) for axis in axes] == [(2, 1), (2, 1), (2, 2)]
    assert verdict(axes[2]) == "the shape is 2-fold about z and looks the same: written into the entry"
    assert len(matrices(axes, np.zeros(3))[0]) == 1


@pytest.mark.parametrize("folds", [3, 4, 6, 8])
def test_a_prism_is_as_symmetric_as_its_polygon(tmp_path, folds):
    angles = 2 * np.pi * (np.arange(folds) + 0.5) / folds
    ring = 0.04 * np.stack([np.cos(angles), np.sin(angles)], -1)
    prism = trimesh.creation.extrude_triangulation(
        np.vstack([ring, [[0, 0]]]), np.array([[k, (k + 1) % folds, folds] for k in range(folds)]), height=0.07
    )
    axes = axes_of(stl(tmp_path / "prism.stl", prism))
    assert axes[2].shape == (1 if folds == 3 else folds)  # a triangle's centre is not that of its box
    discrete, continuous = matrices(axes, np.array([0, 0, 0.035]))
    assert not continuous
    assert len(discrete) == {3: 1, 4: 7, 6: 11, 8: 15}[folds]


def test_a_cylinder_is_continuous_about_its_axis_and_can_be_flipped(tmp_path):
    cylinder = trimesh.creation.cylinder(radius=30, height=100, sections=48)
    cylinder.apply_translation([5, 0, 50])
    axes = axes_of(stl(tmp_path / "can.stl", cylinder))
    assert [axis.look for axis in axes] == [2, 2, CONTINUOUS]
    discrete, continuous = matrices(axes, np.array([0.005, 0, 0.05]))
    assert continuous == [{"axis": [0.0, 0.0, 1.0], "offset": [0.005, 0.0, 0.05]}]
    assert len(discrete) == 1
    flip = Pose.from_matrix(np.reshape(discrete[0], (4, 4)))
    np.testing.assert_allclose(flip.apply([0.005, 0.03, 0]), [0.005, -0.03, 0.1], atol=1e-9)


@pytest.mark.parametrize("size", [SIZE, np.array([0.1, 0.1, 0.06]), np.array([0.1, 0.1, 0.1])])
def test_what_is_written_brings_a_box_back_to_itself(tmp_path, size):
    centre = np.array([0.3, -0.1, 0.02])
    vertices, uvs, faces = box(size, centre)
    axes = axes_of(save(tmp_path / "box.stl", vertices, uvs, faces))
    discrete, continuous = matrices(axes, centre)
    assert not continuous
    assert len(discrete) == {3: 3, 2: 7, 1: 23}[len(set(size.tolist()))]
    for row in discrete:
        moved = Pose.from_matrix(np.reshape(row, (4, 4))).apply(vertices)
        assert cKDTree(vertices).query(moved)[0].max() < 1e-6


def test_a_ball_is_the_same_at_every_angle(tmp_path):
    axes = axes_of(stl(tmp_path / "ball.stl", trimesh.creation.icosphere(3, radius=0.05)))
    discrete, continuous = matrices(axes, np.zeros(3))
    assert not discrete
    assert len(continuous) == 3


def test_a_mug_has_no_symmetry(tmp_path):
    body = trimesh.creation.cylinder(radius=0.04, height=0.1, sections=48)
    handle = trimesh.creation.box([0.03, 0.01, 0.06])
    handle.apply_translation([0.05, 0, 0])
    axes = axes_of(stl(tmp_path / "mug.stl", body + handle))
    assert [axis.look for axis in axes] == [2, 1, 1]


def test_the_bumps_of_a_ball_count(tmp_path):
    axes = axes_of(save(tmp_path / "bumpy.stl", *bumpy(40)))
    assert axes[2].shape != CONTINUOUS
