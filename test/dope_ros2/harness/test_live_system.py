import sys

import pytest

from dope_ros2.common.errors import UserError
from dope_ros2.harness.live_system import render


def test_without_what_renders_its_scene_the_demo_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "moderngl", None)
    for name in [name for name in sys.modules if name.startswith("dope_datagen")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(UserError, match=r"`dope demo` cannot run: .*moderngl.*; pip install"):
        render(tmp_path, None)
