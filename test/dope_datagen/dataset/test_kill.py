"""Processes that are killed, disks that are full, folders that are read-only: the dataset is whole or says why not."""

import errno
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from dope_datagen.dataset import create, shards, store
from dope_datagen.dataset.store import Dataset
from dope_ros2.common import files
from dope_ros2.common.errors import UserError
from helpers.handmade_stores import CARTON, CONFIG, all_files, make, picture, write_all
from helpers.small_disk import small_disk

IMAGES = 520  # three shards, the last one not full
REPO = Path(__file__).resolve().parents[3]

# What `dope generate` does, without rendering: each line names a folder to be filled by a process of its own, whose
# number and exit status are printed. The packages are imported once.
WRITER = """
import os, sys
from pathlib import Path
from helpers.handmade_stores import write_all

for line in sys.stdin:
    process = os.fork()
    if process == 0:
        write_all(Path(line.strip()), int(sys.argv[1]))
        os._exit(0)
    print(process, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
"""


@pytest.fixture
def run():
    """Call it to fill a folder in another process, killed after some seconds or not; returns the exit status."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(REPO), str(REPO / "test"), *sys.path])}
    command = [sys.executable, "-c", WRITER, str(IMAGES)]
    with subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:

        def fill(path, seconds=None):
            writer.stdin.write(f"{path}\n")
            writer.stdin.flush()
            process = int(writer.stdout.readline())
            if seconds is not None:
                time.sleep(seconds)
                with suppress(ProcessLookupError):
                    os.kill(process, signal.SIGKILL)
            return int(writer.stdout.readline())

        yield fill
        writer.stdin.close()


@pytest.mark.slow
def test_a_writer_that_is_killed_twenty_times_makes_the_same_dataset(tmp_path, run):
    began = time.monotonic()
    assert run(tmp_path / "whole") == 0
    seconds, whole = time.monotonic() - began, all_files(tmp_path / "whole")
    assert len([name for name in whole if name.endswith("/0")]) == 4 * 3
    rng, path, met = np.random.default_rng(1), tmp_path / "killed", 0
    while met < 20:  # until so many have met the writer at work
        if run(path, rng.uniform(0, 0.4 * seconds)) == 0:
            assert all_files(path) == whole
            shutil.rmtree(path)
            continue
        met += 1
        for shard in store.finished(path):  # what is called finished is finished
            for name in ("rgb", "mask", "depth", "labels"):
                assert whole[f"{name}/c/{shard}/0"] == (path / name / "c" / str(shard) / "0").read_bytes()
    assert run(path) == 0
    assert all_files(path) == whole
    assert sorted(file.name for file in tmp_path.iterdir()) == ["killed", "whole"]
    assert len(Dataset.open(path)) == IMAGES


def snapshots(monkeypatch, path, act):
    """Copies of `path`'s folder from just before every rename of `act`, which is what a kill would leave there."""
    copies = []
    replace, rename = os.replace, os.rename

    def stop(real):
        def moved(source, target, **kwargs):
            copy = path.parent.parent / f"moment-{len(copies)}"
            shutil.copytree(path.parent, copy)
            copies.append(copy / path.name)
            return real(source, target, **kwargs)

        return moved

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", stop(replace))
        patch.setattr(os, "rename", stop(rename))
        act()
    return copies


def test_whatever_rename_a_kill_comes_before_the_next_run_completes_an_enlarged_dataset(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "_is_running", lambda process: False)  # the killed one had another number
    path = tmp_path / "work" / "data"
    write_all(path, 20)
    moments = snapshots(monkeypatch, path, lambda: write_all(path, 30))
    assert len(moments) >= 5 + 4  # every zarr.json, every array's shard
    whole = all_files(path.parent)
    for moment in moments:
        write_all(moment, 30)
        assert all_files(moment.parent) == whole


