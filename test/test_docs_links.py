"""What the documentation names exists: files, headings, launch arguments and parameters."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("weights/*.md")])
MIGRATION = sorted(ROOT.glob("docs/migrate/*.md"))
LINK = re.compile(r"\]\(([^)\s]+)\)")
LAUNCH = re.compile(r"ros2 launch dope_ros2 (\S+\.launch\.py)(.*)")
PARAMETER = re.compile(r"(?:dope (?:node|camera)|dope_ros2 (?:dope_node|camera_node)) .*?-p (\w+):=")
# In the columns "here" of migration tables: objects.yaml, messages, and names of topics as they are remapped.
OTHERS = {"size", "bbox", "class_id", "color", "mesh", "mesh_unit", "id", "frame_id", "number", "target_frame"}
OTHERS |= {"camera_info", "image_rect", "dope", "configure", "cleanup"}


def heading_ids(page):
    """The anchors of a page, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    titles = re.findall(r"^#+ +(.*)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def launch_arguments(name):
    """Those that a launch file declares: the keys of its tables, and names given to DeclareLaunchArgument."""
    names = set()
    for part in ast.walk(ast.parse((ROOT / "launch" / name).read_text())):
        keys = part.keys if isinstance(part, ast.Dict) else part.args[:1] if _declares(part) else ()
        names |= {key.value for key in keys if isinstance(key, ast.Constant)}
    return names


def _declares(part):
    return isinstance(part, ast.Call) and ast.unparse(part.func).endswith("DeclareLaunchArgument")


def parameters():
    """Those that the nodes declare."""
    texts = [path.read_text() for path in ROOT.glob("dope_ros2/nodes/**/*.py")]
    declared = re.compile(r'(?:(?<![.\w])add(?:_at_configure)?|\bparameter)\(\s*"(\w+)"')
    return {name for text in texts for name in declared.findall(text)}


def rows(page):
    """Each table row's cells, with those of its table's head."""
    head = None
    for line in page.read_text().splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] if line.startswith("|") else None
        if cells and head and not set(line) <= set("|-: "):
            yield dict(zip(head, cells, strict=True)), line
        head = (head or cells) if cells else None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(page):
    for target in LINK.findall(page.read_text()):
        path, _, anchor = target.partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        file = (page.parent / path) if path else page
        assert file.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in heading_ids(file), f"{page.name}: {target}: no such heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_launch_arguments_and_parameters_of_commands_exist(page):
    text = page.read_text().replace("\\\n", " ")
    for name, arguments in LAUNCH.findall(text):
        given = set(re.findall(r"(?<!\S)(\w+):=", arguments.partition("`")[0]))
        assert given <= launch_arguments(name), f"{page.name}: {name}: {sorted(given - launch_arguments(name))}"
    assert set(PARAMETER.findall(text)) <= parameters()


@pytest.mark.parametrize("page", MIGRATION, ids=lambda page: page.stem)
def test_what_migration_tables_offer_here_exists(page):
    known, arguments = parameters() | OTHERS, launch_arguments("dope.launch.py")
    for cells, line in rows(page):
        here = cells.get("here", "")
        names = set(re.findall(r"`(\w+)(?:: [^`]*)?`", here))
        assert names <= known | arguments, f"{line}: {sorted(names - known - arguments)}"
        assert (given := set(re.findall(r"`(\w+):=", here))) <= arguments, f"{line}: {sorted(given - arguments)}"


def test_topics_services_and_actions_of_the_nodes_exist():
    named = {name for page in PAGES for name in re.findall(r"`~/(\w+)", page.read_text())}
    made = {name for path in ROOT.glob("dope_ros2/nodes/**/*.py") for name in re.findall(r'"~/(\w+)', path.read_text())}
    assert named <= made | {"change_state", "get_state"}, sorted(named - made)


def test_the_parameters_of_topics_md_are_those_of_the_nodes():
    named = {name for cells, _ in rows(ROOT / "docs" / "topics.md") for name in cells.get("parameter", "").split("`")}
    assert (named := named - {"", ", "}) <= parameters(), sorted(named - parameters())
    assert parameters() - named <= {"use_sim_time"}, f"missing in topics.md: {sorted(parameters() - named)}"


def test_tests_that_decisions_name_exist():
    for page in ROOT.glob("docs/decisions/*.md"):
        for cell in re.findall(r"`(test/[\w/]+\.py)::(\w+)`((?:, `test_\w+`)*)", page.read_text()):
            text = (ROOT / cell[0]).read_text()
            for name in [cell[1], *re.findall(r"test_\w+", cell[2])]:
                assert f"def {name}(" in text, f"{page.name}: {cell[0]}::{name}"
