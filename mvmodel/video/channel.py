"""Messages between this process and a decoding worker. Arrays travel in shared memory and are not copied on arrival."""

from __future__ import annotations

import mmap
import os
import pickle
import socket
import tempfile
from collections.abc import Iterable
from io import BytesIO
from multiprocessing.connection import Connection
from typing import Any

_ALIGNMENT = 64
"""Bytes to which arrays are aligned in shared memory."""
_MAX_INLINE = 1 << 16
"""Arrays of together at most so many bytes travel in the message itself."""
_SAFE_MODULES = ("mvmodel", "numpy", "pathlib", "collections", "decimal", "av")
"""Modules whose classes a message may hold."""


class Channel:
    """One end of a connection of two processes on one machine.

    Args:
        end: One end of a `socket.socketpair`.
        trusts: Whether messages may hold functions. Only the worker trusts: what comes from it may be a file's doing.
    """

    def __init__(self, end: socket.socket, trusts: bool = False) -> None:
        self._socket, self._load = end, pickle.loads if trusts else _load_safely
        self._connection = Connection(os.dup(end.fileno()))

    def poll(self, seconds: float) -> bool:
        """Waits up to `seconds` for a message. True also if the other process has gone."""
        return self._connection.poll(seconds)

    def send(self, value: Any) -> None:
        """Sends a value that can be pickled. Raises OSError if the other process has gone."""
        buffers: list[pickle.PickleBuffer] = []
        content = pickle.dumps(value, protocol=5, buffer_callback=buffers.append)
        arrays = [buffer.raw() for buffer in buffers]
        sizes = [array.nbytes for array in arrays]
        is_inline = sum(sizes) <= _MAX_INLINE
        inline = [bytes(array) for array in arrays] if is_inline else []
        self._connection.send_bytes(pickle.dumps((content, sizes, inline)))
        if not is_inline:
            descriptor = _share(arrays)
            try:
                socket.send_fds(self._socket, [b"."], [descriptor])
            finally:
                os.close(descriptor)

    def receive(self) -> Any:
        """The next message. Raises EOFError or OSError if the other process has gone, UnpicklingError for other classes
        than arrays, exceptions and those of mvmodel."""
        content, sizes, inline = _load_safely(self._connection.recv_bytes())
        if sum(sizes) <= _MAX_INLINE:
            return self._load(content, buffers=[bytearray(part) for part in inline])
        _, descriptors, _, _ = socket.recv_fds(self._socket, 1, 1)
        if not descriptors:
            raise EOFError("the shared memory of a message is missing")
        try:
            memory = memoryview(mmap.mmap(descriptors[0], sum(_padded(size) for size in sizes)))
        finally:
            os.close(descriptors[0])
        parts, start = [], 0
        for size in sizes:
            parts.append(memory[start : start + size])
            start += _padded(size)
        return self._load(content, buffers=parts)

    def close(self) -> None:
        """Closes this end; the other one notices."""
        self._connection.close()
        self._socket.close()


def can_be_received(kind: type) -> bool:
    """Whether a message may hold objects of a class."""
    return kind.__module__.split(".")[0] in ("builtins", *_SAFE_MODULES)


class _SafeUnpickler(pickle.Unpickler):
    """A decoder that was taken over by a file must not run code here."""

    def find_class(self, module: str, name: str) -> Any:
        if module == "builtins":
            value = super().find_class(module, name)
            if isinstance(value, type) and (issubclass(value, BaseException) or name in ("set", "range", "bytearray")):
                return value
        elif module.split(".")[0] in _SAFE_MODULES and "." not in name:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"a message holds {module}.{name}")


def _load_safely(content: bytes, buffers: Iterable[Any] = ()) -> Any:
    return _SafeUnpickler(BytesIO(content), buffers=buffers).load()


def _padded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _share(arrays: list[memoryview]) -> int:
    """A file descriptor of memory with all arrays, one after the other."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("mvmodel-frames")
    else:  # macOS
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    try:
        start = 0
        for array in arrays:
            written = 0
            while written < array.nbytes:
                written += os.pwrite(descriptor, array[written:], start + written)
            start += _padded(array.nbytes)
        os.ftruncate(descriptor, start)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