def dead():
    """The number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


def test_what_dead_processes_left_is_removed_and_what_living_ones_write_is_not(tmp_path):
    path = make(tmp_path / "data")
    here = files.socket.gethostname()
    stale = [f".partial-0-{dead()}@{here}", f".partial-3-{dead()}"]  # the second as older versions named it
    alive = [f".partial-1-{os.getppid()}@{here}", f".partial-2-{dead()}@another-machine"]
    for name in (*stale, *alive):
        (path / name / "rgb").mkdir(parents=True)
    store.prepare(path)
    assert sorted(f.name for f in path.iterdir() if f.name.startswith(".partial")) == sorted(alive)
    for name in alive:
        os.utime(path / name, (0, 0))
    store.prepare(path)
    assert len([f for f in path.iterdir() if f.name.startswith(".partial")]) == len(alive)  # something in them is new
    for name in alive:
        os.utime(path / name / "rgb", (0, 0))
    store.prepare(path)
    assert not [f for f in path.iterdir() if f.name.startswith(".partial")]


def test_a_dataset_that_was_killed_while_it_was_created_leaves_nothing(tmp_path):
    for name in (f".data.partial-new-{dead()}@{files.socket.gethostname()}", ".data.partial"):
        (tmp_path / name / "rgb").mkdir(parents=True)
    make(tmp_path / "data")
    assert [file.name for file in tmp_path.iterdir()] == ["data"]


def test_of_two_that_create_a_dataset_at_once_the_second_goes_on_with_it(tmp_path, monkeypatch):
    path, lay_out = tmp_path / "data", create._lay_out

    def slow(partial, wanted, images):
        lay_out(partial, wanted, images)
        if not path.exists():
            monkeypatch.setattr(create, "_lay_out", lay_out)
            shutil.copytree(partial, path)

    monkeypatch.setattr(create, "_lay_out", slow)
    store.create(path, 6, 7, CONFIG, [CARTON])
    assert [file.name for file in tmp_path.iterdir()] == ["data"]
    monkeypatch.setattr(create, "_lay_out", slow)
    shutil.rmtree(path)
    with pytest.raises(UserError, match="begun with seed 7"):
        _race(path, monkeypatch, lay_out)


def _race(path, monkeypatch, lay_out):
    """Create with seed 8 while somebody else has created with seed 7."""

    def overtaken(partial, wanted, images):
        lay_out(path, {**wanted, "seed": 7}, images)
        lay_out(partial, wanted, images)

    monkeypatch.setattr(create, "_lay_out", overtaken)
    store.create(path, 6, 8, CONFIG, [CARTON])


def failing(monkeypatch, owner, name, number, call):
    """Let call `call` of a function raise OSError `number`, as the kernel would."""
    real, calls = getattr(owner, name), itertools.count()

    def fails(*args, **kwargs):
        if next(calls) >= call:
            raise OSError(number, os.strerror(number))
        return real(*args, **kwargs)

    monkeypatch.setattr(owner, name, fails)


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "cannot be written .No space left on device.; make room and run the same command again"),
        (errno.EROFS, "cannot be written .Read-only file system.; give a folder that you may write to"),
        (errno.EIO, "cannot be written .Input/output error.; mend this"),
    ],
)
@pytest.mark.parametrize(("owner", "name", "call"), [(shards, "write", 2), (files, "replace", 1)])
def test_a_shard_that_cannot_be_written_leaves_nothing_and_says_why(
    tmp_path, monkeypatch, number, message, owner, name, call
):
    path = tmp_path / "data"
    store.create(path, 6, 7, CONFIG, [CARTON])
    failing(monkeypatch, owner, name, number, call)
    with pytest.raises(UserError, match=message):
        store.write_shard(path, 0, [picture(n) for n in range(6)], 90)
    assert store.finished(path) == []
    assert not [file for file in path.iterdir() if file.name.startswith(".")]
    monkeypatch.undo()
    store.write_shard(path, 0, [picture(n) for n in range(6)], 90)
    assert all_files(path) == all_files(make(tmp_path / "whole"))


def test_a_dataset_that_cannot_be_created_leaves_nothing(tmp_path, monkeypatch):
    failing(monkeypatch, shards, "create", errno.ENOSPC, 1)
    with pytest.raises(UserError, match="No space left"):
        store.create(tmp_path / "data", 6, 7, CONFIG, [CARTON])
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_read_only_is_refused_before_anything_is_rendered(tmp_path, monkeypatch):
    path = make(tmp_path / "data")
    failing(monkeypatch, Path, "mkdir", errno.EROFS, 0)
    with pytest.raises(UserError, match="Read-only file system"):
        store.prepare(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_write_permission_is_refused(tmp_path):
    path = make(tmp_path / "data")
    path.chmod(0o500)
    with pytest.raises(UserError, match="Permission denied"):
        store.prepare(path)
    path.chmod(0o700)


@pytest.fixture
def disk(tmp_path):
    """A file system of 700 kB."""
    with small_disk(tmp_path / "disk", "700k") as folder:
        yield folder


def test_on_a_disk_that_is_full_finished_shards_stay_and_the_rest_follows_when_there_is_room(disk, tmp_path):
    path, images = disk / "data", 3 * store.SHARD
    with pytest.raises(UserError, match="No space left on device"):
        write_all(path, images)
    done = store.finished(path)
    assert 0 < len(done) < 3
    assert not [file for file in path.iterdir() if file.name.startswith(".")]
    assert len(Dataset.open(path)) == len(done) * store.SHARD
    subprocess.run(["mount", "-o", "remount,size=8m", str(disk)], check=True)
    write_all(path, images)
    write_all(tmp_path / "whole", images)
    assert all_files(path) == all_files(tmp_path / "whole")


def test_a_row_that_is_too_long_is_a_users_mistake(tmp_path):
    path = tmp_path / "data"
    store.create(path, 1, 7, CONFIG, [CARTON])
    crowd = picture(0)
    crowd.objects.extend(crowd.objects * 200)
    with pytest.raises(UserError, match="put fewer objects in an image"):
        store.write_shard(path, 0, [crowd], 90)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 96}, r"another config \(width: 48 there, 96 here\)"),
        ({"objects": {"carton": 2}}, r"another config \(objects: carton: 1 there, 2 here\)"),
        ({"photos": True}, r"another config \(photos: none there, true here\)"),
    ],
)
def test_a_dataset_made_with_another_configuration_says_where_they_differ(tmp_path, changes, message):
    config = CONFIG | {"objects": {"carton": 1}}
    store.create(tmp_path / "data", 6, 7, config, [CARTON])
    before = all_files(tmp_path)
    with pytest.raises(UserError, match=message):
        store.create(tmp_path / "data", 6, 7, config | changes, [CARTON])
    assert all_files(tmp_path) == before


def test_a_dataset_of_other_objects_says_which(tmp_path):
    store.create(tmp_path / "data", 6, 7, CONFIG, [CARTON])
    larger = type(CARTON)(name="carton", class_id=101, size=(0.2, 0.11, 0.06), color=CARTON.color)
    with pytest.raises(UserError, match=r"another objects \(carton: size: \[0.16, 0.11, 0.06\] there, \[0.2, 0.11"):
        store.create(tmp_path / "data", 6, 7, CONFIG, [larger])
    assert json.loads((tmp_path / "data" / "zarr.json").read_text())["attributes"]["images"] == 6
