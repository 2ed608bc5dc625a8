"""A run goes on with the normalisation and the maps of the weights that it starts from, and writes them down."""

from contextlib import contextmanager

import numpy as np
import pytest
import torch
from torch import nn

from dope_ros2.common.errors import UserError
from dope_ros2.estimation.map_decoder import decode
from dope_ros2.legacy.checkpoints import PROFILES, import_paper
from dope_ros2.network.architectures import make_network
from dope_ros2.network.metadata import Conventions, Metadata, TrainedObject
from dope_ros2.network.weights import load, save
from dope_training.commands.train import main
from dope_training.config import TrainConfig
from dope_training.objective.crop_batch import CropBatch
from dope_training.objective.training_module import BeliefModule
from dope_training.trainer.initialization import start_from
from helpers.tiny_training import CARTON, RECIPE, make_store, write_recipe

pytestmark = pytest.mark.usefixtures("denormals")

ENTRY = TrainedObject(name="carton", size=CARTON.size, centre=CARTON.centre)
HALF = (0.5, 0.5, 0.5)
SHORT = {"steps": 2, "validate_every": 2, "validation_images": 2}
PUBLISHED = {"architecture": "paper", "affinity": "unit", "sigma": 0.5, "optimizer": "sgd"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("data") / "store")


@pytest.fixture
def run(tmp_path, data):
    """Trains in a folder; returns the metadata of its weights and what its network was shown."""

    def trained(out, *more, **changes):
        recipe = write_recipe(tmp_path / "recipe.yaml", **SHORT | changes)
        with pictures_shown() as shown:
            arguments = [recipe, "--data", data, "--out", tmp_path / out, "--workers", "0", *more]
            assert main([str(argument) for argument in arguments]) == 0
        return load(tmp_path / out / "weights.safetensors")[1], torch.cat(shown)

    return trained


@contextmanager
def pictures_shown():
    """Everything that a first layer of any network is given, flat."""
    shown = []

    def listen(module, inputs):
        if isinstance(module, nn.Conv2d) and module.in_channels == 3:
            shown.append(inputs[0].detach().flatten())

    handle = torch.nn.modules.module.register_module_forward_pre_hook(listen)
    yield shown
    handle.remove()


def normalised_by_half(values):
    """Whether these are all the values from 0 to 255, taken to -1 to 1."""
    bytes_ = (values.float() * 0.5 + 0.5) * 255
    return bool((bytes_ - bytes_.round()).abs().max() < 1e-3) and (bytes_.min(), bytes_.max()) == (0, 255)


@pytest.fixture
def half(tmp_path):
    """Weights of a small network whose images are normalised by 0.5 and 0.5."""
    torch.manual_seed(0)
    metadata = Metadata(architecture="plain", objects=(ENTRY,), mean=HALF, std=HALF)
    save(tmp_path / "half.safetensors", make_network("plain", 1), metadata)
    return tmp_path / "half.safetensors"


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """What `dope import-weights --profile nvlabs-2018` makes of a public file."""
    folder = tmp_path_factory.mktemp("imported")
    torch.save({f"module.{k}": v for k, v in make_network("paper", 1).state_dict().items()}, folder / "net.pth")
    save(folder / "old.safetensors", *import_paper(folder / "net.pth", CARTON, "nvlabs-2018"))
    return folder / "old.safetensors"


def test_a_run_from_nothing_normalises_as_imagenet(run):
    metadata, shown = run("run", architecture="plain")
    assert metadata.conventions == Conventions()
    assert not normalised_by_half(shown)
    assert shown.max() > 2.2


def test_a_run_keeps_the_normalisation_of_the_weights_that_it_starts_from_also_when_it_goes_on(run, half, capsys):
    metadata, shown = run("run", "--net", half, architecture="plain")
    assert normalised_by_half(shown)
    assert (metadata.mean, metadata.std) == (HALF, HALF)
    assert "images have mean 0.5 0.5 0.5 and deviation 0.5 0.5 0.5" in capsys.readouterr().out
    metadata, shown = run("run", "--resume", architecture="plain", steps=4)
    assert normalised_by_half(shown)
    assert (metadata.mean, metadata.std, metadata.training["steps_done"]) == (HALF, HALF, 4)


