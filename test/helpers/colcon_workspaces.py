"""Workspaces for the real colcon, which `make test-colcon` puts beside the ROS 2 wheels, or that of a sourced ROS 2."""

import os
import shutil
import subprocess
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
TOOLS = REPO / ".venv-colcon"
KEPT = ("PATH", "HOME", "LANG", "TMPDIR", "CCACHE_DIR", "CMAKE_C_COMPILER_LAUNCHER", "CMAKE_CXX_COMPILER_LAUNCHER")
LIMIT = 1500  # seconds for one build on a busy machine


def environment():
    """The variables of a shell with ROS 2 and colcon; None where there are none."""
    if os.environ.get("AMENT_PREFIX_PATH") and shutil.which("colcon"):
        return dict(os.environ)
    if not (TOOLS / ".done").is_file():
        return None
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    prefixes = {"AMENT_PREFIX_PATH": str(TOOLS), "CMAKE_PREFIX_PATH": str(TOOLS), "ROS_DISTRO": "jazzy"}
    paths = {"PATH": f"{TOOLS}/bin:{kept['PATH']}", "LD_LIBRARY_PATH": f"{TOOLS}/lib"}
    return kept | prefixes | paths | {"ROS_VERSION": "2", "ROS_PYTHON_VERSION": "3"}


class Workspace:
    """A folder with src/, where this repository lies as src/dope_ros2 if it is cloned."""

    def __init__(self, folder, env, underlay=None):
        self.folder, self._env = folder, env
        self._sourced = [underlay / "install/setup.sh"] if underlay else []
        (folder / "src").mkdir(parents=True)

    def clone(self):
        clone = self.folder / "src/dope_ros2"
        clone.mkdir()
        for path in REPO.iterdir():
            if not path.name.startswith(".") and path.suffix != ".egg-info":
                (clone / path.name).symlink_to(path)

    def link(self):
        """What docs/topics.md tells those to do whose packages depend on dope_msgs."""
        (self.folder / "src/dope_msgs").symlink_to("dope_ros2/msg")

    def write(self, name, text):
        path = self.folder / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def source(self):
        """From now on commands run in a shell that has sourced this workspace."""
        self._sourced.append(self.folder / "install/setup.sh")

    def run(self, command):
        """Run a shell command here; gives its status and all that it said."""
        sourced = "".join(f". {path} && " for path in self._sourced)
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "timeout": LIMIT}
        done = subprocess.run(["sh", "-c", sourced + command], cwd=self.folder, env=self._env, **pipes)
        return done.returncode, done.stdout

    def build(self, *options):
        return self.run(" ".join(["colcon build --event-handlers console_direct- console_cohesion-", *options]))

    def packages(self):
        return self.run("colcon list --names-only 2>/dev/null")[1].split()


def whole_interfaces(folder, env):
    """An installed workspace with tf2_msgs and vision_msgs, which the wheels lack, each with one message more."""
    workspace = Workspace(folder, env)
    for name in ("compat", "cmake"):
        shutil.copytree(REPO / "msg" / name, folder / "src" / name)
    for name in ("tf2_msgs", "vision_msgs"):
        manifest = folder / "src/compat" / name / "package.xml"
        workspace.write(f"compat/{name}/package.xml", manifest.read_text().replace("that dope_ros2 uses", "and one"))
        workspace.write(f"compat/{name}/msg/More.msg", "bool more\n")
    status, said = workspace.build("--merge-install")
    assert status == 0, said
    return folder
