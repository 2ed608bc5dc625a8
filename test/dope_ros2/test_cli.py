"""The command `dope`: verbs, help, and what a mistake looks like."""

import os
import subprocess
import sys
from importlib.util import find_spec
from inspect import signature
from pathlib import Path
from typing import Annotated, Optional, Union, get_args, get_origin

import pytest

from dope_ros2.cli import VERBS, main
from dope_ros2.common.command_runner import guarded, without_bars
from dope_ros2.common.errors import UserError


def test_help_lists_every_verb_with_a_line_of_its_own(capsys):
    assert main(["--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines if line.startswith("  ")] == list(VERBS)
    assert all(len(line) <= 100 for line in lines)


def test_without_arguments_the_help_is_printed(capsys):
    assert main([]) == 0
    assert capsys.readouterr().out.startswith("usage: dope VERB")


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_is_a_program_of_its_package_for_ros2_run(name):
    module = VERBS[name].target.split(":")[0]
    node = {"node": "dope_node", "camera": "camera_node", "monitor": "monitor_node"}
    program = node.get(name, name.replace("-", "_"))
    script = Path(__file__).resolve().parents[2] / "resource" / "lib" / module.split(".")[0] / program
    assert f'from dope_ros2.cli import main\n\nsys.exit(main(["{name}", *sys.argv[1:]]))' in script.read_text()
    assert os.access(script, os.X_OK)


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_is_there(name):
    module, function = VERBS[name].target.split(":")
    assert find_spec(module) is not None, f"{module} does not exist"
    assert function == "main"


def test_an_unknown_verb_gives_one_line_with_the_closest_name(capsys):
    assert main(["predcit"]) == 2
    captured = capsys.readouterr()
    assert captured.err == "dope: error: no verb 'predcit'; did you mean 'predict'?\n"
    assert captured.out == ""


def test_a_wrong_option_gives_one_line_without_a_traceback(capsys):
    assert main(["predict", "--ouut", "x"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("dope predict: error: No such option: --ouut")
    assert error.count("\n") == 1


def test_a_users_mistake_is_one_line_and_status_2(capsys):
    def mistaken(_: list[str]) -> int:
        raise UserError("weights.bin: no such file; give another")

    assert guarded(mistaken, [], "dope train") == 2
    assert capsys.readouterr().err == "dope train: error: weights.bin: no such file; give another\n"


def test_ctrl_c_is_status_130_without_a_word(capsys):
    def interrupted(_: list[str]) -> int:
        raise KeyboardInterrupt

    assert guarded(interrupted, [], "dope") == 130
    assert capsys.readouterr().err == ""


def test_help_and_version_load_neither_torch_nor_opencv_nor_ros():
    code = (
        "import sys; from dope_ros2.cli import main; main(['--help']); main(['--version']);"
        "print([m for m in ('torch', 'cv2', 'rclpy', 'typer') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


def test_options_are_annotated_as_typer_0_9_reads_them():
    def verb(out: Annotated[Path | None, "option"] = None, count: int = 1) -> None:
        """Nothing."""

    parameters = signature(without_bars(verb)).parameters
    assert parameters["out"].annotation == Annotated[Optional[Path], "option"]  # noqa: UP045
    assert get_origin(get_args(parameters["out"].annotation)[0]) is Union
    assert parameters["count"].annotation is int
    assert parameters["out"].default is None
