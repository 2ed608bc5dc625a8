import mmap
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from dope_ros2.commands.export import Target, export, main
from dope_ros2.common.errors import UserError
from dope_ros2.common.python_packages import too_old
from dope_ros2.engines import registry
from dope_ros2.engines.registry import of_network, start
from dope_ros2.engines.torch_engine import TYPING, Torch
from dope_ros2.network import weights
from dope_ros2.network.dope_lite import DopeLite
from dope_ros2.network.metadata import Metadata, TrainedObject

CPU = torch.device("cpu")
OBJECTS = tuple(TrainedObject(name=name, size=(0.1, 0.1, 0.1)) for name in ("box", "can"))
INSTALLED = [name for name in ("torch", "openvino", "onnxruntime") if find_spec(registry.KINDS[name].needs)]
SIZES = [(1, 64, 96), (3, 96, 64), (1, 160, 160)]


@pytest.fixture(scope="module")
def network():
    """A light network whose maps are not all alike."""
    torch.manual_seed(0)
    network = DopeLite(len(OBJECTS)).eval()
    for layer in (network.head, network.surface):
        torch.nn.init.normal_(layer.weight, std=0.3)
    return network


@pytest.fixture(scope="module")
def metadata():
    return Metadata(architecture="dope-lite", objects=OBJECTS, crop=160, input_height=320)


