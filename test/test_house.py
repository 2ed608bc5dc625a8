"""The rules of the house, so that nobody has to remember them. docs/architecture.md explains them."""

import ast
import re
from collections import Counter
from functools import cache
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
MAX_MODULES = 12  # of a folder

# Folders (and modules that lie beside them) from the top floor down: each imports only what stands below it.
LAYOUT = {
    "dope_ros2": """
        cli nodes nodes.dope nodes.view nodes.soak nodes.base nodes.messages commands visualization.viewer visualization
        benchmarks pipeline estimation estimation.pnp feature_matching refinement refinement.residuals
        refinement.drawing engines legacy tracking evaluation meshes network harness objects io geometry common
    """,
    "dope_datagen": """
        commands benchmarks generation inspection formats dataset renderers.path renderers.raster renderers scenes
        assets mesh_preparation simulation carton
    """,
    "dope_training": """
        commands train benchmarks trainer checks calibration evaluation data objective optimizers metrics config
    """,
}
FLOORS = {package: rooms.split() for package, rooms in LAYOUT.items()}


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in FILES}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imported(path: Path) -> set[str]:
    """Top-level names of everything a file imports, also inside its functions."""
    nodes = list(ast.walk(tree(path)))
    plain = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    return {n.split(".")[0] for n in plain | {n.module or "" for n in nodes if isinstance(n, ast.ImportFrom)}}


@cache
def own_imports(path: Path) -> set[str]:
    """Modules of these packages that a file imports, also inside its functions and for types alone."""
    nodes = list(ast.walk(tree(path)))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & MODULES.keys()
            names |= inner | ({node.module} if len(inner) < len(node.names) else set())
    return (names & MODULES.keys()) - {module_of(path)}


def room_of(module: str) -> tuple[str, str]:
    """Package and room: the folder's dotted path below the package, or the module's name where it lies beside them."""
    package, _, rest = module.partition(".")
    return package, rest.rpartition(".")[0] or rest


def circles(arrows: dict[str, set[str]]) -> list[list[str]]:
    """Ways along arrows that come back to where they began."""
    done: set[str] = set()
    found: list[list[str]] = []

    def follow(node: str, way: list[str]) -> None:
        if node in way:
            found.append([*way[way.index(node) :], node])
        elif node not in done:
            for other in sorted(arrows.get(node, ())):
                follow(other, [*way, node])
            done.add(node)

    for node in sorted(arrows):
        follow(node, [])
    return found


def functions(path: Path) -> list[ast.FunctionDef]:
    return [node for node in ast.walk(tree(path)) if isinstance(node, ast.FunctionDef)]


def length(function: ast.FunctionDef) -> int:
    return function.end_lineno - function.lineno + 1


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_packages_import_one_way(path):
    package = path.relative_to(ROOT).parts[0]
    assert not imported(path) & set(FORBIDDEN.get(package, ()))


def test_every_folder_has_its_floor():
    rooms = {room_of(module) for module in MODULES if "." in module}
    listed = {(package, room) for package, floors in FLOORS.items() for room in floors}
    assert rooms == listed


@pytest.mark.parametrize("module", [m for m in MODULES if "." in m])
def test_a_folder_imports_only_folders_on_lower_floors(module):
    package, room = room_of(module)
    floor = FLOORS[package].index(room)
    others = {room_of(other) for other in own_imports(MODULES[module]) if "." in other}
    above = [r for p, r in others if p == package and FLOORS[package].index(r) < floor]
    assert not above, f"{room} stands below {above}: turn the import round, or move what both need further down"


def test_the_finder_of_circles_finds_them():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == [["b", "c", "b"]]
    assert circles({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []


def test_no_modules_import_each_other_in_a_circle():
    assert circles({module: own_imports(path) for module, path in MODULES.items()}) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_folder_has_more_modules_than_one_can_survey(package):
    counts = Counter(path.parent.relative_to(ROOT) for path in FILES if path.name != "__init__.py")
    assert {str(folder): n for folder, n in counts.items() if folder.parts[0] == package and n > MAX_MODULES} == {}


def test_no_two_classes_have_the_same_name():
    places: dict[str, list[str]] = {}
    for module, path in MODULES.items():
        for node in tree(path).body:
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(module)
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_ros_is_imported_only_in_folders_named_nodes(path):
    if "nodes" not in path.relative_to(ROOT).parts[:-1]:
        assert not [name for name in imported(path) if ROS.match(name)]


def test_the_rule_about_ros_knows_ros_when_it_sees_it():
    assert all(map(ROS.match, ("rclpy", "sensor_msgs", "vision_msgs", "tf2_ros", "dope_msgs", "launch")))
    assert not any(map(ROS.match, ("numpy", "dope_ros2", "typing", "messages")))


@pytest.mark.parametrize("path", FILES, ids=IDS)
def test_files_and_functions_are_short(path):
    assert len(path.read_text().splitlines()) <= 300
    assert not [f"{f.name}: {length(f)} lines" for f in functions(path) if length(f) > 60]


def test_most_functions_and_files_are_very_short():
    lengths = [length(function) for path in FILES for function in functions(path)]
    assert median(lengths) <= 8
    assert quantiles(lengths, n=10)[-1] <= 30
    assert median(len(path.read_text().splitlines()) for path in FILES) <= 120


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
