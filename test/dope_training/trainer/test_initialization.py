"""What a run starts from, and what other code can read of it: channels by object, public files."""

import zipfile

import pytest
import torch

from dope_ros2 import cli
from dope_ros2.common.errors import UserError
from dope_ros2.network.architectures import ARCHITECTURES, make_network
from dope_ros2.network.metadata import Metadata, TrainedObject
from dope_ros2.network.weights import load, save
from dope_training.config import TrainConfig
from dope_training.data.split import TrainingStore
from dope_training.objective.training_module import BeliefModule
from dope_training.train import RunOptions, train
from dope_training.trainer.checkpoints import FORMAT
from dope_training.trainer.initialization import Repeat, repeats_of, start_from
from helpers.tiny_training import CARTON, RECIPE, make_store

pytestmark = pytest.mark.usefixtures("denormals")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("data") / "store")


def module_of(architecture, *objects):
    return BeliefModule(TrainConfig(**RECIPE | {"architecture": architecture, "objects": list(objects)}))


def test_what_grows_with_the_objects_is_known():
    assert repeats_of("tiny")["head.weight"] == Repeat(0, 0, 25)
    lite = repeats_of("dope-lite")
    assert lite["head.weight"] == Repeat(0, 0, 25)
    assert lite["merge.0.weight"] == Repeat(1, 96, 4)
    assert not [name for name in lite if name.startswith(("trunk", "stem", "lateral", "smooth"))]


def test_starting_takes_the_trunk_and_the_objects_that_both_know(tmp_path):
    old, module = make_network("tiny", 2).eval(), module_of("tiny", "can", "cup", "box").eval()
    new = module.network
    random = {name: value.clone() for name, value in new.state_dict().items()}
    entries = tuple(TrainedObject(name=name, size=(0.1, 0.1, 0.1)) for name in ("box", "can"))
    save(tmp_path / "old.safetensors", old, Metadata(architecture="tiny", objects=entries))
    said = start_from(module, str(tmp_path / "old.safetensors"))
    assert said.endswith("old.safetensors: trunk taken, channels taken of: can, box, random for: cup")
    image = torch.randn(1, 3, 32, 32)
    for mine, theirs in zip(new(image), old(image), strict=True):
        torch.testing.assert_close(mine[:, [2, 0]], theirs, atol=5e-3, rtol=5e-3)  # stored in half precision
    assert torch.equal(new.state_dict()["head.bias"][25:50], random["head.bias"][25:50])


def test_starting_from_another_network_is_refused(tmp_path):
    entry = TrainedObject(name="carton", size=CARTON.size)
    save(tmp_path / "w.safetensors", make_network("tiny", 1), Metadata(architecture="tiny", objects=(entry,)))
    with pytest.raises(UserError, match="is a tiny, but the recipe asks for a dope-lite"):
        start_from(module_of("dope-lite", "carton"), str(tmp_path / "w.safetensors"))
    with pytest.raises(UserError, match="no such file"):
        start_from(module_of("tiny", "carton"), str(tmp_path / "none.ckpt"))
    with pytest.raises(UserError, match="no ImageNet weights for the trunk of tiny"):
        start_from(module_of("tiny", "carton"), "imagenet")
    assert "has its fixed features from there" in start_from(module_of("dope-lite", "carton"), "imagenet")


@pytest.mark.parametrize("names", [["box"], ["box", "cup"]])
def test_weights_of_an_older_layout_are_refused_whatever_their_objects(tmp_path, names):
    old = make_network("tiny", 1)
    state = {"format": FORMAT, "architecture": "tiny", "objects": ["box"], "optimizer": "adamw"}
    tensors = {f"network.{name}": value for name, value in old.state_dict().items() if "surface" not in name}
    torch.save(state | {"average": tensors}, tmp_path / "old.ckpt")
    with pytest.raises(UserError, match="its layers are not those of this network"):
        start_from(module_of("tiny", *names), str(tmp_path / "old.ckpt"))


@pytest.fixture(scope="module")
def paper(tmp_path_factory):
    """Weights of the published network."""
    path = tmp_path_factory.mktemp("paper") / "paper.safetensors"
    entry = TrainedObject(name="carton", size=CARTON.size, centre=CARTON.centre)
    save(path, make_network("paper", 1), Metadata(architecture="paper", objects=(entry,), affinity="unit", sigma=0.5))
    return path


@pytest.mark.parametrize("more", [[], ["--old-format"], ["--bare"]])
def test_public_files_come_back_as_they_went(tmp_path, paper, more):
    public, back = tmp_path / "net_carton_0060.pth", tmp_path / "back.safetensors"
    assert cli.main(["export-legacy", str(paper), "--out", str(public), *more]) == 0
    assert zipfile.is_zipfile(public) == (more != ["--old-format"])
    state = torch.load(public, weights_only=True)
    assert all(name.startswith("module.") == (more != ["--bare"]) for name in state)
    assert len(state) == len(ARCHITECTURES["paper"]().state_dict())
    command = ["import-weights", str(public), "--object", "carton", "--profile", "native", "--out", str(back)]
    assert cli.main(command) == 0
    (one, before), (other, after) = load(paper), load(back)
    for tensor, same in zip(one.state_dict().values(), other.state_dict().values(), strict=True):
        assert torch.equal(tensor, same)
    assert (after.origin, after.mean, after.sigma, after.affinity) == (
        before.origin, before.mean, before.sigma, before.affinity,
    )  # fmt: skip


def test_only_the_published_network_becomes_a_public_file(tmp_path, data, capsys):
    entry = TrainedObject(name="carton", size=CARTON.size)
    save(tmp_path / "w.safetensors", make_network("tiny", 1), Metadata(architecture="tiny", objects=(entry,)))
    assert cli.main(["export-legacy", str(tmp_path / "w.safetensors"), "--out", str(tmp_path / "x.pth")]) == 2
    assert "is a tiny, which DOPE's code does not know" in capsys.readouterr().err
    with pytest.raises(UserError, match="--save-legacy: DOPE's code does not know tiny"):
        train(TrainConfig(**RECIPE), RunOptions(data=[TrainingStore(data)], out=tmp_path / "run", save_legacy=True))


@pytest.mark.slow
def test_the_published_network_leaves_public_files_of_its_epochs(tmp_path, data):
    changes = {"architecture": "paper", "affinity": "unit", "epochs": 1, "batch_size": 16, "validation_images": 1}
    recipe = TrainConfig(**RECIPE | changes)
    options = RunOptions(data=[TrainingStore(data)], out=tmp_path / "run", workers=0, save_legacy=True)
    weights = train(recipe, options)
    files = sorted(file.name for file in (tmp_path / "run").glob("*.pth"))
    assert files == ["net_carton_0001.pth"]
    [name, *_], network = torch.load(tmp_path / "run" / files[0], weights_only=True), load(weights)[0]
    assert name == "module.vgg.0.weight"
    assert network is not None
