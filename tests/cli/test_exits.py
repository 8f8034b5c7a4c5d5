"""How command lines end: exit codes and one sentence, after signals too."""

from __future__ import annotations

import os
import signal
import time

import pytest
import typer

from mvmodel.cli.exits import run_app
from mvmodel.errors import TrainingInterrupted

STOPS = [signal.SIGINT, signal.SIGTERM]
app = typer.Typer()


@app.command()
def wait(number: int) -> None:
    """Get a signal while at work."""
    os.kill(os.getpid(), number)
    time.sleep(5)


@app.command()
def train(number: int) -> None:
    """Turn a signal into the end of a training, as the training loop does."""
    handlers = {stop: signal.signal(stop, lambda *_: None) for stop in STOPS}
    os.kill(os.getpid(), number)
    for stop, handler in handlers.items():
        signal.signal(stop, handler)
    raise TrainingInterrupted("adapter: stopped at step 3; run again to resume", number)


@pytest.mark.parametrize("stop", STOPS)
@pytest.mark.parametrize(("command", "sentence"), [("wait", "run the same command again"), ("train", "at step 3")])
def test_signals_end_a_command_with_a_sentence(
    capsys: pytest.CaptureFixture[str], command: str, sentence: str, stop: signal.Signals
) -> None:
    handlers = [signal.getsignal(number) for number in STOPS]
    assert run_app(app, "tool", [command, str(int(stop))]) == 128 + stop
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("tool: interrupted; ") and sentence in err and err.count("\n") == 1
    assert [signal.getsignal(number) for number in STOPS] == handlers
