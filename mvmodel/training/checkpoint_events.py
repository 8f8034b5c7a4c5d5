"""Lets a caller of training know that a checkpoint is complete, for example to copy it to another machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_listener: ContextVar[Callable[[], None] | None] = ContextVar("checkpoint_listener", default=None)


@contextmanager
def checkpoint_listener(listener: Callable[[], None] | None) -> Iterator[None]:
    """Call `listener` after every checkpoint that is written inside the block, in the thread that trains."""
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def notify_checkpoint() -> None:
    """Called when a checkpoint is complete."""
    if (listener := _listener.get()) is not None:
        listener()
