"""Spreading independent measurements over processes of one thread each, which is quickest on a few cores.

What the comparisons share that measure cell by cell: their options, filling in the cells that a file lacks, and packs
that each process loads once.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measurements import Figures, MeasurementLog

if TYPE_CHECKING:
    from mvmodel.packs import Pack


def add_cell_options(parser: argparse.ArgumentParser, out: str) -> None:
    """What every comparison takes that measures cell by cell; `out` is its file in benchmarks/results."""
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results") / out)
    parser.add_argument("--pack", default="tiny")
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each; at most one a core")
    parser.add_argument("--table", action="store_true", help="print what FILE holds, measure nothing")


def measure_missing(
    log: MeasurementLog, run: Callable[..., Figures], cells: Mapping[str, tuple[Any, ...]], workers: int
) -> None:
    """Measure the `cells`, key -> arguments of `run`, that the log lacks; each is logged as soon as it ends."""
    stored_rows = log.rows()
    lacking = [(key, run, *arguments) for key, arguments in cells.items() if key not in stored_rows]
    for (key, *_), figures in run_in_processes(_of_key, lacking, workers):
        log.add(key, figures)


def _of_key(key: str, run: Callable[..., Figures], *arguments: Any) -> Figures:
    return run(*arguments)


@cache
def load_pack_once(pack: str | None) -> Pack:
    """A pack, or the default one for None, loaded once a process."""
    from mvmodel.packs import load_pack

    return load_pack(pack)


def run_in_processes(
    run: Callable[..., Any], tasks: Sequence[tuple[Any, ...]], workers: int
) -> Iterator[tuple[Any, Any]]:
    """(task, run(*task)) for every task, as they end; progress on stderr. One worker runs them here, in order.

    With several, `run`, tasks and results must be picklable. Stopping the iteration drops what has not begun.
    """
    began = time.perf_counter()

    def tell(count: int) -> None:
        seconds = time.perf_counter() - began
        remaining = seconds / count * (len(tasks) - count)
        print(
            f"{count} of {len(tasks)}, {seconds / 60:.1f} min, about {remaining / 60:.0f} more",
            file=sys.stderr,
            flush=True,
        )

    if workers == 1:
        for number, task in enumerate(tasks, start=1):
            yield task, run(*task)
            tell(number)
        return
    from concurrent.futures import ProcessPoolExecutor, as_completed
    from multiprocessing import get_context

    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=use_one_thread)
    try:
        tasks_by_future = {pool.submit(run, *task): task for task in tasks}
        for number, future in enumerate(as_completed(tasks_by_future), start=1):
            yield tasks_by_future[future], future.result()
            tell(number)
    finally:
        pool.shutdown(cancel_futures=True)


def use_one_thread() -> None:
    """Keep this process to one thread: two processes of two threads each are several times slower on two cores."""
    os.environ["OMP_NUM_THREADS"] = "1"
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
