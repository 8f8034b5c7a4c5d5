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
def load_pack_once(pack: str | None, device: str = "auto") -> Pack:
    """A pack, or the default one for None, loaded once a process; in float32 on a `device` that is named."""
    from mvmodel.packs import load_pack

    return load_pack(pack, device, "auto" if device == "auto" else "float32")


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


def run_in_two_stages(
    generate: Callable[..., list[tuple[Any, tuple[Any, ...]]]],
    judge: Callable[..., Any],
    tasks: Sequence[tuple[Any, ...]],
    generators: int,
    judges: int,
    minutes: float = float("inf"),
    prepare: Callable[[], None] | None = None,
) -> Iterator[tuple[Any, Any]]:
    """(key, judge(*arguments)) for every pair of key and arguments that generate(*task) returns for a task.

    Generation and judging have processes of their own, so that few processes use a GPU while many CPU cores judge. Both
    functions, tasks and results must be picklable. Tasks begin in order. A task that fails is told on stderr and left
    out; RuntimeError is raised at the end.

    minutes: after these, nothing more is begun. prepare: called first in every process; None keeps each to one thread.
    """
    from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
    from multiprocessing import get_context

    began, context, failures, judged, told = time.perf_counter(), get_context("spawn"), 0, 0, 0
    prepare = prepare or use_one_thread
    with (
        ProcessPoolExecutor(generators, mp_context=context, initializer=prepare) as generating,
        ProcessPoolExecutor(judges, mp_context=context, initializer=prepare) as judging,
    ):
        running: dict[Future[Any], Any] = {generating.submit(generate, *task): None for task in tasks}
        keys: dict[Future[Any], Any] = {}
        while running and time.perf_counter() - began < 60 * minutes:
            for future in wait(running, min(60 * minutes, 1e6), FIRST_COMPLETED).done:
                del running[future]
                if error := future.exception():
                    failures += 1
                    print(f"{keys.get(future, 'generation')} failed: {error!r}", file=sys.stderr, flush=True)
                elif future in keys:
                    judged += 1
                    yield keys[future], future.result()
                else:
                    for key, arguments in future.result():
                        job = judging.submit(judge, *arguments)
                        running[job], keys[job] = None, key
            if judged >= told + 20:
                told, taken = judged, (time.perf_counter() - began) / 60
                print(f"{judged} judged, {len(running)} waiting, {taken:.1f} min", file=sys.stderr, flush=True)
        for pool in (generating, judging):
            pool.shutdown(wait=False, cancel_futures=True)
    if failures:
        raise RuntimeError(f"{failures} measurements failed; their errors are above")


def use_one_thread() -> None:
    """Keep this process to one thread: two processes of two threads each are several times slower on two cores."""
    os.environ["OMP_NUM_THREADS"] = "1"
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
