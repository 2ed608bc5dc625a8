"""Files are written whole or not at all, whoever else writes there, and what cannot be written is one line."""

import multiprocessing
import os
import pickle
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from threading import Barrier, Thread

import pytest
import torch

from dope_ros2.common import files
from dope_ros2.common.errors import UserError
from dope_ros2.io.bop import write_results
from dope_ros2.legacy.checkpoints import save_legacy
from dope_ros2.network.dope_lite import DopeLite
from dope_ros2.network.metadata import Metadata, TrainedObject
from dope_ros2.network.weights import load, save
from helpers.small_disk import small_disk

SIZE = 1_000_000  # bytes
METADATA = Metadata(architecture="dope-lite", objects=(TrainedObject(name="box", size=(0.1, 0.2, 0.3)),))


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def dead():
    """The number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


@pytest.fixture
def little_room():
    """No file can have more than 100,000 bytes."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


WRITERS = {
    "bytes": lambda path: files.write_bytes(path, bytes(SIZE)),
    "text": lambda path: files.write_text(path, "x" * SIZE),
    "json": lambda path: files.write_json(path, ["x" * SIZE]),
    "weights": lambda path: save(path, DopeLite(1), METADATA),
    "legacy": lambda path: save_legacy(path, DopeLite(1)),
}


def test_two_results_files_of_one_stem_do_not_meet(tmp_path):
    """The second is begun while the first is being written."""

    def rows():
        write_results(tmp_path / "results.b", ())
        yield from ()

    write_results(tmp_path / "results.a", rows())
    assert names(tmp_path) == ["results.a", "results.b"]


def test_weights_and_another_file_of_one_stem_do_not_meet(tmp_path):
    files.write_text(tmp_path / "net.partial", "of somebody else")
    save(tmp_path / "net.safetensors", DopeLite(1), METADATA)
    assert (tmp_path / "net.partial").read_text() == "of somebody else"
    assert load(tmp_path / "net.safetensors")[1] == METADATA


def test_threads_that_write_one_file_at_once_leave_one_of_their_versions(tmp_path):
    barrier = Barrier(4)

    def write(letter):
        barrier.wait()
        for _ in range(20):
            files.write_text(tmp_path / "file", letter * 1000)

    threads = [Thread(target=write, args=(letter,)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    text = (tmp_path / "file").read_text()
    assert text in [letter * 1000 for letter in "abcd"]
    assert names(tmp_path) == ["file"]


def write_often(path, letter):
    for _ in range(50):
        files.write_text(path, letter * 1000)


def test_processes_that_write_one_file_at_once_all_end_well(tmp_path):
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=write_often, args=(tmp_path / "file", letter)) for letter in "abc"]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert names(tmp_path) == ["file"]


def test_an_error_while_writing_leaves_the_file_of_before_and_nothing_else(tmp_path):
    files.write_text(tmp_path / "file", "before")

    def write():
        with files.replacing(tmp_path / "file") as temporary:
            temporary.touch()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write()
    assert (tmp_path / "file").read_text() == "before"
    assert names(tmp_path) == ["file"]


