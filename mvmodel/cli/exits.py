"""How a command line ends: the exit code, and one sentence on standard error where something is wrong."""

from __future__ import annotations

import typer

from mvmodel.cli.output import print_error
from mvmodel.errors import MvmodelError

INTERRUPTED = 130
"""128 and the number of SIGINT, as shells count it."""


def run_app(app: typer.Typer, program: str, arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit code: the command's own, 2 for wrong input, 130 after Ctrl-C.

    Wrong options, wrong input and files that cannot be read or written are one sentence each.
    """
    try:
        code = app(arguments, prog_name=program, standalone_mode=False)
    except MvmodelError as error:
        print_error(str(error), program)
        return 2
    except KeyboardInterrupt:
        code = INTERRUPTED
    except OSError as error:
        if error.errno is None:
            raise
        print_error(f"{error.filename or 'a file'} cannot be read or written ({error.strerror})", program)
        return 2
    except Exception as error:
        if not hasattr(error, "format_message"):
            raise
        return _print_usage_error(error, program)
    if code == INTERRUPTED:
        print_error("interrupted; run the same command again to resume", program)
    return code if isinstance(code, int) else 0


def _print_usage_error(error: Exception, program: str) -> int:
    """Print what is wrong with the options, or the help if there are none; returns the exit code.

    Typer carries its own copy of click, so that its exceptions have no public names.
    """
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()  # type: ignore[attr-defined]
    else:
        print_error(" ".join(error.format_message().split()), program)  # type: ignore[attr-defined]
    return int(error.exit_code)  # type: ignore[attr-defined]
