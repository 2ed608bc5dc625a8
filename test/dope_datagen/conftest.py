import pytest

from dope_ros2.common.errors import UserError
from dope_ros2.objects.object_model import load_objects


@pytest.fixture(scope="session")
def assets():
    from dope_datagen.assets.library import Assets

    return Assets(load_objects())


@pytest.fixture(scope="session")
def only_raster(assets):
    from dope_datagen.renderers.raster.rasterizer import Raster

    try:
        return Raster(assets)
    except UserError as error:
        pytest.skip(str(error))


@pytest.fixture
def raster(only_raster):
    """The one rasteriser of all tests; a test before may have left another OpenGL context behind as the current one."""
    with only_raster._ctx:
        yield only_raster


@pytest.fixture
def small_config(tmp_path):
    """A configuration file that is quick to render: the carton alone, small images."""
    path = tmp_path / "small.yaml"
    path.write_text(
        "objects: {carton: 1}\nwidth: 96\nheight: 64\nfocal: [80, 120]\nsize_px: [20, 60]\nvariety: 2\n"
        "modes: {float: 6, stand: 4}\nnb_frames: 1\nnb_objects: [1, 6]\nnb_distractors: [0, 3]\n"
        "pybullet_meshes: false\n"
    )
    return path
