"""Messages between this process and a decoding worker. Arrays travel in shared memory and are not copied on arrival."""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import socket
import tempfile
from multiprocessing.connection import Connection
from typing import Any

from mvmodel.video.messages import MessageError, decode_message, encode_message

_ALIGNMENT = 64
"""Bytes to which arrays are aligned in shared memory."""
_MAX_INLINE = 1 << 16
"""Arrays of together at most so many bytes travel in the message itself."""


class Channel:
    """One end of a connection of two processes on one machine.

    Args:
        end: One end of a `socket.socketpair`.
        trusts: Whether messages may hold functions. Only the worker trusts: what comes from it may be a file's doing.
    """

    def __init__(self, end: socket.socket, trusts: bool = False) -> None:
        self._socket, self._trusts = end, trusts
        self._connection = Connection(os.dup(end.fileno()))

    def poll(self, seconds: float) -> bool:
        """Waits up to `seconds` for a message. True also if the other process has gone."""
        return self._connection.poll(seconds)

    def send(self, value: Any) -> None:
        """Sends a value of the kinds in `mvmodel.video.messages`.

        Raises OSError if the other process has gone, and TypeError for a value of another kind.
        """
        text, arrays = encode_message(value)
        sizes = [array.nbytes for array in arrays]
        self._connection.send_bytes(json.dumps([text, sizes]).encode())
        if sum(sizes) <= _MAX_INLINE:
            if arrays:
                self._connection.send_bytes(b"".join(arrays))
            return
        descriptor = _share(arrays)
        try:
            socket.send_fds(self._socket, [b"."], [descriptor])
        finally:
            os.close(descriptor)

    def receive(self) -> Any:
        """The next message. Raises EOFError or OSError if the other process has gone, MessageError if it is damaged
        or holds what it may not: functions, and classes other than mvmodel's dataclasses and pydantic models."""
        text, sizes = _parse_envelope(self._connection.recv_bytes())
        if sum(sizes) > _MAX_INLINE:
            memory, alignment = self._receive_shared_memory(sum(_padded(size) for size in sizes)), _ALIGNMENT
        else:
            memory, alignment = memoryview(bytearray(self._connection.recv_bytes() if sizes else b"")), 1
        parts, start = [], 0
        for size in sizes:
            parts.append(memory[start : start + size])
            start += -(-size // alignment) * alignment
        return decode_message(text, list(parts), self._trusts)

    def _receive_shared_memory(self, size: int) -> memoryview:
        _, descriptors, _, _ = socket.recv_fds(self._socket, 1, 1)
        if not descriptors:
            raise EOFError("the shared memory of a message is missing")
        try:
            if hasattr(os, "memfd_create"):  # memory that the other process makes smaller would end this one
                fcntl.fcntl(descriptors[0], fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
            return memoryview(mmap.mmap(descriptors[0], size))
        except (OSError, ValueError, OverflowError) as error:
            raise MessageError(f"the shared memory of a message cannot be read ({error})") from error
        finally:
            os.close(descriptors[0])

    def close(self) -> None:
        """Closes this end; the other one notices."""
        self._connection.close()
        self._socket.close()


def _parse_envelope(content: bytes) -> tuple[str, list[int]]:
    """The JSON of a message and the bytes of each of its arrays."""
    try:
        text, sizes = json.loads(content)
    except (ValueError, TypeError, RecursionError) as error:
        raise MessageError(f"a message cannot be read ({error})") from error
    if not isinstance(text, str) or not all(type(size) is int and size >= 0 for size in sizes):
        raise MessageError("a message cannot be read")
    return text, sizes


def _padded(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _share(arrays: list[memoryview]) -> int:
    """A file descriptor of memory with all arrays, one after the other."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("mvmodel-frames", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    else:  # macOS
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    try:
        start = 0
        for array in arrays:
            bytes_sent = 0
            while bytes_sent < array.nbytes:
                bytes_sent += os.pwrite(descriptor, array[bytes_sent:], start + bytes_sent)
            start += _padded(array.nbytes)
        os.ftruncate(descriptor, start)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
