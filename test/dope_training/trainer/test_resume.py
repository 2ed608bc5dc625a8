"""Runs that are killed, told to end, out of time or out of disk, and go on as if nothing had been."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch

from dope_ros2.network.weights import load
from dope_training.commands.train import main
from dope_training.trainer.checkpoints import Checkpoints, read
from helpers.small_disk import small_disk
from helpers.tiny_training import RECIPE, ended, losses, make_store, rows, server, steps, write_recipe

pytestmark = pytest.mark.usefixtures("denormals")

FLOAT_NOISE = {"rtol": 1e-4, "atol": 1e-6}
PATIENCE = 300  # [s]; for a run on a busy machine


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("data") / "store")


@pytest.fixture(scope="module")
def processes():
    with server() as both:
        yield both


@pytest.fixture
def command(tmp_path, data):
    """The arguments of a run in a folder, with changes to the recipe."""

    def arguments(out, *more, **changes):
        recipe = write_recipe(tmp_path / f"recipe-{len(list(tmp_path.iterdir()))}.yaml", **changes)
        return [str(recipe), "--data", str(data), "--out", str(tmp_path / out), "--workers", "0", *more]

    return arguments


def when(condition):
    """Wait until something is so."""
    end = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < end:
        time.sleep(0.002)
    assert condition()


def same_tensors(one, other):
    for (name, a), b in zip(load(one)[0].state_dict().items(), load(other)[0].state_dict().values(), strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), atol=2e-3, rtol=2e-3, err_msg=name)  # stored in half precision


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2])
def test_a_run_that_is_killed_ten_times_has_the_losses_of_one_that_is_not(tmp_path, processes, command, ranks):
    start, wait = processes
    log = tmp_path / "log"
    assert set(wait(start(command("whole"), log, ranks))) == {0}, log.read_text()
    assert steps(tmp_path / "whole") == list(range(1, 31))
    rng, run = np.random.default_rng(10 + ranks), tmp_path / "killed"
    goals = np.sort(rng.integers(1, 30, 10))
    for goal in goals:  # a moment after that step, wherever the run then is
        numbers = start(command("killed", "--resume"), log, ranks)
        when(lambda goal=goal, numbers=numbers: ended(numbers[0]) or max(steps(run), default=0) >= goal)
        time.sleep(rng.uniform(0, 0.03))
        for number in rng.permutation(numbers):  # one first; what it talked to may notice, or is killed too
            with suppress(ProcessLookupError):
                os.kill(int(number), signal.SIGKILL)
            time.sleep(rng.uniform(0, 0.03))
        assert -signal.SIGKILL in wait(numbers), log.read_text()
    assert set(wait(start(command("killed", "--resume"), log, ranks))) == {0}, log.read_text()
    assert steps(run) == list(range(1, 31))
    np.testing.assert_allclose(losses(run), losses(tmp_path / "whole"), **FLOAT_NOISE)
    np.testing.assert_allclose(
        [float(row["loss"]) for row in rows(run, "validation")],
        [float(row["loss"]) for row in rows(tmp_path / "whole", "validation")], **FLOAT_NOISE,
    )  # fmt: skip
    same_tensors(run / "weights.safetensors", tmp_path / "whole" / "weights.safetensors")
    assert "going on after step" in log.read_text()


@pytest.mark.parametrize("ranks", [1, 2])
def test_told_to_end_a_run_saves_at_once_and_goes_on_from_there(tmp_path, processes, command, ranks):
    start, wait = processes
    log, run = tmp_path / "log", tmp_path / "run"
    endless = {"steps": 100_000, "checkpoint_every": 100_000, "validate_every": 100_000}
    numbers = start(command("run", **endless), log, ranks)
    when(lambda: ended(numbers[0]) or len(steps(run)) > 5)
    os.kill(numbers[-1], signal.SIGTERM)  # of several ranks, one is enough
    assert wait(numbers) == [128 + signal.SIGTERM] * ranks, log.read_text()
    done = steps(run)[-1]
    assert Checkpoints(run, 1).newest()["step"] == done
    assert f"stopped after step {done} of 100000: told to end; --resume goes on" in log.read_text()
    more = endless | {"steps": done + 3}
    assert set(wait(start(command("run", "--resume", **more), log, ranks))) == {0}, log.read_text()
    assert steps(run) == list(range(1, done + 4))


def test_a_whole_group_of_processes_may_be_told_to_end(tmp_path, processes, command):
    start, wait = processes
    log, run = tmp_path / "log", tmp_path / "run"
    endless = {"steps": 100_000, "checkpoint_every": 100_000, "validate_every": 100_000}
    [number] = start(command("run", "--workers", "1", **endless), log)
    when(lambda: ended(number) or len(steps(run)) > 3)
    loaders = [int(child) for child in Path(f"/proc/{number}/task/{number}/children").read_text().split()]
    assert loaders
    for process in (*loaders, number):  # as SLURM and containers do
        os.kill(process, signal.SIGTERM)
    assert wait([number]) == [128 + signal.SIGTERM], log.read_text()
    assert "told to end; --resume goes on" in log.read_text()
    when(lambda: all(map(ended, loaders)))


def test_sub_batches_and_ranks_do_not_change_the_losses(tmp_path, processes, command):
    start, wait = processes
    changes = {"architecture": "plain", "steps": 8, "batch_size": 8, "validate_every": 8}
    changes |= {"optimizer": "sgd", "learning_rate": 1e-4, "clip": 1e9}  # which the size of a gradient matters to
    for name, ranks, size in (("whole", 1, 0), ("parts", 1, 3), ("ranks", 2, 1)):
        assert set(wait(start(command(name, **changes, subbatch_size=size), tmp_path / "log", ranks))) == {0}
    assert len(losses(tmp_path / "whole")) == 8
    np.testing.assert_allclose(losses(tmp_path / "parts"), losses(tmp_path / "whole"), rtol=1e-5)
    np.testing.assert_allclose(losses(tmp_path / "ranks"), losses(tmp_path / "whole"), rtol=1e-5)


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_run_goes_on_with_another_number_of_devices(tmp_path, processes, command, optimizer):
    start, wait = processes
    changes = {"architecture": "plain", "learning_rate": 1e-3, "warmup": 100, "optimizer": optimizer}
    for name, ranks in (("same", (1, 1, 1)), ("changing", (1, 2, 1))):
        for end, number in zip((3, 6, 9), ranks, strict=True):
            arguments = command(name, "--resume", steps=end, **changes)
            assert set(wait(start(arguments, tmp_path / "log", number))) == {0}, (tmp_path / "log").read_text()
    np.testing.assert_allclose(losses(tmp_path / "changing"), losses(tmp_path / "same"), rtol=1e-4)


def test_a_run_ends_when_its_time_is_over_and_goes_on_later(tmp_path, command, capsys):
    assert main(command("run", "--max-time", "0:00:01", steps=100_000, validate_every=100_000)) == 0
    done = steps(tmp_path / "run")[-1]
    assert f"stopped after step {done} of 100000: its time is over" in capsys.readouterr().out
    assert load(tmp_path / "run" / "weights.safetensors")[1].training["steps_done"] == done
    assert main(command("run", "--resume", steps=done + 2)) == 0
    assert steps(tmp_path / "run") == list(range(1, done + 3))


def test_more_epochs_can_be_added_later(tmp_path, command):
    assert main(command("run", epochs=1)) == 0
    assert steps(tmp_path / "run")[-1] == 4  # 16 images in batches of 4
    assert main(command("run", "--resume", "--epochs", "2")) == 0
    assert rows(tmp_path / "run")[-1]["step"] == "8"
    assert {row["epoch"] for row in rows(tmp_path / "run")[:3]} == {"1"}


def test_a_loss_that_is_not_a_number_ends_the_run_and_the_last_good_state_is_kept(tmp_path, command, capsys):
    assert main(command("run", steps=4, optimizer="sgd")) == 0
    assert main(command("run", "--resume", steps=20, optimizer="sgd", learning_rate=1e30)) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "the loss is not a number any more" in error
    assert "--resume and a lower --learning-rate" in error
    state = Checkpoints(tmp_path / "run", 3).newest()
    assert state["step"] == 4
    assert all(torch.isfinite(tensor).all() for tensor in state["network"].values())
    assert main(command("run", "--resume", "--learning-rate", "0.001", steps=8, optimizer="sgd")) == 0


def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(tmp_path, command, capsys):
    assert main(command("run", steps=8)) == 0
    last = sorted((tmp_path / "run" / "checkpoints").glob("step-*"))[-1]
    last.write_bytes(last.read_bytes()[:5000])
    assert main(command("run", "--resume", steps=12, keep=1)) == 0
    output = capsys.readouterr()
    assert f"{last}: not a whole checkpoint" in output.err
    assert "going on after step 4" in output.out
    assert steps(tmp_path / "run") == list(range(1, 13))
    assert [file.name for file in sorted(last.parent.iterdir())] == ["best.ckpt", "step-00000012.ckpt"]


def test_the_last_few_and_the_best_are_kept(tmp_path, command):
    assert main(command("run", steps=24, keep=2)) == 0
    kept = sorted((tmp_path / "run" / "checkpoints").iterdir())
    assert [file.name for file in kept] == ["best.ckpt", "step-00000020.ckpt", "step-00000024.ckpt"]
    best = min(rows(tmp_path / "run", "validation"), key=lambda row: float(row["loss"]))
    assert read(kept[0])["step"] == int(best["step"])


def test_a_plateau_ends_the_run_where_patience_is_given(tmp_path, command, capsys):
    changes = {"steps": 100, "validate_every": 2, "patience": 2, "learning_rate": 1e-12, "ema": 0.0}
    assert main(command("run", **changes)) == 0
    assert "stopping: no better validation in the last 2" in capsys.readouterr().out
    assert steps(tmp_path / "run")[-1] < 100


@pytest.fixture
def disk(tmp_path):
    """A file system of 2 MB."""
    with small_disk(tmp_path / "disk", "2m") as folder:
        yield folder


def test_on_a_disk_that_is_full_the_last_good_checkpoint_stays_and_the_run_goes_on_when_there_is_room(
    disk, command, capsys
):
    run = disk / "run"
    assert main(command("disk/run", steps=4)) == 0
    space = os.statvfs(disk)
    (disk / "filler").write_bytes(bytes(space.f_bavail * space.f_frsize - 12_000))
    assert main(command("disk/run", "--resume", steps=30, validate_every=1000)) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "cannot be written (No space left on device); make room and go on with --resume" in error
    assert [file.name for file in sorted((run / "checkpoints").iterdir())] == ["best.ckpt", "step-00000004.ckpt"]
    (disk / "filler").unlink()
    assert main(command("disk/run", "--resume", steps=12)) == 0
    assert steps(run) == list(range(1, 13))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"architecture": "plain"},
            "is a run of a tiny of carton with adamw, but the recipe asks for a plain of carton",
        ),
        ({"optimizer": "sgd"}, "with adamw, but the recipe asks for a tiny of carton with sgd"),
    ],
)
def test_the_checkpoint_of_another_network_is_refused(tmp_path, command, capsys, change, message):
    assert main(command("run", steps=2)) == 0
    before = sorted(file.stat().st_mtime_ns for file in (tmp_path / "run").rglob("*"))
    assert main(command("run", "--resume", **change)) == 2
    assert message in capsys.readouterr().err
    assert sorted(file.stat().st_mtime_ns for file in (tmp_path / "run").rglob("*")) == before


def test_a_checkpoint_of_an_older_version_is_refused(tmp_path, command, capsys):
    (tmp_path / "run").mkdir()
    torch.save({"pytorch-lightning_version": "2.6.0"}, tmp_path / "run" / "last.ckpt")
    assert main(command("run", "--resume")) == 2
    assert "of an older version, which cannot be resumed; start anew with --net" in capsys.readouterr().err
    assert main(command("other", "--net", str(tmp_path / "run" / "last.ckpt"))) == 2
    assert "not a checkpoint of this version" in capsys.readouterr().err


def test_resume_begins_a_run_that_has_no_checkpoint(tmp_path, command, capsys):
    assert main(command("run", "--resume", steps=2)) == 0
    assert "nothing to resume; the run begins" in capsys.readouterr().out
    assert len(rows(tmp_path / "run")) == 2
    assert RECIPE["steps"] > 2
