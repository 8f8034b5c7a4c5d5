"""Batches computed ahead of time in a thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

Batch = TypeVar("Batch")


def prefetch(make_batch: Callable[[int], Batch], start: int, stop: int, depth: int = 4) -> Iterator[Batch]:
    """Yields `make_batch(i)` for i in start..stop - 1, up to `depth` of them computed ahead of time in one thread.

    An exception of `make_batch` is raised here.
    """
    batches: queue.Queue[Batch | BaseException] = queue.Queue(maxsize=depth)
    stopped = threading.Event()

    def produce() -> None:
        try:
            for index in range(start, stop):
                batch = make_batch(index)
                while not stopped.is_set():
                    try:
                        batches.put(batch, timeout=0.5)
                        break
                    except queue.Full:
                        continue
                if stopped.is_set():
                    return
        except BaseException as error:
            batches.put(error)

    threading.Thread(target=produce, daemon=True).start()
    try:
        for _ in range(start, stop):
            item = batches.get()
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        stopped.set()
