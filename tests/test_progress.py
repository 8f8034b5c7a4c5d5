"""Progress in lines and bars: totals, time left, nested work."""

from __future__ import annotations

import io
import threading
import time

import pytest

from mvmodel import progress
from mvmodel.progress import report_steps, show_progress, start_task, step_tensors, track, watch_progress


class _Clock:
    """Stands still until it is moved on."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    clock = _Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


def test_a_line_every_ten_seconds_with_total_and_time_left(clock: _Clock) -> None:
    stream = io.StringIO()
    with show_progress(stream):
        for _ in track(range(10), "clips"):
            clock.now += 4
    assert stream.getvalue().splitlines() == [
        "clips: 30%, 3 of 10, about 28 s left",
        "clips: 60%, 6 of 10, about 16 s left",
        "clips: 90%, 9 of 10, about 4 s left",
    ]


def test_work_inside_moves_the_outermost_task_on(clock: _Clock) -> None:
    stream = io.StringIO()
    with show_progress(stream):
        for _ in track("ab", "videos"):
            for _ in track(range(5), "steps"):
                clock.now += 10
    lines = stream.getvalue().splitlines()
    assert lines[0] == "videos: 10%, 0 of 2, about 2 min left" and lines[-1].startswith("videos: 100%")


def test_resumed_work_counts_only_what_is_done_now(clock: _Clock) -> None:
    stream = io.StringIO()
    with show_progress(stream), start_task("train", 100, initial=50) as advance:
        clock.now += 10
        advance("loss 0.1")
    assert stream.getvalue() == "train: 51%, 51 of 100, about 8 min left, loss 0.1\n"


def test_a_bar_in_a_terminal(clock: _Clock) -> None:
    stream = io.StringIO()
    stream.isatty = lambda: True  # type: ignore[method-assign]
    with show_progress(stream), start_task("train", 2) as advance:
        advance()
        assert stream.getvalue() == ""
        clock.now += 2
        advance()
    assert "train" in stream.getvalue() and "100%" in stream.getvalue()


def test_nothing_is_shown_unless_it_is_switched_on(capsys: pytest.CaptureFixture[str], clock: _Clock) -> None:
    for _ in track(range(3), "clips"):
        clock.now += 20
    assert capsys.readouterr() == ("", "")


def test_a_part_that_takes_long_is_shown_too(monkeypatch: pytest.MonkeyPatch, clock: _Clock) -> None:
    monkeypatch.setattr(progress, "MIN_SECONDS", 0.01)
    stream = io.StringIO()
    with show_progress(stream), start_task("extract masks", 4):
        clock.now += 11
        deadline = time.monotonic() + 60
        while not stream.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
    assert stream.getvalue() == "extract masks: 0%, 0 of 4\n"


def test_a_watcher_of_a_thread_sees_its_work_and_can_end_it(clock: _Clock) -> None:
    seen: list[tuple[str, float]] = []
    steps: list[int] = []

    def work() -> None:
        with watch_progress(lambda name, share: seen.append((name, share)), lambda pipe, step, _: steps.append(step)):
            for _ in track([1, 2], "videos"):
                with start_task("denoise", 2) as advance:
                    on_step_end = report_steps(advance)
                    for step in range(2):
                        on_step_end(None, step, None, {})
                    assert step_tensors() == ("latents", "clean_latents")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen[0] == ("videos", 0.0) and seen[-1] == ("videos", 1.0) and ("videos", 0.25) in seen
    assert steps == [0, 1, 0, 1] and step_tensors() == ("latents",)

    def stop(name: str, share: float) -> None:
        raise KeyError(name)

    with pytest.raises(KeyError), watch_progress(stop), start_task("videos", 2):
        pass
