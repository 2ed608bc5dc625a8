"""Launch files without ROS's launch: what they would start, for arguments as on the command line of `ros2 launch`."""

import importlib.util
import sys
from functools import cache
from pathlib import Path
from types import ModuleType, SimpleNamespace
from unittest import mock

LAUNCH = Path(__file__).resolve().parents[2] / "launch"
MODULES = [
    *("launch", "launch.actions", "launch.substitutions", "launch.launch_description_sources"),
    *("launch_ros", "launch_ros.actions", "launch_ros.descriptions", "launch_ros.parameter_descriptions"),
]


class Recorded:
    """An action, a substitution, ...: what it was made of."""

    def __init__(self, *args, **kwargs):
        self.args, self.kwargs = args, kwargs

    @property
    def kind(self):
        return type(self).__name__


@cache
def _kind(name):
    return type(name, (Recorded,), {})


def load(name):
    """A launch file as a module."""
    modules = {each: ModuleType(each) for each in MODULES}
    for module in modules.values():
        module.__path__, module.__getattr__ = [], _kind
    spec = importlib.util.spec_from_file_location(name.removesuffix(".launch.py"), LAUNCH / name)
    with mock.patch.dict(sys.modules, modules):
        spec.loader.exec_module(module := importlib.util.module_from_spec(spec))
    return module


def _value(text, found):
    """What a substitution, a text or several of both stand for."""
    if isinstance(text, list):
        return "".join(_value(each, found) for each in text)
    return found[text.args[0]] if isinstance(text, Recorded) else text


def _visit(entity, found):
    if entity.kind == "DeclareLaunchArgument":
        choices = entity.kwargs.get("choices")
        value = found.setdefault(entity.args[0], entity.kwargs["default_value"])
        assert choices is None or value in choices, f"{entity.args[0]}:={value}"
    elif entity.kind in ("LaunchDescription", "OpaqueFunction", "GroupAction"):
        inner = dict(found) if entity.kind == "GroupAction" else found
        context = SimpleNamespace(launch_configurations=inner)
        entities = entity.kwargs["function"](context) if entity.kind == "OpaqueFunction" else entity.args[0]
        return [action for each in entities for action in _visit(each, inner)]
    elif entity.kind == "IncludeLaunchDescription":
        found |= {name: _value(text, found) for name, text in entity.kwargs["launch_arguments"]}
        return start(Path(entity.args[0].args[0]).name, found)
    else:
        return [entity]
    return []


def start(name, found):
    """The actions that a launch file comes to; `found` has the arguments, and what is left of them afterwards."""
    return _visit(load(name).generate_launch_description(), found)
