"""Tests of what needs a Python package that is not installed, or too old here, are skipped with the reason.

One rule instead of marks: the import that fails names the package.
"""

from importlib.util import find_spec

import pytest

from dope_ros2.common.python_packages import EXTRAS, module_of, too_old

OWN = ("dope_ros2", "dope_datagen", "dope_training", "helpers")
TOO_OLD = {module_of(each): each for group in EXTRAS.values() for each in group if too_old(each)}


def reason_of(error):
    """Why it was raised, if that is a package; also where our own code has made another exception of it."""
    while error is not None:
        module = (error.name or "").partition(".")[0] if isinstance(error, ImportError) else ""
        if module in TOO_OLD:
            return f"needs {TOO_OLD[module]}"
        if module and module not in OWN and find_spec(module) is None:
            return f"needs the Python package {module}"
        error = error.__cause__ or error.__context__
    return None


class ModuleWithImports(pytest.Module):
    """A file of tests, skipped where it cannot be imported for want of a package."""

    def collect(self):
        try:
            return super().collect()
        except Exception as error:
            if reason := reason_of(error):
                pytest.skip(reason, allow_module_level=True)
            raise


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makemodule(module_path, parent):
    if "generate_test_description" in module_path.read_text():  # launch_testing has a module of its own for these
        return None
    return ModuleWithImports.from_parent(parent, path=module_path)


def _skip(outcome):
    if outcome.excinfo and (reason := reason_of(outcome.excinfo[1])):
        outcome.force_exception(pytest.skip.Exception(reason))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_setup():
    _skip((yield))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call():
    _skip((yield))
