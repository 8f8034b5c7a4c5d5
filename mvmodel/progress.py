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
    display: _Display | _Watch | None = _thread.watch
    if display is None and threading.current_thread() is threading.main_thread():
        display = _current.display
    if display is None:
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
    watch = _thread.watch

    def on_step_end(pipeline: object, step: int, timestep: object, tensors: dict[str, Any]) -> dict[str, Any]:
        advance()
        if watch is not None and watch.on_step is not None:
            watch.on_step(pipeline, step, tensors)
        return tensors

    return on_step_end


def step_tensors() -> tuple[str, ...]:
    """The tensors that `report_steps` needs: the predicted clean latents too if somebody watches the steps."""
    watched = _thread.watch is not None and _thread.watch.on_step is not None
    return ("latents", "clean_latents") if watched else ("latents",)


@contextmanager
def watch_progress(
    on_progress: Callable[[str, float], None], on_step: Callable[[Any, int, dict[str, Any]], None] | None = None
) -> Iterator[None]:
    """Watch the tasks of this thread inside the block, in place of a display.

    An exception that a watcher raises ends the work that it watches.

    Args:
        on_progress: Called with the description of the outermost task and the share of it that is done, 0..1.
        on_step: Called after every denoising step with the pipeline, the step counted from 0, and its tensors.
    """
    outer_watch, _thread.watch = _thread.watch, _Watch(on_progress, on_step)
    try:
        yield
    finally:
        _thread.watch = outer_watch


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


def _share_done(tasks: Sequence[_Task]) -> float:
    """How much of the outermost task is done, 0..1, with the finished parts of those inside it."""
    share = 0.0
    for task in reversed(tasks):
        share = min(1.0, (task.position + share) / task.total)
    return share


class _Watch:
    """Tells a watcher how much of the outermost task of a thread is done."""

    def __init__(
        self, on_progress: Callable[[str, float], None], on_step: Callable[[Any, int, dict[str, Any]], None] | None
    ) -> None:
        self.on_progress, self.on_step = on_progress, on_step
        self._tasks: list[_Task] = []

    def begin(self, task: _Task) -> None:
        self._tasks.append(task)
        self.update("")

    def end(self, task: _Task) -> None:
        if task in self._tasks:
            del self._tasks[self._tasks.index(task) :]

    def update(self, note: str) -> None:
        if self._tasks:
            self.on_progress(self._tasks[0].description, _share_done(self._tasks))


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
            self._share, self._note = max(self._share, _share_done(self._tasks)), note or self._note
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

    def _describe(self, seconds: float) -> str:
        task, gain = self._tasks[0], self._share - self._first_share
        text = f"{task.description}: {self._share:.0%}"
        if task.total > 1:
            text += f", {task.position} of {task.total}"
        return f"{text}, about {format_seconds(seconds * (1 - self._share) / gain)} left" if gain > 0 else text


@dataclass
class _Current:
    display: _Display | None = None


class _Thread(threading.local):
    watch: _Watch | None = None


_current = _Current()
_thread = _Thread()


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


def format_seconds(seconds: float) -> str:
    """A duration for people: "45 s", "12 min", "60 h 5 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
