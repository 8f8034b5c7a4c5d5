"""How a command line ends: the exit code, and one sentence on standard error where something is wrong."""

from __future__ import annotations

import atexit
import gc
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import typer

from mvmodel.cli.output import print_error
from mvmodel.errors import MvmodelError, Terminated, TrainingInterrupted
from mvmodel.files import DISK_FULL, is_disk_full
from mvmodel.libraries import quiet_libraries
from mvmodel.progress import show_progress

SIGNAL_BASE = 128
"""Shells count the end by a signal as 128 and the signal's number."""
INTERRUPTED = SIGNAL_BASE + signal.SIGINT


def run_app(app: typer.Typer, program: str, arguments: list[str] | None = None) -> int:
    """Run a command; returns the exit code: the command's own, 2 for wrong input, 130 after Ctrl-C, 143 after SIGTERM.

    Wrong options, wrong input and files that cannot be read or written are one sentence each.
    """
    quiet_libraries()
    _escape_unprintable_output()
    atexit.register(gc.freeze)  # else Python ends by looking for cycles among PyTorch's objects, which takes seconds
    with _ending_on_signals() as signals, show_progress():
        code = _run_command(app, program, arguments)
        return SIGNAL_BASE + (signals.last() or signal.SIGINT) if code == INTERRUPTED else code


def _run_command(app: typer.Typer, program: str, arguments: list[str] | None) -> int:
    """Returns the exit code, which is `INTERRUPTED` after any signal."""
    try:
        code = app(arguments, prog_name=program, standalone_mode=False)
    except MvmodelError as error:
        print_error(str(error), program)
        return 2
    except TrainingInterrupted as error:
        print_error(f"interrupted; {error}", program)
        return INTERRUPTED
    except KeyboardInterrupt:
        code = INTERRUPTED
    except OSError as error:
        if is_disk_full(error):
            return _print_disk_full(error, program)
        if error.errno is None:
            raise
        print_error(f"{error.filename or 'a file'} cannot be read or written ({error.strerror})", program)
        return 2
    except Exception as error:
        if is_disk_full(error):
            return _print_disk_full(error, program)
        if not hasattr(error, "format_message"):
            raise
        return _print_usage_error(error, program)
    if code == INTERRUPTED:
        print_error("interrupted; run the same command again to resume or to repeat it", program)
    return code if isinstance(code, int) else 0


@dataclass(frozen=True)
class _Signals:
    """The signals that arrive, whoever handles them: the interpreter writes their numbers to `pipe`, unless None."""

    pipe: int | None

    def last(self) -> int:
        """The number of the last SIGINT or SIGTERM, or 0."""
        try:
            numbers = os.read(self.pipe, 1024) if self.pipe is not None else b""
        except BlockingIOError:
            return 0
        return next((number for number in reversed(numbers) if number in (signal.SIGINT, signal.SIGTERM)), 0)


@contextmanager
def _ending_on_signals() -> Iterator[_Signals]:
    """Let SIGTERM end the block as Ctrl-C does, so that it cleans up; also in the background jobs of a shell script."""
    if threading.current_thread() is not threading.main_thread():
        yield _Signals(None)
        return
    reader, writer = os.pipe()
    for end in (reader, writer):
        os.set_blocking(end, False)
    earlier_writer = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    earlier = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGTERM, _raise_terminated)
    if earlier[signal.SIGINT] is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield _Signals(reader)
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(earlier_writer)
        os.close(writer)
        os.close(reader)


def _print_disk_full(error: Exception, program: str) -> int:
    name = getattr(error, "filename", None)
    print_error(f"{name}: {DISK_FULL}" if name else DISK_FULL, program)
    return 2


def _raise_terminated(*_: Any) -> None:
    raise Terminated


def _escape_unprintable_output() -> None:
    """Write what the terminal's encoding cannot hold, such as names that are not UTF-8, as escapes."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _print_usage_error(error: Exception, program: str) -> int:
    """Print what is wrong with the options, or the help if there are none; returns the exit code.

    Typer carries its own copy of click, so that its exceptions have no public names.
    """
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()  # type: ignore[attr-defined]
    else:
        message = " ".join(error.format_message().split())  # type: ignore[attr-defined]
        print_error(message.replace(": Value error, ", ": "), program)
    return int(error.exit_code)  # type: ignore[attr-defined]