@pytest.fixture(scope="module")
def file(network, metadata, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "two.safetensors"
    weights.save(path, network, metadata)
    return path


def pictures(count, height, width):
    return np.random.default_rng(count).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", INSTALLED)
def test_every_engine_gives_the_maps_of_the_network(name, size, network, metadata):
    seen = pictures(*size)
    normal = (torch.from_numpy(seen).permute(0, 3, 1, 2) / 255 - torch.tensor(metadata.mean)[:, None, None]) / (
        torch.tensor(metadata.std)[:, None, None]
    )
    with torch.no_grad():
        belief, affinity, surface = network(normal)
    answer = of_network(network, metadata, name, CPU)(seen)
    for expected, got in zip((belief, affinity, surface.sigmoid()), answer, strict=True):
        assert got.dtype == np.float32
        scale = expected.abs().max().item()
        np.testing.assert_allclose(got, expected.numpy(), atol=0.03 * scale)  # bfloat16 has 8 bits


@pytest.mark.parametrize("name", INSTALLED)
def test_an_answer_is_not_overwritten_by_the_next_one(name, network, metadata):
    engine = of_network(network, metadata, name, CPU)
    first = engine(pictures(1, 64, 96))[0]
    kept = first.copy()
    engine(255 - pictures(1, 64, 96))
    np.testing.assert_array_equal(first, kept)


class Small(torch.nn.Module):
    """Two maps, as the published network has."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Conv2d(3, 25, 8, 8)

    def forward(self, x):
        return self.layer(x)[:, None].split([9, 16], 2)


@pytest.fixture
def small():
    torch.manual_seed(0)
    return Small().eval(), Metadata(architecture="paper", objects=OBJECTS[:1])


def test_a_network_without_a_surface_has_two_maps(small):
    maps = [of_network(*small, name, CPU)(pictures(1, 64, 64)) for name in INSTALLED]
    assert all([m.shape for m in answer] == [(1, 1, 9, 8, 8), (1, 1, 16, 8, 8)] for answer in maps)


@pytest.mark.skipif(INSTALLED != ["torch", "openvino", "onnxruntime"], reason="needs openvino and onnxruntime")
@pytest.mark.parametrize("target", [Target.ONNX, Target.OPENVINO])
def test_an_exported_network_is_used_like_weights(target, file, tmp_path):
    out = tmp_path / f"two{'.onnx' if target is Target.ONNX else '.xml'}"
    weights.write_appearances(out, {"gone": {"points": np.zeros(3, np.uint16)}})  # of an earlier network of that name
    assert main([str(file), "--to", target, "--out", str(out)]) == 0
    engine, metadata = start(out, "auto", "cpu")
    assert metadata == weights.load(file)[1]
    assert "openvino" in engine.name
    assert not [path for path in tmp_path.iterdir() if path.stem != "two"]  # nothing half done is left


@pytest.mark.skipif("onnxruntime" not in INSTALLED, reason="needs onnxruntime")
def test_what_objects_look_like_goes_along_in_a_file_beside_the_network(file, tmp_path):
    looks = {"box": {"points": np.array([[0, 65_535, 9]], np.uint16)}, "can": {"normals": np.array([-127], np.int8)}}
    path = tmp_path / "two.safetensors"
    path.write_bytes(file.read_bytes())
    weights.write_appearances(path, looks)
    assert main([str(path), "--to", Target.ONNX]) == 0
    again = weights.read_appearances(tmp_path / "two.onnx")
    assert again.keys() == looks.keys()
    np.testing.assert_array_equal(again["box"]["points"], looks["box"]["points"])
    assert {each.name for each in tmp_path.iterdir()} == {path.name, "two.onnx", "two.onnx.appearance.safetensors"}


@pytest.mark.skipif("onnxruntime" not in INSTALLED, reason="needs onnxruntime")
def test_a_network_whose_answers_changed_is_not_kept(file, tmp_path, monkeypatch):
    monkeypatch.setattr("dope_ros2.commands.export.MAX_DIFFERENCE", 0.0)
    with pytest.raises(UserError, match="not written"):
        export(file, Target.ONNX, tmp_path / "two.onnx")
    assert not list(tmp_path.iterdir())


def test_the_fastest_engine_that_works_is_taken_and_what_failed_is_remembered(network, metadata, monkeypatch):
    def broken(*_):
        raise RuntimeError("no such instruction\nat address 0")

    for name in INSTALLED[1:]:
        monkeypatch.setattr(registry._kind(name), "of_network", broken)
    engine = of_network(network, metadata, "auto", CPU)
    assert isinstance(engine, Torch)
    assert engine.fallback == "; ".join(f"{name}: no such instruction" for name in INSTALLED[1:])


def test_with_typing_extensions_of_ubuntu_a_compiled_network_is_one_line(small, monkeypatch):
    monkeypatch.setattr("dope_ros2.engines.torch_engine.too_old", lambda requirement: "4.10.0")
    with pytest.raises(UserError, match=r"typing_extensions 4.10.0 is too old; pip install .typing_extensions>=4.12"):
        of_network(*small, "torch-compiled", CPU)


def test_what_would_be_faster_is_told_with_the_command_that_installs_it(network, metadata, monkeypatch):
    engine = of_network(network, metadata, "torch", CPU)
    monkeypatch.setattr(registry, "unmet", lambda requirements: requirements)
    text = registry.advice("auto", engine, "cpu")
    assert text.startswith("torch on cpu runs the network, which takes OpenVINO about half the time: pip install ")
    assert {'"onnx>=1.16"', '"openvino>=2024.4"'} <= set(text.split())
    assert registry.advice("torch", engine, "cpu") == ""  # as asked for


def test_what_would_be_faster_but_failed_is_told_with_the_reason(network, metadata, monkeypatch):
    engine = of_network(network, metadata, "torch", CPU)
    monkeypatch.setattr(registry, "unmet", lambda requirements: [])
    monkeypatch.setattr(engine, "fallback", "openvino: no such instruction")
    assert registry.advice("auto", engine, "cpu").endswith("since others do not work: openvino: no such instruction")
    monkeypatch.setattr(engine, "fallback", "")
    assert registry.advice("auto", engine, "cpu") == ""


def test_an_engine_that_is_asked_for_by_name_is_not_replaced(file, monkeypatch):
    monkeypatch.setitem(registry.KINDS, "openvino", registry.Kind("dope_ros2.engines.none:None", "openvino"))
    with pytest.raises(UserError, match="pip install openvino"):
        start(file, "openvino", "cpu")


def test_an_unknown_engine_is_refused_with_those_that_are_known(file):
    with pytest.raises(UserError, match="auto, torch, torch-compiled, openvino, onnxruntime, tensorrt"):
        start(file, "tensorflow", "cpu")


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_garbage_is_no_exported_network(suffix, tmp_path):
    path = tmp_path / f"bad{suffix}"
    path.write_bytes(b"\x08garbage" * 100)
    with pytest.raises(UserError, match=f"bad{suffix}"):
        start(path, "auto", "cpu")


def test_an_engine_says_which_files_it_reads(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"")
    with pytest.raises(UserError, match=r"torch does not read \.onnx"):
        start(tmp_path / "a.onnx", "torch", "cpu")


@pytest.mark.skipif("onnxruntime" not in INSTALLED, reason="needs onnxruntime")
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_tensorrt_without_a_gpu_says_what_it_needs(network, metadata):
    with pytest.raises(UserError, match="install onnxruntime-gpu"):
        of_network(network, metadata, "tensorrt", CPU)


@pytest.mark.skipif(too_old(TYPING) is not None, reason=f"needs {TYPING}")
def test_a_compiled_network_gives_the_same_maps(small):
    one, other = (of_network(*small, name, CPU)(pictures(1, 64, 96)) for name in ("torch", "torch-compiled"))
    for a, b in zip(one, other, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.skipif("openvino" not in INSTALLED, reason="needs openvino")
def test_nothing_is_reported_to_anybody(network, metadata):
    of_network(network, metadata, "openvino", CPU)
    from openvino.tools.ovc import telemetry_utils

    assert telemetry_utils.tm.__name__ == "openvino.tools.ovc.telemetry_stub"


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
@pytest.mark.parametrize("name", INSTALLED)
def test_weights_that_are_read_again_and_again_take_no_more_memory(name, file):
    taken = []
    for _ in range(8):
        start(file, name, "cpu")[0](pictures(1, 64, 96))
        taken.append(int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE)
    assert taken[-1] - taken[3] < 3 * file.stat().st_size
