"""Which of Mitsuba's variants runs here: CUDA, LLVM or scalar; an old LLVM aborts a process, so a child tries.

Mitsuba 3 compiles its kernels through Dr.Jit, which needs the OptiX driver or an LLVM from version 19 on; the scalar
variant needs neither and is about three times slower.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

from dope_ros2.common.errors import UserError
from dope_ros2.common.python_packages import pip_install

VARIANTS = {"cuda": "cuda_ad_rgb", "llvm": "llvm_ad_rgb", "scalar": "scalar_rgb"}
CHOSEN = "DOPE_MITSUBA"  # environment variable: what a parent process has found out, or the user's wish
OLDEST_LLVM = 19
FOLDERS = ("/usr/lib", "/usr/lib64", "/usr/local/lib", "/opt/homebrew/opt/llvm/lib")
PROBE_SECONDS = 120
PROBE = """
import sys, mitsuba as mi
mi.set_variant(sys.argv[1])
sensor = {"type": "perspective", "film": {"type": "hdrfilm", "width": 8, "height": 8}}
scene = mi.load_dict({"type": "scene", "integrator": {"type": "direct"}, "ball": {"type": "sphere"},
    "light": {"type": "constant"}, "sensor": sensor})
assert float(mi.TensorXf(mi.render(scene, spp=1)).array[0]) >= 0
"""


def find_llvm() -> Path | None:
    """The newest LLVM library of at least version 19 in the usual folders; $DRJIT_LIBLLVM_PATH comes first."""
    if wish := os.environ.get("DRJIT_LIBLLVM_PATH"):
        return Path(wish)
    found: dict[int, Path] = {}
    for folder in map(Path, FOLDERS):
        for pattern in ("libLLVM*.so*", "*/libLLVM*.so*", "llvm-*/lib/libLLVM*.so*", "libLLVM*.dylib"):
            for path in folder.glob(pattern):
                if version := re.search(r"(?:LLVM-|\.so\.)(\d+)", path.name):
                    found.setdefault(int(version.group(1)), path)
    usable = {version: path for version, path in found.items() if version >= OLDEST_LLVM}
    return usable[max(usable)] if usable else None


def works(kind: str) -> bool:
    """Whether a child process can render with a variant, "cuda", "llvm" or "scalar"."""
    environment = dict(os.environ)
    if kind == "llvm":
        library = find_llvm()
        if library is None:
            return False
        environment["DRJIT_LIBLLVM_PATH"] = str(library)
    command = [sys.executable, "-c", PROBE, VARIANTS[kind]]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, timeout=PROBE_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


@lru_cache(maxsize=1)
def choose() -> str:
    """The fastest variant that works, or what $DOPE_MITSUBA names; set for this process and its children.

    Raises:
        UserError: Mitsuba is not installed, or no variant works.
    """
    try:
        import mitsuba
    except ImportError as error:
        command = pip_install("mitsuba", "pyoidn")
        raise UserError(f"the path tracer needs the Python package mitsuba: {command}") from error
    wish = os.environ.get(CHOSEN)
    if wish and wish not in VARIANTS:
        raise UserError(f"{CHOSEN}={wish}: is not one of {', '.join(VARIANTS)}")
    kind = wish or next((kind for kind in VARIANTS if works(kind)), None)
    if kind is None:
        raise UserError("the path tracer does not start here, not even its scalar variant; use renderer: raster")
    if kind == "llvm" and (library := find_llvm()):
        os.environ["DRJIT_LIBLLVM_PATH"] = str(library)
    os.environ[CHOSEN] = kind
    mitsuba.set_variant(VARIANTS[kind])
    return kind