def test_a_kill_while_writing_leaves_the_file_of_before_and_the_next_writer_cleans_up(tmp_path):
    target = tmp_path / "file"
    files.write_text(target, "before")
    code = (
        "import sys, time; from pathlib import Path; from dope_ros2.common import files\n"
        f"with files.open_replacing(Path({str(target)!r})) as file:\n"
        "    file.write(b'half'); file.flush(); print('written', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"written\n"
    files.write_text(tmp_path / "other", "")
    files.write_text(target, "meanwhile")  # does not disturb the one that is still writing
    assert len(names(tmp_path)) == 3
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert target.read_text() == "meanwhile"
    files.write_text(target, "after")
    assert names(tmp_path) == ["file", "other"]


@pytest.mark.parametrize("name", WRITERS)
def test_without_room_it_is_one_line_and_the_file_of_before_stays(tmp_path, little_room, name):
    path = tmp_path / "file"
    path.write_text("before")
    with pytest.raises(UserError, match=r"file: cannot be written \(File too large\); mend this") as refused:
        WRITERS[name](path)
    assert "\n" not in str(refused.value)
    assert path.read_text() == "before"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("name", WRITERS)
def test_where_no_folder_can_be_made_it_is_one_line(tmp_path, name):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file/sub/new: cannot be written \(Not a directory\)"):
        WRITERS[name](tmp_path / "file" / "sub" / "new")


def test_an_error_about_a_file_in_a_folder_names_the_folder(tmp_path, little_room):

    def write():
        with files.replacing(tmp_path / "folder") as folder:
            files.write_text(folder / "small", "x")
            files.write_bytes(folder / "sub" / "large", bytes(SIZE))

    with pytest.raises(UserError, match=f"^{tmp_path}/folder: cannot be written"):
        write()
    assert names(tmp_path) == []


def test_a_folder_gets_its_name_when_it_is_complete(tmp_path):
    with files.replacing(tmp_path / "new" / "folder") as folder:
        files.write_json(folder / "a.json", {"a": 1}, flush=False)
        assert folder.name == "folder"
        assert not (tmp_path / "new" / "folder").exists()
    assert names(tmp_path / "new") == ["folder"]
    assert names(tmp_path / "new" / "folder") == ["a.json"]


def test_a_long_name_and_one_with_an_at_sign_are_written(tmp_path):
    for name in ("x" * 250 + ".json", "me@home.json"):
        files.write_json(tmp_path / name, 1)
    assert len(names(tmp_path)) == 2


@pytest.mark.parametrize("host", ["@another-machine", f"@{socket.gethostname()}"])
def test_what_others_write_at_the_same_name_stays(tmp_path, host):
    theirs = tmp_path / f".a@b.json.partial-0-{os.getppid()}{host}"
    theirs.mkdir()
    files.write_json(tmp_path / "a@b.json", 1)
    assert theirs.is_dir()


def test_what_a_dead_process_left_goes_when_the_same_is_written_again(tmp_path):
    left = tmp_path / f".a.json.partial-0-{dead()}@{socket.gethostname()}"
    left.mkdir()
    files.write_json(tmp_path / "b.json", 1)
    assert left.is_dir()
    files.write_json(tmp_path / "a.json", 1)
    assert names(tmp_path) == ["a.json", "b.json"]


def test_a_folder_is_new_as_long_as_something_in_it_is(tmp_path):
    folder = tmp_path / f".a.partial-0-{os.getppid()}@{socket.gethostname()}"
    (folder / "a").mkdir(parents=True)
    os.utime(folder / "a", (0, 0))
    os.utime(folder, (0, 0))
    assert files.is_stale(folder)
    os.utime(folder / "a", (time.time(), time.time()))
    assert not files.is_stale(folder)


def test_the_error_comes_whole_out_of_another_process():
    error = files.write_error(Path("file"), OSError(28, "No space left on device"))
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.reason, again.disk_full) == (str(error), "No space left on device", True)


def test_the_rights_of_a_file_are_those_of_any_other(tmp_path):
    (tmp_path / "plain").touch()
    save(tmp_path / "net.safetensors", DopeLite(1), METADATA)
    assert (tmp_path / "net.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.fixture
def disk(tmp_path):
    """A file system of 200 kB."""
    with small_disk(tmp_path / "disk", "200k") as folder:
        yield folder


@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_one_line_that_says_what_to_do(disk, name):
    with pytest.raises(UserError, match=r"file: cannot be written \(No space left on device\); make room"):
        WRITERS[name](disk / "file")
    assert names(disk) == []


def test_what_pytorch_writes_through_a_file_can_be_read(tmp_path):
    with files.open_replacing(tmp_path / "a.pt") as file:
        torch.save({"a": torch.ones(3)}, file)
    assert torch.equal(torch.load(tmp_path / "a.pt", weights_only=True)["a"], torch.ones(3))
