"""Running a verb: a user's mistake is one line and exit status 2, never a traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TypeAlias

from dope_ros2.common.errors import UserError

USER_ERROR, INTERRUPTED = 2, 130  # exit status

Main: TypeAlias = Callable[[list[str] | None], int]  # of the arguments, those of the process if None, to exit status
Command: TypeAlias = Callable[..., int | None]  # its parameters are annotated for typer; None is exit status 0


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


def command(name: str) -> Callable[[Command], Main]:
    """Turn a function into the `main` of a verb: it parses arguments as the function's annotations say.

    Args:
        name: how the user calls it, such as "dope predict".
    """
    return lambda function: commands(name, {name: function})


def commands(name: str, functions: Mapping[str, Command]) -> Main:
    """The same of a verb that has verbs of its own, such as `dope assets check`; `functions` by those."""

    def main(argv: list[str] | None = None) -> int:
        return guarded(lambda arguments: _run(name, functions, arguments), sys.argv[1:] if argv is None else argv, name)

    return main


def _run(name: str, functions: Mapping[str, Command], argv: list[str]) -> int | None:
    """Call one of the functions with parsed arguments; no traceback and no boxes for a wrong option."""
    import typer  # here, so that `dope --help` does not wait for it
    from typer.main import get_command

    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    for verb, function in functions.items():
        app.command(verb, short_help=str(function.__doc__).partition("\n")[0])(function)
    usage_error = typer.BadParameter.__bases__[0]
    try:
        result = get_command(app).main(args=argv, prog_name=name, standalone_mode=False)
    except usage_error as error:
        raise UserError(f"{error.format_message().rstrip('.')}; `{name} --help` lists what is allowed") from error
    except typer.Exit as error:
        return error.exit_code
    except typer.Abort:
        return INTERRUPTED
    return result if isinstance(result, int) else 0
