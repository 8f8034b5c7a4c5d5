"""Progress of long work: a bar in a terminal, a line every ten seconds elsewhere.

Library code reports with `track` and `start_task`, which do nothing until a command line switches the display on with
`show_progress`. One display serves nested work: the outermost task is shown, and the tasks inside it move it on.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress

LINE_INTERVAL = 10.0
"""Seconds between two lines where the output is not a terminal."""
MIN_SECONDS = 1.0
"""Work that takes less shows no bar."""
Item = TypeVar("Item")
Advance = Callable[..., None]
"""Called after each part of a task, with a note or without."""


def track(items: Sequence[Item], description: str) -> Iterator[Item]:
    """The items one by one. Each counts as done when the next one is asked for."""
    with start_task(description, len(items)) as advance:
        for item in items:
            yield item
            advance()


@contextmanager
def start_task(description: str, total: int, initial: int = 0) -> Iterator[Advance]:
    """A task of `total` equal parts, `initial` of which are finished already; yields a function that finishes one more.

    The function takes a note for the display, such as the last loss.
    """
    display = _current.display
    if display is None or threading.current_thread() is not threading.main_thread():
        yield lambda note="": None
        return
    task = _Task(description, max(total, 1), initial)
    display.begin(task)

    def advance(note: str = "") -> None:
        task.position += 1
        display.update(note)

    try:
        yield advance
    finally:
        display.end(task)


def report_steps(advance: Advance) -> Callable[..., dict[str, Any]]:
    """The `callback_on_step_end` of a pipeline of diffusers that finishes one part of a task at every step."""

    def on_step_end(pipeline: object, step: int, timestep: object, tensors: dict[str, Any]) -> dict[str, Any]:
        advance()
        return tensors

    return on_step_end


@contextmanager
def show_progress(stream: TextIO | None = None) -> Iterator[None]:
    """Show the tasks of this process inside the block, on standard error or another stream."""
    outer_display = _current.display
    _current.display = _Display(stream)
    try:
        yield
    finally:
        _current.display.close()
        _current.display = outer_display


@dataclass
class _Task:
    description: str
    total: int
    position: int


class _Display:
    """Shows how much of the outermost task is done, counting the finished parts of the tasks inside it.

    A thread shows it also while a part takes long.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._tasks: list[_Task] = []
        self._bar: Progress | None = None
        self._share = self._first_share = 0.0
        self._start = self._last_line = 0.0
        self._note = ""
        self._lock = threading.Lock()
        self._end = threading.Event()

    def begin(self, task: _Task) -> None:
        with self._lock:
            self._tasks.append(task)
            if len(self._tasks) > 1:
                return
            self._start = self._last_line = time.monotonic()
            self._share = self._first_share = task.position / task.total
            self._note, self._end = "", threading.Event()
        threading.Thread(target=self._refresh_until, args=(self._end,), daemon=True).start()

    def end(self, task: _Task) -> None:
        with self._lock:
            if task in self._tasks:
                del self._tasks[self._tasks.index(task) :]
            is_last = not self._tasks
        if is_last:
            self.close()

    def close(self) -> None:
        self._end.set()
        with self._lock:
            self._tasks.clear()
            if self._bar is not None:
                self._bar.stop()
                self._bar = None

    def update(self, note: str) -> None:
        """Count what is done, and show it if it is time to."""
        with self._lock:
            self._share, self._note = max(self._share, self._share_done()), note or self._note
        self.refresh()

    def refresh(self) -> None:
        """Show the state if it is time to: the bar, or a line."""
        with self._lock:
            if not self._tasks:
                return
            stream, now = self._stream or sys.stderr, time.monotonic()
            if stream.isatty():
                if self._bar is None and now - self._start >= MIN_SECONDS:
                    self._bar = _start_bar(stream, self._tasks[0].description, self._first_share)
                if self._bar is not None:
                    self._bar.update(self._bar.task_ids[0], completed=self._share, note=self._note)
            elif now - self._last_line >= LINE_INTERVAL:
                self._last_line = now
                text = self._describe(now - self._start)
                print(f"{text}, {self._note}" if self._note else text, file=stream, flush=True)

    def _refresh_until(self, end: threading.Event) -> None:
        while not end.wait(MIN_SECONDS):
            self.refresh()

    def _share_done(self) -> float:
        share = 0.0
        for task in reversed(self._tasks):
            share = min(1.0, (task.position + share) / task.total)
        return share

    def _describe(self, seconds: float) -> str:
        task, gain = self._tasks[0], self._share - self._first_share
        text = f"{task.description}: {self._share:.0%}"
        if task.total > 1:
            text += f", {task.position} of {task.total}"
        return f"{text}, about {_format_seconds(seconds * (1 - self._share) / gain)} left" if gain > 0 else text


@dataclass
class _Current:
    display: _Display | None = None


_current = _Current()


def _start_bar(stream: TextIO, description: str, share: float) -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        *(TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()),
        TextColumn("{task.fields[note]}"),
    )
    bar = Progress(*columns, console=Console(file=stream), transient=True)
    bar.update(bar.add_task(description, total=1.0, note=""), completed=share)
    bar.start()
    return bar


def _format_seconds(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
