"""Spreading independent measurements over processes of one thread each, which is quickest on a few cores."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any


def spread(run: Callable[..., Any], tasks: Sequence[tuple[Any, ...]], workers: int) -> Iterator[tuple[Any, Any]]:
    """(task, run(*task)) for every task, as they end; progress on stderr. One worker runs them here, in order.

    With several, `run`, tasks and results must be picklable. Stopping the iteration drops what has not begun.
    """
    began = time.perf_counter()

    def tell(done: int) -> None:
        taken = time.perf_counter() - began
        left = taken / done * (len(tasks) - done)
        print(f"{done} of {len(tasks)}, {taken / 60:.1f} min, about {left / 60:.0f} more", file=sys.stderr, flush=True)

    if workers == 1:
        for number, task in enumerate(tasks, start=1):
            yield task, run(*task)
            tell(number)
        return
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from multiprocessing import get_context

    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=one_thread)
    try:
        waiting = {pool.submit(run, *task): task for task in tasks}
        for number, future in enumerate(as_completed(waiting), start=1):
            yield waiting[future], future.result()
            tell(number)
    finally:
        pool.shutdown(cancel_futures=True)


def one_thread() -> None:
    """Keep this process to one thread: two processes of two threads each are several times slower on two cores."""
    os.environ["OMP_NUM_THREADS"] = "1"
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
