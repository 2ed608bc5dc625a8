"""Processes that have their imports behind them: one imports what our nodes import, all others are copies of it.

A copy is made while there is one thread and before ROS has begun. It runs a module or script as `python ARGUMENTS`
does, to the end of the interpreter, but saves the two to three seconds of the imports.
"""

import gc
import importlib
import json
import os
import runpy
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

IMPORTED = ("dope_ros2.cli", "dope_ros2.nodes.camera_node", "dope_ros2.nodes.dope_node", "dope_ros2.nodes.monitor_node")


@contextmanager
def server():
    """Gives `ask(**request)`: a new process of `command`, `folder` and `log`, or the status of `number`."""
    command = [sys.executable, str(Path(__file__).resolve())]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, start_new_session=True, **pipes) as process:

        def ask(**request):
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield ask
        process.stdin.close()


def _status(number):
    """The exit status of a copy, minus the signal's number if one ended it; None while it runs."""
    done, status = os.waitpid(number, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if done else None


def serve():
    """Copy this process as asked for; returns in every copy, with the request."""
    for name in IMPORTED:
        importlib.import_module(name)
    gc.freeze()  # what is imported is not looked through, and so not duplicated, in every copy
    for line in sys.stdin:
        request = json.loads(line)
        if "number" in request:
            answer = _status(request["number"])
        elif (answer := os.fork()) == 0:
            return request
        print(json.dumps(answer), flush=True)
    return None


def _redirect(log):
    """Nothing to read, and both outputs into one file."""
    nothing, file = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for descriptor, stream in ((nothing, 0), (file, 1), (file, 2)):
        os.dup2(descriptor, stream)
    os.close(nothing)
    os.close(file)


def become(command, log, folder):
    """Run `-m MODULE ...` or `SCRIPT ...`."""
    _redirect(log)
    os.chdir(folder)
    if command[0] == "-m":
        sys.argv, sys.path[0] = command[1:], folder
        sys.modules.pop(command[1], None)  # runpy warns of modules that are imported already
        runpy.run_module(command[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[0] = command, str(Path(command[0]).parent)
        runpy.run_path(command[0], run_name="__main__")


if __name__ == "__main__" and (asked := serve()):
    become(**asked)
