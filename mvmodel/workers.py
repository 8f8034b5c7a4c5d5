"""`Workers`: a few processes that do independent parts of a step side by side, such as the videos of a batch.

Small models use several cores badly: threads of one operation wait for each other most of the time. Processes with a
share of the cores each do not, but every process has the models in its memory.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import cache
from multiprocessing import get_context
from typing import Any, TypeVar

Result = TypeVar("Result")
_POLL_SECONDS = 1.0


class Workers:
    """Processes that are started when they are first needed, and kept with the models that they have loaded.

    count: How many. One calls functions in this process instead.
    """

    def __init__(self, count: int = 1) -> None:
        self.count = count
        self._executor: ProcessPoolExecutor | None = None

    def map(self, function: Callable[..., Result], calls: Sequence[tuple[Any, ...]]) -> list[Result]:
        """What `function(*arguments)` returns for each of `calls`, in their order.

        function: Of a module, because other processes import it; its arguments and results are pickled. An error ends
        the map when the calls in progress have ended. A signal is passed on as SIGTERM, and the processes end. A single
        call is made in this process, with as many threads as one of the others has: so results do not depend on how
        many calls there are, bit for bit.
        """
        if self.count == 1 or len(calls) < 2:
            with self._share_of_threads():
                return [function(*arguments) for arguments in calls]
        executor, futures = self._start(), list[Future[Result]]()
        try:
            for arguments in calls:
                futures.append(executor.submit(function, *arguments))
            wait(futures, return_when=FIRST_EXCEPTION)
            return [future.result() for future in futures]
        except BrokenProcessPool as error:
            self.stop()
            reason = f"one of {self.count} processes was ended, most likely for lack of memory; set workers to 1"
            raise MemoryError(reason) from error
        except Exception:
            for future in futures:
                future.cancel()
            wait(futures)
            raise
        except BaseException:
            self.stop(signal.SIGTERM)
            raise

    def peak_memory_gb(self) -> float:
        """Peak memory of the largest process since it started, in GB; 0 if there is none, or no Linux."""
        peaks = [0.0]
        for process in (self._executor._processes if self._executor else {}).values():
            with contextlib.suppress(OSError), open(f"/proc/{process.pid}/status") as file:
                peaks += [int(line.split()[1]) / 2**20 for line in file if line.startswith("VmHWM")]
        return round(max(peaks), 3)

    def stop(self, signal_number: int | None = None) -> None:
        """End the processes; they are started again when they are needed. signal_number: sent to those at work."""
        executor, self._executor = self._executor, None
        if executor is None:
            return
        if signal_number is not None:
            for process in list((executor._processes or {}).values()):
                if process.pid is not None:
                    os.kill(process.pid, signal_number)
        executor.shutdown(cancel_futures=True)

    @property
    def _threads(self) -> int:
        """Threads of each process."""
        return max(1, (os.cpu_count() or 1) // self.count)

    @contextlib.contextmanager
    def _share_of_threads(self) -> Iterator[None]:
        """Calls in this process use as many threads as one of the processes has; one worker uses all of them."""
        if self.count == 1:
            yield
            return
        import cv2  # here, because every Dagster definition imports this module
        import torch

        before = torch.get_num_threads(), cv2.getNumThreads()
        torch.set_num_threads(self._threads)
        cv2.setNumThreads(self._threads)
        try:
            yield
        finally:
            torch.set_num_threads(before[0])
            cv2.setNumThreads(before[1])

    def _start(self) -> ProcessPoolExecutor:
        if self._executor is not None and self._executor._broken:
            self.stop()
        if self._executor is None:
            # A forked process would hang in the thread pools that torch and OpenCV have started here.
            self._executor = ProcessPoolExecutor(self.count, get_context("spawn"), _begin, (self._threads, os.getpid()))
        return self._executor


@cache
def get_workers(count: int) -> Workers:
    """The workers of this process, so that all steps share them."""
    workers = Workers(count)
    atexit.register(workers.stop)
    return workers


def _begin(threads: int, parent: int) -> None:
    """Runs first in every process, before torch is imported."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent says what it means
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # a parent may have passed on to ignore it
    threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"):
        os.environ[name] = str(threads)


def _end_with_parent(parent: int) -> None:
    """End this process when its parent has gone, even if that was killed."""
    while os.getppid() == parent:
        time.sleep(_POLL_SECONDS)
    os._exit(1)
