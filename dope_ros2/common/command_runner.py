"""Running a verb: a user's mistake is one line and exit status 2, never a traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module

from dope_ros2.common.errors import UserError

USER_ERROR, INTERRUPTED = 2, 130  # exit status


def load_function(target: str, name: str) -> Callable:
    """Import `module:function` for a verb.

    Raises:
        UserError: something that it needs is not installed.
    """
    module, function = target.split(":")
    try:
        return getattr(import_module(module), function)
    except ModuleNotFoundError as error:
        raise UserError(
            f"`dope {name}` needs the Python package {error.name!r}, which is not installed; "
            "`make setup` installs everything, README.md says what each part needs"
        ) from error


def guarded(run: Callable[[list[str]], int | None], argv: list[str], name: str) -> int:
    """Call `run` and return its exit status; a user's mistake is one line on stderr and 2, Ctrl-C is 130."""
    try:
        return run(argv) or 0
    except UserError as error:
        print(f"{name}: error: {error}", file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output, such as `head`, has gone
        sys.stderr.close()
        return 0


def run_typer(app: object, argv: list[str] | None, name: str) -> int:
    """Run a typer application as a verb's `main`: no traceback and no boxes for a wrong option.

    Args:
        app: a `typer.Typer` of one command.
        argv: arguments without the program's name; those of the process if None.
        name: how the user called it, such as "dope predict".
    """
    import typer
    from typer.main import get_command

    usage_error = typer.BadParameter.__bases__[0]

    def call(arguments: list[str]) -> int | None:
        try:
            result = get_command(app).main(args=arguments, prog_name=name, standalone_mode=False)
        except usage_error as error:
            raise UserError(f"{error.format_message().rstrip('.')}; `{name} --help` lists what is allowed") from error
        except typer.Exit as error:
            return error.exit_code
        except typer.Abort:
            return INTERRUPTED
        return result if isinstance(result, int) else 0

    return guarded(call, sys.argv[1:] if argv is None else argv, name)
