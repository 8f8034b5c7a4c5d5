"""Messages between processes: every value arrives as it was sent, and a hostile message runs nothing."""

from __future__ import annotations

import json
import os
import pickle
import socket
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mvmodel.masks.sequence import MaskSequence
from mvmodel.video.channel import Channel
from mvmodel.video.containers import VideoInfo
from mvmodel.video.messages import MessageError, decode_message, encode_message
from mvmodel.video.sampling import shrink_to_grey

INFO = VideoInfo(frames=2, fps=29.97002997002997, width=4, height=2, codec="vp9", duration_s=0.1, times=(0.0, 1 / 3))


def send_and_receive(value: Any, trusts: bool = False) -> Any:
    text, buffers = encode_message(value)
    return decode_message(text, [bytearray(buffer) for buffer in buffers], trusts)


@pytest.mark.parametrize(
    "value",
    [
        None,
        "name \udcff ü",
        [1, 2.5, True, float("inf"), -(2**70)],
        {"a": (1, (2, [3])), 4: {"tuple": 1}, (1, 2): {1, 2}},
        (Path("/a/ü"), Decimal("0.10"), range(2, 9, 3), b"\0\1", bytearray(b"\2")),
        INFO,
    ],
)
def test_values_arrive_equal_and_of_the_same_type(value: Any) -> None:
    received = send_and_receive(value)
    assert received == value and type(received) is type(value)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "<u2", ">i4", "float16", "float64", "complex64"])
def test_arrays_arrive_with_dtype_shape_order_and_may_be_written(dtype: str) -> None:
    values = np.arange(24).reshape(2, 3, 4).astype(dtype)
    for array in (values, np.asfortranarray(values), values[:, ::2], values[0, 0, 0], values[:0], np.array(values[1])):
        received = send_and_receive(array)
        assert np.array_equal(received, array) and received.dtype == array.dtype and received.shape == array.shape
        assert received.flags.f_contiguous == array.flags.f_contiguous or not array.flags.contiguous
    received = send_and_receive(values)
    received[0] = 1


def test_dataclasses_with_arrays_and_functions_with_arguments_arrive() -> None:
    masks = np.zeros((2, 4, 4), bool)
    masks[:, 1:3, 1:3] = True
    sequence = send_and_receive((MaskSequence(masks, 12.5), None))[0]
    assert np.array_equal(sequence.masks, masks) and sequence.fps == 12.5
    function = send_and_receive(partial(shrink_to_grey, size=(4, 4)), trusts=True)
    assert function.func is shrink_to_grey and function.keywords == {"size": (4, 4)}


@pytest.mark.parametrize("value", [lambda: 1, object(), np.array([{}]), ValueError("x"), open])
def test_what_a_message_cannot_hold_is_refused_when_it_is_sent(value: Any) -> None:
    if value is open:
        value = np.datetime64("2026-01-01")
    with pytest.raises(TypeError):
        encode_message(value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"function": "os:system"}, "function os:system"),
        ({"partial": [{"function": "os:system"}, {"tuple": ["touch x"]}, {"dict": []}]}, "function os:system"),
        ({"object": ["subprocess:Popen", {"dict": [["args", "true"]]}]}, "no dataclass of mvmodel"),
        ({"object": ["mvmodel.video.guard:run_guarded", {"dict": []}]}, "no dataclass of mvmodel"),
        ({"object": ["mvmodel.video.guard:subprocess.Popen", {"dict": []}]}, "no dataclass of mvmodel"),
        ({"object": ["mvmodel.video.guard:Path", {"dict": []}]}, "no dataclass of mvmodel"),
        ({"object": ["mvmodel.masks.sequence:MaskSequence", {"dict": [["masks", 1]]}]}, "cannot be read"),
        ({"array": [0, "|O", [1]]}, "array of object"),
        ({"array": [0, "<f8", [1 << 40]]}, "cannot be read"),
        ({"array": [7, "<f8", [1]]}, "cannot be read"),
        ({"array": [0, "<f8", [-1]]}, "cannot be read"),
        ({"eval": "1"}, "unknown kind"),
        ({}, "cannot be read"),
        ({"a": 1, "b": 2}, "cannot be read"),
    ],
)
def test_a_hostile_message_runs_nothing(content: Any, reason: str) -> None:
    with pytest.raises(MessageError, match=reason):
        decode_message(json.dumps(content), [bytearray(64)])


class _Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("executed",)


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    """The trusting end of a worker and the end of its parent."""
    one, other = socket.socketpair()
    worker, parent = Channel(one, trusts=True), Channel(other)
    yield worker, parent
    worker.close()
    parent.close()


def test_a_pickle_is_no_message(ends: tuple[Channel, Channel], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for receiver, sender in (ends, ends[::-1]):
        sender._connection.send_bytes(pickle.dumps(_Hostile()))
        with pytest.raises(MessageError, match="cannot be read"):
            receiver.receive()
    assert not (tmp_path / "executed").exists()


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="shared memory can be sealed on Linux only")
@pytest.mark.parametrize("flags", [0, 2])
def test_shared_memory_that_is_too_small_or_can_shrink_is_refused(ends: tuple[Channel, Channel], flags: int) -> None:
    """Reading memory that the other process has cut off would end this one."""
    worker, parent = ends
    worker._connection.send_bytes(json.dumps(["null", [1 << 20]]).encode())
    descriptor = os.memfd_create("small", flags)
    os.ftruncate(descriptor, 1 << 20 if flags == 0 else 10)
    socket.send_fds(worker._socket, [b"."], [descriptor])
    os.close(descriptor)
    with pytest.raises(MessageError, match="shared memory"):
        parent.receive()
