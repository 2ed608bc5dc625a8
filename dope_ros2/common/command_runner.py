"""Running a verb: a user's mistake is one line and exit status 2, never a traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from importlib import import_module
from inspect import Signature, signature
from types import UnionType
from typing import Annotated, Any, TypeAlias, Union, get_args, get_origin, get_type_hints

from dope_ros2.common.errors import UserError
from dope_ros2.common.python_packages import EXTRA_OF, check_versions, remedy

USER_ERROR, INTERRUPTED = 2, 130  # exit status
OWN = ("dope_ros2", "dope_datagen", "dope_training")

Main: TypeAlias = Callable[[list[str] | None], int]  # of the arguments, those of the process if None, to exit status
Command: TypeAlias = Callable[..., int | None]  # its parameters are annotated for typer; None is exit status 0


def load_function(target: str, name: str) -> Callable:
    """Import `module:function` for a verb.

    Raises:
        UserError: something that it needs is not installed, too old, or cannot be imported.
    """
    module, function = target.split(":")
    extra = EXTRA_OF.get(module.partition(".")[0], "")
    with explained(f"`dope {name}` cannot run", extra):
        loaded = getattr(import_module(module), function)
        check_versions(extra)
        return loaded


@contextmanager
def explained(what: str, extra: str = "") -> Iterator[None]:
    """Turn a failed import of somebody else's module into what the user can do."""
    try:
        yield
    except ImportError as error:
        if (error.name or "").partition(".")[0] in OWN:
            raise
        raise UserError(f"{what}: {remedy(error, extra)}") from error


def guarded(run: Callable[[list[str]], int | None], argv: list[str], name: str) -> int:
    """Call `run` and return its exit status; a user's mistake is one line on stderr and 2, Ctrl-C is 130."""
    try:
        with explained("cannot go on"):
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


def without_bars(function: Command) -> Command:
    """The same function annotated `Optional[X]` instead of `X | None`, which typer below 0.12.4 cannot read."""
    hints = get_type_hints(function, include_extras=True)

    @wraps(function)
    def call(*arguments: object, **options: object) -> int | None:
        return function(*arguments, **options)

    call.__annotations__ = {name: _without_bar(hint) for name, hint in hints.items()}
    parameters = signature(function).parameters.values()
    call.__signature__ = Signature([each.replace(annotation=call.__annotations__[each.name]) for each in parameters])
    return call


def _without_bar(hint: Any) -> Any:  # noqa: ANN401, whatever can be an annotation
    if get_origin(hint) is Annotated:
        return Annotated[_without_bar(hint.__origin__), *hint.__metadata__]
    return Union[get_args(hint)] if isinstance(hint, UnionType) else hint  # noqa: UP007


def _run(name: str, functions: Mapping[str, Command], argv: list[str]) -> int | None:
    """Call one of the functions with parsed arguments; no traceback and no boxes for a wrong option."""
    import typer  # here, so that `dope --help` does not wait for it
    from typer.main import get_command

    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    for verb, function in functions.items():
        app.command(verb, short_help=str(function.__doc__).partition("\n")[0])(without_bars(function))
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
