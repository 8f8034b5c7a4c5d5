"""The process that decodes files: `python -m mvmodel.video.worker DESCRIPTOR PARENT`, started by `mvmodel.video.guard`.

It ends with the process that started it, and its memory is limited. A file that crashes it costs one file.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from mvmodel.errors import InputError
from mvmodel.video import guard
from mvmodel.video.channel import Channel
from mvmodel.video.containers import UnusableClip, describe_error
from mvmodel.video.kept_frames import kept_frames
from mvmodel.video.messages import MessageError

_PARENT_DEATH_SIGNAL = 1
"""Linux's PR_SET_PDEATHSIG."""
_OUT_OF_MEMORY_SCORE = "800"
"""Of 1000: when the machine runs out of memory, the system ends this process and not the user's."""
_BATCH_BYTES = 8 << 20
_BATCH_SECONDS = 0.25
_BEAT_SECONDS = 1.0
_IDLE_SECONDS = 1.0
"""After so long without a task, frames that were kept for a second pass are dropped."""
_MAX_GROWTH_BYTES = 1 << 30
"""A worker that keeps so much more memory than at its start is replaced after its task."""


def main() -> None:
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    _end_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent says what it means
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write(_OUT_OF_MEMORY_SCORE)
    channel = Channel(socket.socket(fileno=descriptor), trusts=True)
    server = _Server(channel)
    guard.enter_worker(server.beat)
    logging.getLogger("mvmodel").addHandler(_ForwardedLog(channel))
    channel.send(("ready", None))
    start_memory = _memory("VmData")
    while True:
        while not channel.poll(_IDLE_SECONDS):
            kept_frames.drop()
        try:
            task = channel.receive()
        except (EOFError, OSError):
            return
        except (ImportError, MessageError) as error:
            channel.send(("unknown", f"{type(error).__name__}: {error}"))
            continue
        if isinstance(task, str):  # "next" or "stop", which came after the last item
            continue
        server.serve(task)
        is_worn = _memory("VmData") - start_memory > _MAX_GROWTH_BYTES and not kept_frames.frames
        channel.send(("end", is_worn))


class _ForwardedLog(logging.Handler):
    """Lets warnings about a file be logged by the parent, as if it had read the file."""

    def __init__(self, channel: Channel) -> None:
        super().__init__(logging.WARNING)
        self._channel = channel

    def emit(self, record: logging.LogRecord) -> None:
        self._channel.send(("log", (record.name, record.levelno, record.getMessage())))


class _Server:
    """Runs tasks and sends what they return."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._last_message = time.monotonic()

    def serve(self, task: tuple[str, Callable[..., Any], tuple[Any, ...], int, str]) -> None:
        """Runs one task: (kind, function, arguments, memory in bytes, the parent's working folder)."""
        kind, function, arguments, memory, folder = task
        self._last_message = time.monotonic()
        os.chdir(folder)  # the parent may have changed it since this process started, and paths may be relative
        _limit_memory(memory)
        try:
            if kind == "run":
                self._send("value", function(*arguments))
            else:
                self._stream(function(*arguments))
        except Exception as error:
            self._send_error(error)
        finally:
            _limit_memory(0)

    def beat(self) -> None:
        """Tells the parent that a long task goes on."""
        if time.monotonic() - self._last_message > _BEAT_SECONDS:
            self._send("beat", None)

    def _stream(self, items: Iterator[Any]) -> None:
        """Sends the items in batches, at most two ahead of what the parent has asked for."""
        batch: list[Any] = []
        size, credit, start = 0, 2, time.monotonic()
        with contextlib.closing(items):  # type: ignore[type-var]
            for item in items:
                batch.append(item)
                size += _count_bytes(item)
                if size < _BATCH_BYTES and time.monotonic() - start < _BATCH_SECONDS:
                    continue
                while credit == 0 or self._channel.poll(0):
                    if self._channel.receive() == "stop":
                        return
                    credit += 1
                self._send("items", batch)
                batch, size, credit, start = [], 0, credit - 1, time.monotonic()
        self._send("items", batch)

    def _send(self, kind: str, value: Any) -> None:
        self._channel.send((kind, value))
        self._last_message = time.monotonic()

    def _send_error(self, error: Exception) -> None:
        details = f"{type(error).__name__}: {error}"
        if isinstance(error, UnusableClip):
            self._send("error", guard.TaskError("clip", error.reason, details, error.path, error.info))
            return
        kinds = {InputError: "input", MemoryError: "memory"}
        kind = next((name for error_class, name in kinds.items() if isinstance(error, error_class)), "other")
        reason = str(error) if kind == "input" else describe_error(error)
        self._send("error", guard.TaskError(kind, reason, details))


def _count_bytes(item: Any) -> int:
    if isinstance(item, np.ndarray):
        return item.nbytes
    return sum(_count_bytes(part) for part in item) if isinstance(item, tuple) else 0


def _end_with_parent(parent: int) -> None:
    """Lets the system end this process when its parent ends, even while a decoder hangs."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(0)


def _memory(name: str) -> int:
    """A line of /proc/self/status in bytes; 0 elsewhere than on Linux."""
    with contextlib.suppress(OSError), open("/proc/self/status") as file:
        for line in file:
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    return 0


def _limit_memory(bytes_more: int) -> None:
    """Allows so many bytes more than now; 0: no limit. Only Linux counts them."""
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    now = _memory("VmData")
    if now == 0:
        return
    soft = now + bytes_more if bytes_more else hard
    resource.setrlimit(resource.RLIMIT_DATA, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


if __name__ == "__main__":
    main()
