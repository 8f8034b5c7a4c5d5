"""Reads files from outside in a process of its own, with limits on time and memory: a crash costs one file.

The worker is started once and used for all files. It is replaced after a crash, after a limit, and after an interrupt.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import mvmodel
from mvmodel.errors import InputError
from mvmodel.video.channel import Channel
from mvmodel.video.config import DecodeLimits
from mvmodel.video.containers import UnusableClip, VideoInfo
from mvmodel.video.messages import MessageError

logger = logging.getLogger(__name__)
P = ParamSpec("P")
T = TypeVar("T")

_START_SECONDS = 120.0
_STOP_SECONDS = 5.0
_BYTES_PER_SECOND = 1_000_000
"""A file of so many bytes may take a second longer than the limit says."""
_MAX_IDLE = 2
"""Workers that wait for a task, at most."""

_send_beat: Callable[[], None] | None = None


def run_guarded(path: Path, limits: DecodeLimits, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `function(*args)` returns in the worker process.

    Args:
        path: The file that it reads, for messages and for the time limit.
        limits: Limits of time and memory.
        function: A function of a module, not of a script. It may raise InputErrors.
        *args: Its arguments, of the kinds in `mvmodel.video.messages`.

    Raises:
        InputError: As `function` raises it.
        UnusableClip: It crashed, took too long, needed too much memory, or raised an error that is no InputError.
    """
    if kwargs:
        raise TypeError("run_guarded takes no keyword arguments for the function; use functools.partial")
    if is_worker():
        return function(*args, **kwargs)
    with contextlib.closing(_run_task(Path(path), limits, "run", function, args)) as values:
        value: T = next(values)
        for _ in values:
            pass
    return value


def iterate_guarded(
    path: Path, limits: DecodeLimits, function: Callable[..., Iterator[T]], *args: Any
) -> Generator[T, None, None]:
    """As `run_guarded`, for a function that yields: yields what it does, a little ahead of the caller."""
    if is_worker():
        yield from function(*args)
        return
    with contextlib.closing(_run_task(Path(path), limits, "iterate", function, args)) as batches:
        for batch in batches:
            yield from batch


def is_worker() -> bool:
    """Whether this is the worker process."""
    return _send_beat is not None


def enter_worker(send_beat: Callable[[], None]) -> None:
    """Called in the worker: from now on guarded functions run directly, and `beat` calls `send_beat`."""
    global _send_beat
    _send_beat = send_beat


def beat() -> None:
    """Called in long loops over packets and frames: says that the work goes on. The time limit counts from there."""
    if _send_beat is not None:
        _send_beat()


def start_worker() -> None:
    """Starts the worker if there is none, without waiting for it, so that it loads while the caller does other work."""
    if not is_worker() and not _pool.idle:
        _pool.idle.append(_Worker())


@dataclass(frozen=True)
class TaskError:
    """What the worker says about an exception of a task.

    kind: "clip" for UnusableClip, "input" for other InputErrors, "memory" for MemoryError, or "other". reason: for
    people to read. details: the exception as Python prints it. path and info: of an UnusableClip.
    """

    kind: str
    reason: str
    details: str
    path: Path | None = None
    info: VideoInfo | None = None


class _Worker:
    """A worker process and the connection to it."""

    def __init__(self) -> None:
        own, other = socket.socketpair()
        self.errors = tempfile.TemporaryFile()  # noqa: SIM115
        # The system ends a worker when the THREAD that started it ends; this one lives as long as the process.
        self.process = _pool.starter.submit(_start_process, other, self.errors).result()
        other.close()
        self.channel = Channel(own)
        self._is_ready = False

    def wait_until_ready(self) -> None:
        """Waits for the worker's first message. Raises RuntimeError with what it printed if it cannot start."""
        if self._is_ready:
            return
        try:
            self._is_ready = self.channel.poll(_START_SECONDS) and self.channel.receive()[0] == "ready"
        except (EOFError, OSError, MessageError):
            self._is_ready = False
        if not self._is_ready:
            self.kill()
            raise RuntimeError(f"the process that decodes files does not start: {self.printed()}")

    def printed(self) -> str:
        """What the process has printed: decoders' complaints, and the traceback of an error in the worker itself."""
        self.errors.seek(0)
        return str(self.errors.read().decode(errors="replace")).strip() or "no message"

    def kill(self) -> int:
        """Ends the process at once. Returns its exit code, negative for the number of a signal."""
        with contextlib.suppress(OSError):
            self.process.kill()
        code = self.process.wait()
        self.channel.close()
        return code

    def exit_code(self) -> int:
        """The exit code of a process whose connection has broken."""
        try:
            code = self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            return self.kill()
        self.channel.close()
        return code


class _Pool:
    """The workers that wait for a task, and the thread that starts them."""

    def __init__(self) -> None:
        self.idle: list[_Worker] = []
        self.starter = ThreadPoolExecutor(1, "mvmodel-decode-starter")
        self.process_id = os.getpid()

    def take(self) -> _Worker:
        """A worker that waits for a task."""
        while True:
            try:
                worker = self.idle.pop()
            except IndexError:
                worker = _Worker()
            if worker.process.poll() is None:
                worker.wait_until_ready()
                return worker
            worker.kill()

    def give_back(self, worker: _Worker, is_worn: bool) -> None:
        """Keeps a worker for the next task."""
        if is_worn or len(self.idle) >= _MAX_IDLE:
            worker.kill()
        else:
            self.idle.append(worker)

    def close(self) -> None:
        """Ends all waiting workers, at the end of this process."""
        while self.idle:
            self.idle.pop().kill()


