"""Make the faults of `mutants.py`, one at a time, in copies of the tree, and tell which of them no test notices.

Exit status: 0 when all are noticed that should be, 1 when one lives, 2 when it cannot be told.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from mutants import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[1]
NOT_COPIED = shutil.ignore_patterns(
    ".git", ".venv", ".cache", ".*_cache", ".hypothesis", "__pycache__", "*.egg-info", "build", "install", "log", "out"
)
KILLED, LIVES, LIVES_AS_KNOWN = "killed", "LIVES", "lives (known)"
FAILED, PASSED = 1, 0  # exit statuses of pytest
TIMEOUT = 300.0  # for the tests of one mutant [s]


class CannotTellError(Exception):
    """The list or the tests are not in order; the message says how."""


def mutated(text: str, mutant: Mutant) -> str:
    """The text of a file with the fault in it.

    Raises:
        CannotTellError: the old text is not there exactly once.
    """
    found = text.count(mutant.old)
    if found != 1:
        raise CannotTellError(
            f"{mutant.name}: {mutant.file} has {mutant.old!r} {found} times, not once; correct test/mutants.py"
        )
    return text.replace(mutant.old, mutant.new)


def run_tests(tree: Path, tests: Iterable[str], timeout: float) -> tuple[int | None, str]:
    """Run tests in a tree until the first fails; pytest's exit status, None after the time limit [s], and its output.

    No bytecode is written: a file that has changed within a second and kept its length would be taken for the old one.
    """
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--hypothesis-seed=0", *tests]
    paths = os.pathsep.join([str(tree), str(tree / "test")])
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # several jobs share the cores
    environment = os.environ | one_thread | {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
    child = subprocess.Popen(
        command, cwd=tree, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip
    try:
        output, _ = child.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        return None, child.communicate()[0]
    return child.returncode, output


def killer(output: str) -> str:
    """The first test that failed, by pytest's summary."""
    failed = (line.split()[1] for line in output.splitlines() if line.startswith(("FAILED ", "ERROR ")))
    return next(failed, "no test named")


def judge(tree: Path, mutant: Mutant, timeout: float) -> tuple[str, str]:
    """Make the fault in a tree, run its tests, undo it; the verdict, and the test that noticed.

    Raises:
        CannotTellError: the old text is not there exactly once, or the tests cannot be run.
    """
    file = tree / mutant.file
    before = file.read_text()
    file.write_text(mutated(before, mutant))
    try:
        status, output = run_tests(tree, mutant.tests, timeout)
    finally:
        file.write_text(before)
    if status is None:
        return KILLED, f"no answer within {timeout:.0f} s"
    if status not in (PASSED, FAILED):
        raise CannotTellError(f"{mutant.name}: pytest ended with {status}\n{output[-2000:]}")
    if status == FAILED:
        return KILLED, killer(output)
    return (LIVES_AS_KNOWN, mutant.lives) if mutant.lives else (LIVES, mutant.guards)


def check_clean(tree: Path, mutants: Sequence[Mutant]) -> None:
    """Run the tests of all mutants without any fault.

    Raises:
        CannotTellError: an edit does not apply, or a test fails.
    """
    for mutant in mutants:
        mutated((tree / mutant.file).read_text(), mutant)
    tests = list(dict.fromkeys(test for mutant in mutants for test in mutant.tests))
    status, output = run_tests(tree, tests, TIMEOUT * len(tests))
    if status != PASSED:
        raise CannotTellError(f"without any fault the tests do not pass (pytest: {status})\n{output[-2000:]}")


def run_all(root: Path, mutants: Sequence[Mutant], jobs: int, timeout: float) -> list[str]:
    """Judge all mutants in copies of the tree at `root`, one copy a job, and print as it goes; their verdicts."""
    trees: SimpleQueue[Path] = SimpleQueue()

    def one(mutant: Mutant) -> str:
        tree, started = trees.get(), time.monotonic()
        try:
            verdict, why = judge(tree, mutant, timeout)
        finally:
            trees.put(tree)
        print(f"{verdict:13}  {time.monotonic() - started:5.1f} s  {mutant.name:26} {why}", flush=True)
        return verdict

    with tempfile.TemporaryDirectory(prefix="mutants_") as folder, ThreadPoolExecutor(jobs) as pool:
        for number in range(jobs):
            trees.put(shutil.copytree(root, Path(folder) / str(number), ignore=NOT_COPIED))
        first = trees.get()
        check_clean(first, mutants)
        trees.put(first)
        return list(pool.map(one, mutants))


def main(arguments: Sequence[str] | None = None, root: Path = ROOT, mutants: Sequence[Mutant] = MUTANTS) -> int:
    """Parse, judge, sum up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("only", nargs="*", help="parts of names or files of the mutants to make; all if none")
    parser.add_argument("--jobs", type=int, default=max(1, (os.cpu_count() or 2) // 2), help="at the same time")
    parser.add_argument("--timeout", type=float, default=TIMEOUT, help="for the tests of one mutant [s]")
    options = parser.parse_args(arguments)
    chosen = [m for m in mutants if not options.only or any(part in m.name or part in m.file for part in options.only)]
    if not chosen or options.jobs < 1:
        parser.error(f"no mutant to make; there are {', '.join(m.name for m in mutants)}; jobs must be 1 or more")
    try:
        verdicts = run_all(root, chosen, min(options.jobs, len(chosen)), options.timeout)
    except CannotTellError as error:
        print(f"mutants: {error}", file=sys.stderr)
        return 2
    counts = ", ".join(f"{verdicts.count(kind)} {kind}" for kind in (KILLED, LIVES, LIVES_AS_KNOWN))
    print(f"{len(chosen)} mutants: {counts}")
    return int(LIVES in verdicts)


if __name__ == "__main__":
    sys.exit(main())
