"""The path tracer: the same labels as the rasteriser, the same image every time, light that goes round corners."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from dope_datagen.renderers.path import mitsuba_variant
from dope_datagen.scenes.scene import Light
from dope_ros2.common.errors import UserError
from dope_ros2.geometry.camera import CameraModel
from dope_ros2.geometry.pose import Pose
from dope_ros2.meshes.mesh import facets
from helpers.crowded_scene import OFF_CENTRE, body, scene

pytest.importorskip("mitsuba")
OBLONG = CameraModel(np.array([[140.0, 0, 62.3], [0, 132, 71.8], [0, 0, 1]]), 160, 120)
FINE = 16  # times finer pixels show where a corner lies to a sixteenth of a pixel


@pytest.fixture(scope="module")
def path(assets):
    from dope_datagen.renderers.path.path_tracer import PathTracer

    return PathTracer(assets, samples=4)


@pytest.mark.parametrize(("seed", "camera"), [*((seed, OFF_CENTRE) for seed in range(3)), (3, OBLONG)])
def test_both_renderers_give_the_same_labels(path, raster, seed, camera):
    one, two = (renderer.render(scene(seed, camera), depth=True) for renderer in (path, raster))
    for number in (1, 2):
        first, second = one.ids == number, two.ids == number
        if (first | second).sum() > 100:
            assert (first & second).sum() / (first | second).sum() > 0.98
    seen = (one.depth > 0) & (two.depth > 0)
    assert ((one.depth > 0) == (two.depth > 0)).mean() > 0.999
    assert np.quantile(np.abs(one.depth - two.depth)[seen] / two.depth[seen], 0.99) < 0.005
    np.testing.assert_allclose(one.alone, two.alone, rtol=0.01, atol=3)


def wedge():
    """An asymmetric solid: a tetrahedron with four different edges at its first corner [m]."""
    corners = np.array([[0, 0, 0], [0.2, 0.01, 0], [0.02, 0.13, 0.03], [-0.05, 0.02, 0.17]])
    return corners, facets(corners[[[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]]])


def around(points, camera):
    """The part of a camera's image that shows points (N, 3), with 16 pixels around them."""
    seen = camera.project(points)
    first, last = np.floor(seen.min(0)).astype(int) - 16, np.ceil(seen.max(0)).astype(int) + 17
    shift = np.zeros((3, 3))
    shift[:2, 2] = first
    return CameraModel(camera.K - shift, *map(int, last - first))


@pytest.fixture(params=["path", "raster"])
def ids_of(request, assets):
    """A function that gives the ids of a scene, as a renderer finds them."""
    if request.param == "raster":
        raster = request.getfixturevalue("raster")
        return lambda scene: raster.render(scene).ids
    from dope_datagen.renderers.path import ray_casting

    request.getfixturevalue("path")  # which has chosen a variant of Mitsuba
    return lambda scene: ray_casting.cast(scene, assets)[0]


def test_corners_are_seen_where_the_camera_model_projects_them(ids_of, assets):
    corners, assets._meshes["wedge"] = wedge()
    pose = Pose.from_rotvec([0.4, -0.5, 0.3], [-0.05, -0.06, 0.6])
    fine = around(pose.apply(corners), OFF_CENTRE.resized(OFF_CENTRE.width * FINE, OFF_CENTRE.height * FINE))
    shown = replace(scene(0, fine), bodies=(body("wedge", pose, name="carton"),))
    mask = (ids_of(shown) == 1).astype(np.uint8)
    outline = cv2.convexHull(np.argwhere(mask)[:, ::-1].astype(np.float32))[:, 0]
    expected = fine.project(pose.apply(corners))
    for corner in expected[cv2.convexHull(expected.astype(np.float32), returnPoints=False)[:, 0]]:
        assert np.linalg.norm(outline - corner, axis=1).min() < 0.1 * FINE
    hull = cv2.convexHull(expected.astype(np.float32))
    assert max(-cv2.pointPolygonTest(hull, tuple(map(float, p)), True) for p in outline) < 0.1 * FINE