_pool = _Pool()


def _start_process(end: socket.socket, errors: Any) -> subprocess.Popen[bytes]:
    root = str(Path(mvmodel.__file__).resolve().parents[1])
    paths = [root, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    # -P: a folder of the user's with a file named like a module must not be imported from.
    command = [sys.executable, "-P", "-m", "mvmodel.video.worker", str(end.fileno()), str(os.getpid())]
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=errors,
        stderr=errors,
        pass_fds=[end.fileno()],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )


def _forget_workers() -> None:
    """In a forked process: the workers belong to the other one."""
    global _pool
    _pool = _Pool()


os.register_at_fork(after_in_child=_forget_workers)
atexit.register(lambda: _pool.close())


def _run_task(
    path: Path, limits: DecodeLimits, kind: str, function: Callable[..., Any], args: tuple[Any, ...]
) -> Generator[Any, None, None]:
    """Yields the values or batches that a task sends."""
    pool = _pool
    worker = pool.take()
    is_whole, is_worn = False, False
    try:
        seconds = limits.timeout_s + _count_bytes(path) / _BYTES_PER_SECOND
        worker.channel.send((kind, function, args, limits.memory_mb << 20, str(Path.cwd())))
        while True:
            message, value = _receive(worker, path, limits, seconds)
            if message == "end":
                is_whole, is_worn = True, bool(value)
                return
            if message == "error":
                _, is_worn = _receive(worker, path, limits, seconds)
                is_whole = True
                raise _to_input_error(path, limits, value)
            if message == "unknown":
                raise RuntimeError(f"the process that decodes files cannot import {function}: {value}")
            if message == "items":
                worker.channel.send("next")
            if message != "beat":
                yield value
    except MessageError as error:
        raise UnusableClip(path, f"its decoder sent what it must not ({error}); export it again") from error
    except (BrokenPipeError, ConnectionResetError, EOFError) as error:
        raise _describe_crash(worker, path, limits) from error
    except GeneratorExit:
        is_whole, is_worn = _stop(worker)
        raise
    finally:
        if is_whole and pool is _pool:
            pool.give_back(worker, is_worn)
        else:
            worker.kill()


def _receive(worker: _Worker, path: Path, limits: DecodeLimits, seconds: float) -> tuple[str, Any]:
    if not worker.channel.poll(seconds):
        raise UnusableClip(
            path,
            f"decoding it hangs: nothing came for {seconds:.0f} s; export it again, or raise timeout_s "
            f"(ingest.limits.timeout_s in the settings) if it is only slow",
        )
    message: tuple[str, Any] = worker.channel.receive()
    if message[0] == "log":
        name, level, text = message[1]
        logging.getLogger(name).log(level, "%s", text)
        return "beat", None
    return message


def _stop(worker: _Worker) -> tuple[bool, bool]:
    """Stops a task whose other items nobody wants. Returns whether that worked, and whether the worker is worn."""
    deadline = time.monotonic() + _STOP_SECONDS
    try:
        worker.channel.send("stop")
        while worker.channel.poll(max(0.0, deadline - time.monotonic())):
            message, value = worker.channel.receive()
            if message == "end":
                return True, bool(value)
    except (EOFError, OSError, MessageError):
        pass
    return False, False


def _count_bytes(path: Path) -> int:
    """Size of a file, or of the files directly in a folder; 0 if it is not there."""
    try:
        if path.is_dir():
            return sum(entry.stat().st_size for entry in os.scandir(path) if entry.is_file())
        return path.stat().st_size
    except OSError:
        return 0


def _to_input_error(path: Path, limits: DecodeLimits, error: TaskError) -> Exception:
    if error.kind == "memory":
        return UnusableClip(path, _memory_reason(limits))
    if error.kind == "clip" and error.path is not None:
        return UnusableClip(error.path, error.reason, error.info)
    if error.kind == "input":
        return InputError(error.reason)
    logger.debug("%s: %s", path, error.details)
    return UnusableClip(path, f"it cannot be read ({error.reason}); export it again")


def _memory_reason(limits: DecodeLimits) -> str:
    return (
        f"decoding it needs more than {limits.memory_mb} MB of memory; scale it down or cut it into parts, or raise "
        f"ingest.limits.memory_mb in the settings"
    )


def _describe_crash(worker: _Worker, path: Path, limits: DecodeLimits) -> UnusableClip:
    code = worker.exit_code()
    logger.debug("%s: the decoding process ended with %d: %s", path, code, worker.printed())
    if code == -signal.SIGKILL:
        return UnusableClip(path, f"its decoder was ended by the system, most likely because {_memory_reason(limits)}")
    name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return UnusableClip(path, f"its decoder crashed ({name}); export it again with another program")