def test_a_checkpoint_to_start_from_says_how_its_pictures_are_normalised(run, half, tmp_path):
    run("first", "--net", half, architecture="plain")
    metadata, shown = run("second", "--net", tmp_path / "first" / "checkpoints" / "best.ckpt", architecture="plain")
    assert normalised_by_half(shown)
    assert metadata.mean == HALF


def test_a_checkpoint_that_says_nothing_of_its_pictures_goes_on_as_imagenet(run, tmp_path):
    run("run", architecture="plain")
    [path] = (tmp_path / "run" / "checkpoints").glob("step-*.ckpt")
    state = torch.load(path, weights_only=True)
    assert state.pop("conventions")
    torch.save(state, path)
    metadata, shown = run("run", "--resume", architecture="plain", steps=4)
    assert metadata.conventions == Conventions()
    assert metadata.training["steps_done"] == 4
    assert shown.max() > 2.2
    metadata, _ = run("other", "--net", path, architecture="plain")
    assert metadata.conventions == Conventions()


@pytest.mark.slow
def test_training_goes_on_from_an_imported_file_as_it_was_trained(run, imported):
    metadata, shown = run("run", "--net", imported, **PUBLISHED)
    assert normalised_by_half(shown)
    assert metadata.conventions == PROFILES["nvlabs-2018"]


def test_an_imported_file_brings_its_normalisation_and_a_public_one_is_taken_as_imagenets(imported, data):
    module = BeliefModule(TrainConfig(**RECIPE | PUBLISHED))
    said = start_from(module, str(imported.with_name("net.pth")))
    assert "a .pth does not say how its images were normalised: taken as ImageNet's" in said
    assert module.conventions == PROFILES["native"]
    said = start_from(module, str(imported))
    assert said.endswith("all layers taken; as there, images have mean 0.5 0.5 0.5 and deviation 0.5 0.5 0.5, and "
                         "maps begin at 3.516 px")  # fmt: skip
    image = torch.tensor([0, 51, 255], dtype=torch.uint8).repeat(1, 8, 8, 1)
    batch = CropBatch.of_keypoints(torch.zeros(1, 9, 2), (8, 8))._replace(image=image)
    np.testing.assert_allclose(module.normalised(batch)[0, :, 0, 0], [-1, -0.6, 1], atol=1e-6)


@pytest.mark.parametrize("profile", PROFILES)
def test_targets_are_drawn_where_maps_of_that_kind_are_read(profile):
    module = BeliefModule(TrainConfig(**RECIPE))
    conventions = PROFILES[profile]._replace(sigma=1.0, affinity="offset")
    module.adopt(conventions)
    keypoints = np.random.default_rng(1).uniform(30, 130, (9, 2))
    batch = CropBatch.of_keypoints(torch.tensor(keypoints, dtype=torch.float32)[None], (160, 160))
    maps, spec = module.wanted(batch).maps, module.config.map_spec
    [instance] = decode(maps.belief[0].numpy(), maps.affinity[0].numpy(), spec, 0.3)
    read = instance.keypoints + conventions.origin - (spec.stride - 1) / 2  # as the estimator reads them
    np.testing.assert_allclose(read, keypoints, atol=0.05)


@pytest.mark.parametrize(
    ("metadata", "line"),
    [
        (
            {"sigma": 0.5},
            "its maps have sigma 0.5 and affinity offset, but the recipe asks for sigma 1 and aff",
        ),
        ({"affinity": "unit"}, "set `sigma: 1` and `affinity: unit` or start from another file"),
        ({"origin": 0.0}, "its maps begin at 0 px, and a plain is trained with maps that begin at 3.5 px"),
    ],
)
def test_weights_whose_maps_mean_something_else_are_refused_in_one_line(tmp_path, metadata, line):
    save(tmp_path / "w.safetensors", make_network("plain", 1),
         Metadata(architecture="plain", objects=(ENTRY,), **metadata))  # fmt: skip
    module = BeliefModule(TrainConfig(**RECIPE | {"architecture": "plain"}))
    before = {name: value.clone() for name, value in module.state_dict().items()}
    with pytest.raises(UserError) as caught:
        start_from(module, str(tmp_path / "w.safetensors"))
    assert line in str(caught.value)
    assert "\n" not in str(caught.value)
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