def test_a_textured_face_is_the_same_way_round_as_the_rasteriser_shows_it(path, raster):
    pose = Pose.from_rotvec([0.2, 0.3, 0.1], [0, 0, 0.35])
    shown = replace(scene(0), bodies=(body("object:carton", pose, name="carton", roughness=0.9),), lights=())
    one, two = (r.render(shown) for r in (path, raster))
    inside = (one.ids == 1) & (two.ids == 1)
    first, second = (r.rgb[inside].mean(-1) for r in (one, two))
    assert np.corrcoef(first, second)[0, 1] > 0.8


def test_what_shades_the_lamp_makes_it_darker(path):
    floor = body("plane", Pose.from_rotvec([np.pi, 0, 0], [0, 0, 0.9]), 3.0, texture="none")
    blind = body("cube", Pose(np.eye(3), np.array([0.0, 0.0, 0.6])), 0.2, texture="none")
    lamp = (Light((0.5, 0.0, -0.87), (2.0, 2.0, 2.0), True),)
    bare, shaded = (
        path.render(replace(scene(0), bodies=bodies, lights=lamp)).rgb for bodies in ((floor,), (floor, blind))
    )
    darker = bare.astype(int).mean(-1) - shaded.astype(int).mean(-1)
    left = slice(0, 50)  # the shadow falls away from the lamp, to the left of the blind
    assert (darker[:, left] > 25).mean() > 0.01


def test_an_empty_scene_shows_the_backdrop(path):
    rendering = path.render(replace(scene(0), bodies=()), depth=True)
    assert rendering.rgb.std() > 0
    assert not rendering.ids.any()
    assert not rendering.depth.any()
    assert rendering.alone.shape == (0, 2)


SCALAR = """
import sys, zlib
from dope_ros2.objects.object_model import load_objects
from helpers.crowded_scene import OFF_CENTRE, scene
from dope_datagen.assets.library import Assets
from dope_datagen.renderers.path.path_tracer import PathTracer
tracer = PathTracer(Assets(load_objects()), samples=2)
for seed in map(int, sys.argv[1:]):
    rendering = tracer.render(scene(seed, OFF_CENTRE.resized(80, 60)))
    print(tracer.device, seed, zlib.crc32(rendering.rgb.tobytes()), zlib.crc32(rendering.ids.tobytes()))
"""


def scalar(*seeds):
    """Checksums of scenes as a process of its own renders them with the scalar variant, by seed."""
    repo = Path(__file__).resolve().parents[4]
    environment = {
        **os.environ,
        mitsuba_variant.CHOSEN: "scalar",
        "PYTHONPATH": os.pathsep.join([str(repo), str(repo / "test")]),
    }
    done = subprocess.run(
        [sys.executable, "-c", SCALAR, *map(str, seeds)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return sorted(line for line in done.stdout.splitlines() if line.startswith("scalar"))


def test_the_scalar_variant_renders_the_same_picture_in_any_order_and_process():
    checksums = scalar(0, 1)
    assert checksums == scalar(1, 0)
    assert len(set(checksums)) == 2


def test_a_wish_for_an_unknown_variant_is_refused(monkeypatch):
    monkeypatch.setenv(mitsuba_variant.CHOSEN, "warp")
    mitsuba_variant.choose.cache_clear()
    with pytest.raises(UserError, match="DOPE_MITSUBA=warp: is not one of cuda, llvm, scalar"):
        mitsuba_variant.choose()
    mitsuba_variant.choose.cache_clear()


def test_the_newest_llvm_is_found_and_old_ones_are_not(tmp_path, monkeypatch):
    monkeypatch.delenv("DRJIT_LIBLLVM_PATH", raising=False)
    monkeypatch.setattr(mitsuba_variant, "FOLDERS", (str(tmp_path),))
    (tmp_path / "libLLVM-15.so.1").touch()
    assert mitsuba_variant.find_llvm() is None
    for name in ("libLLVM.so.19.1", "libLLVM-20.so"):
        (tmp_path / name).touch()
    assert mitsuba_variant.find_llvm() == tmp_path / "libLLVM-20.so"


def test_pixels_that_are_far_from_square_are_refused(path):
    K = np.array([[140.0, 0, 80], [0, 160, 60], [0, 0, 1]])
    with pytest.raises(UserError, match=r"focal lengths of 140 and 160 px .* use renderer: raster"):
        path.render(replace(scene(0), K=tuple(K.ravel())))
