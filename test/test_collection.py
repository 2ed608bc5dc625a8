"""Collection of the tests in an apt ROS 2, whose pytest plugin launch_testing imports every test file by itself."""

import os
import subprocess
import sys
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
IMPORTS_EVERY_FILE = """
import pytest
from _pytest.pathlib import import_path

def pytest_pycollect_makemodule(module_path, parent):
    import_path(module_path, root=module_path.parent, consider_namespace_packages=False)
    return pytest.Module.from_parent(parent, path=module_path)
"""


def test_a_file_that_skips_does_not_end_the_collection_of_all_others(tmp_path):
    info = tmp_path / "plugin/launch_testing-3.4.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: launch_testing\nVersion: 3.4.0\n")
    (info / "entry_points.txt").write_text("[pytest11]\nlaunch_testing = imports_every_file\n")
    (tmp_path / "plugin/imports_every_file.py").write_text(IMPORTS_EVERY_FILE)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_a.py").write_text("import pytest\npytest.importorskip('no_such_package')\n")
    (tmp_path / "tests/test_b.py").write_text("def test_it(): pass\n")
    command = [sys.executable, "-m", "pytest", "-c", str(REPO / "pyproject.toml"), "--rootdir", str(tmp_path)]
    command += ["--noconftest", "-p", "no:cacheprovider", str(tmp_path / "tests")]
    env = os.environ | {"PYTHONPATH": str(tmp_path / "plugin")}
    done = subprocess.run(command, env=env, capture_output=True, text=True, cwd=tmp_path)
    assert "1 passed, 1 skipped" in done.stdout, done.stdout
