"""The rules of the house, so that nobody has to remember them."""

import ast
import re
from itertools import chain
from pathlib import Path
from statistics import median, quantiles

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("dope_ros2", "dope_datagen", "dope_training")
FILES = sorted(chain.from_iterable((ROOT / package).rglob("*.py") for package in PACKAGES))
IDS = [str(path.relative_to(ROOT)) for path in FILES]
ROS = re.compile(r"(rclpy|launch|launch_ros|ament_index_python|tf2_\w+|[a-z_]+_msgs|[a-z_]+_interfaces|std_srvs)$")
LOOSE_RANDOMNESS = r"np\.random\.(?!Generator|default_rng|SeedSequence)\w+|\brandom\.(?:random|choice|uniform|seed)\("
FORBIDDEN = {"dope_ros2": ("dope_datagen", "dope_training"), "dope_datagen": ("dope_training", "torch", "lightning")}


def imported(path: Path) -> set[str]:
    """Top-level names of everything a file imports, also inside its functions."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return {n.split(".")[0] for n in plain | {n.module or "" for n in nodes if isinstance(n, ast.ImportFrom)}}


def functions(path: Path) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]


def length(function: ast.FunctionDef) -> int:
    return function.end_lineno - function.lineno + 1


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_imports_point_one_way(path):
    package = path.relative_to(ROOT).parts[0]
    assert not imported(path) & set(FORBIDDEN.get(package, ()))


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_ros_is_imported_in_nodes_only(path):
    if path.relative_to(ROOT).parts[:2] != ("dope_ros2", "nodes"):
        assert not [name for name in imported(path) if ROS.match(name)]


def test_the_rule_about_ros_knows_ros_when_it_sees_it():
    assert all(map(ROS.match, ("rclpy", "sensor_msgs", "vision_msgs", "tf2_ros", "dope_msgs", "launch")))
    assert not any(map(ROS.match, ("numpy", "dope_ros2", "typing", "messages")))


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_files_and_functions_are_short(path):
    assert len(path.read_text().splitlines()) <= 300
    assert not [f"{f.name}: {length(f)} lines" for f in functions(path) if length(f) > 60]


def test_most_functions_are_very_short():
    lengths = [length(function) for path in FILES for function in functions(path)]
    assert median(lengths) <= 8
    assert quantiles(lengths, n=10)[-1] <= 30


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_random_numbers_come_from_a_generator_that_is_passed_in(path):
    draws = re.findall(LOOSE_RANDOMNESS, path.read_text())
    assert not draws


def test_no_file_names_a_place_on_somebodys_machine():
    place = re.compile(r"[\"'\s(=](/(?:home|root|work|tmp|Users|mnt)/[\w./-]*)")
    suffixes = {".py", ".md", ".yaml", ".toml", ".cfg", ".xml", ".rviz", ".txt", ".msg", ".action"}
    folders = [ROOT / name for name in (*PACKAGES, "launch", "config", "msg", "test", "docs", ".ci")]
    files = [
        f
        for f in chain(ROOT.iterdir(), *(d.rglob("*") for d in folders))
        if f.suffix in suffixes or f.name == "Makefile"
    ]
    hits = {str(f.relative_to(ROOT)): place.findall(f.read_text()) for f in files if f != Path(__file__).resolve()}
    assert not {name: found for name, found in hits.items() if found}


# What may write a file without `common/files.py`: logs that grow while a process runs.
DIRECT_WRITES = {
    "dope_ros2/common/files.py",
    "dope_datagen/dataset/shard_state.py",  # writes nothing: a finished shard gets another name
    "dope_ros2/harness/child_processes.py",  # what a child process says
    "dope_training/trainer/logs.py",  # a row at a time
    "dope_training/train.py",  # why a process ends, into a temporary file that its parent holds open
}
DIRECT_WRITE = re.compile(
    r"(?<!files)\.write_(?:text|bytes)\(|\bopen\([^()]*[\"'](?:[wax]\+?[bt]?|[rwax]b?\+)[\"']|imwrite\(|"
    r"\bos\.(?:rename|replace)\(|json\.dump\("
)


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_files_are_written_through_the_one_module_that_writes_them_whole(path):
    if str(path.relative_to(ROOT)) not in DIRECT_WRITES:
        assert not DIRECT_WRITE.findall(path.read_text())


def test_the_rule_about_writing_knows_it_when_it_sees_it():
    writes = ["p.write_text(t)", 'p.write_bytes(b"")', 'open(p, "w")', "p.open('ab')", 'p.open("w", newline="")']
    assert all(map(DIRECT_WRITE.search, [*writes, "cv2.imwrite(p, x)", "json.dump(x, f)", "os.rename(a, b)"]))
    reads = ["files.write_text(p, t)", 'p.open("rb")', "p.open()", "os.open(p, os.O_RDONLY)", "json.dumps(x)"]
    assert not any(map(DIRECT_WRITE.search, reads))
