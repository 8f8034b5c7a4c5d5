"""The one training loop: of adapters, and of every model of the tiny pack.

accelerate carries device, precision and checkpoints; this file adds the schedule, the moving average, the curve and
the clean stop. A run is a pure function of its config: batch `i` of a run is the same whether or not it was resumed.
"""

from __future__ import annotations

import json
import math
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import set_seed
from diffusers.training_utils import EMAModel

from mvmodel.files import write_aside


@dataclass(frozen=True)
class LoopConfig:
    """How long and how fast to train. `steps` are optimiser steps, `batch` is pictures a step."""

    steps: int
    batch: int
    lr: float
    warmup: int = 100
    final_lr: float = 0.05
    """Last learning rate as a share of `lr`; a half cosine leads there."""
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: float = 0.999
    """Decay of the weights' moving average, which the trained model ends with; 0 keeps the last weights."""
    precision: str = "bf16"
    seed: int = 1
    checkpoint_every: int = 500
    sample_every: int = 2000
    log_every: int = 50


class _Progress:
    def __init__(self) -> None:
        self.step = 0

    def state_dict(self) -> dict[str, Any]:
        return {"step": self.step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.step = int(state["step"])


class TrainingInterrupted(Exception):
    """Raised after a clean stop on SIGINT or SIGTERM; the checkpoint is written."""


def learning_rate(step: int, config: LoopConfig) -> float:
    """Factor on `lr` at a step: linear warm-up, then a half cosine down to `final_lr`."""
    if step < config.warmup:
        return (step + 1) / config.warmup
    share = min(1.0, (step - config.warmup) / max(1, config.steps - config.warmup))
    return config.final_lr + (1 - config.final_lr) * 0.5 * (1 + math.cos(math.pi * share))


def prefetch(make: Callable[[int], Any], start: int, stop: int, depth: int = 4) -> Iterator[Any]:
    """Yield `make(i)` for i in start..stop-1, computed ahead of time in one thread."""
    ready: queue.Queue[Any] = queue.Queue(maxsize=depth)
    done = threading.Event()

    def work() -> None:
        try:
            for index in range(start, stop):
                item = make(index)
                while not done.is_set():
                    try:
                        ready.put(item, timeout=0.5)
                        break
                    except queue.Full:
                        continue
                if done.is_set():
                    return
        except BaseException as error:  # handed to the consumer, which raises it
            ready.put(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        for _ in range(start, stop):
            item = ready.get()
            if isinstance(item, BaseException):
                raise item
            yield item
    finally:
        done.set()


def train(
    name: str,
    model: torch.nn.Module,
    batches: Callable[[int], Any],
    loss: Callable[[torch.nn.Module, Any, int], tuple[torch.Tensor, dict[str, float]]],
    config: LoopConfig,
    folder: Path,
    sample: Callable[[torch.nn.Module, Path], dict[str, float] | None] | None = None,
    groups: list[dict[str, Any]] | None = None,
    report: Callable[[dict[str, Any]], None] | None = None,
    cpu: bool = True,
) -> torch.nn.Module:
    """Train `model` to the end of `config`, resuming from a checkpoint in `folder`; returns it with EMA weights.

    `batches(i)` makes the i-th batch, `loss(model, batch, step)` a scalar and figures for the curve, and
    `sample(model, png)` writes a grid and may return figures; if it fails, the curve says so and training goes on.
    `groups` are optimiser parameter groups with their own `lr`; `report` gets every row of the curve (printed when
    None). cpu: leave a GPU alone; False wants batches and frozen models on it.

    Raises `Stopped` when asked to stop, and `FloatingPointError` with the step when the loss or a gradient is not
    finite; the last checkpoint is good in either case.
    """
    folder.mkdir(parents=True, exist_ok=True)
    set_seed(config.seed)
    AcceleratorState._reset_state(True)  # it is one a process, and would refuse a run of another precision or device
    accelerator = Accelerator(mixed_precision=config.precision, project_dir=str(folder), cpu=cpu)
    optimizer = torch.optim.AdamW(
        groups or [{"params": [p for p in model.parameters() if p.requires_grad]}],
        lr=config.lr,
        weight_decay=config.weight_decay,
        fused=True,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate(step, config))
    ema = EMAModel(list(model.parameters()), decay=config.ema, use_ema_warmup=True, power=0.75, foreach=True)
    tell = report or (lambda row: print(name, json.dumps(row), flush=True))
    progress = _Progress()
    wrapped, optimizer, schedule = accelerator.prepare(model, optimizer, schedule)
    accelerator.register_for_checkpointing(progress, ema)
    slots = _Slots(folder)
    if (checkpoint := slots.newest()) is not None:
        accelerator.load_state(str(checkpoint))
        ema.to(accelerator.device)
    (folder / "config.json").write_text(json.dumps(asdict(config), indent=2))
    stop = _StopFlag()
    began, first = time.time(), progress.step
    figures: dict[str, float] = {}
    with stop, (folder / "curve.jsonl").open("a") as curve:
        for batch in prefetch(batches, progress.step, config.steps):
            with accelerator.autocast():
                value, parts = loss(wrapped, batch, progress.step)
            if not torch.isfinite(value):
                raise FloatingPointError(
                    f"{name}: the loss is not finite at step {progress.step}; lower the learning rate"
                )
            accelerator.backward(value)
            norm = accelerator.clip_grad_norm_(model.parameters(), config.clip)
            if accelerator.scaler is None and norm is not None and not torch.isfinite(norm):  # a scaler skips the step
                raise FloatingPointError(
                    f"{name}: a gradient is not finite at step {progress.step}; lower the learning rate"
                )
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
            progress.step += 1
            if config.ema and progress.step % 4 == 0:
                ema.step(model.parameters())
            figures = {"loss": float(value.detach()), **parts}
            if progress.step % config.log_every == 0 or progress.step == config.steps:
                rate = (progress.step - first) * config.batch / (time.time() - began)
                row = {"step": progress.step, "rate": round(rate, 1), **{k: round(v, 5) for k, v in figures.items()}}
                curve.write(json.dumps(row) + "\n")
                curve.flush()
                tell(row)
            last = progress.step == config.steps or stop.asked
            if last or progress.step % config.checkpoint_every == 0:
                with slots.writing(progress.step) as checkpoint:
                    accelerator.save_state(str(checkpoint), safe_serialization=True)
            if sample and (progress.step == config.steps or progress.step % config.sample_every == 0):
                with _averaged(model, ema, config), torch.random.fork_rng():
                    measured = _sampled(sample, model, folder / f"samples-{progress.step:06d}.png")
                curve.write(json.dumps({"step": progress.step, **measured}) + "\n")
                tell({"step": progress.step, **measured})
            if stop.asked and progress.step < config.steps:
                raise TrainingInterrupted(f"{name}: stopped at step {progress.step}; run again to resume")
    if config.ema:
        ema.copy_to(model.parameters())
    return accelerator.unwrap_model(wrapped, keep_fp32_wrapper=False).eval()


class _Slots:
    """Two checkpoint folders in turn, so that a kill in the middle of one leaves the other whole."""

    def __init__(self, folder: Path) -> None:
        self.folders = [folder / "checkpoint", folder / "checkpoint-2"]

    def _step(self, slot: Path) -> int:
        mark = slot / "complete"
        return int(mark.read_text() or 0) if mark.exists() else -1

    def newest(self) -> Path | None:
        """The last whole checkpoint, or None."""
        found = max(self.folders, key=self._step)
        return found if self._step(found) >= 0 else None

    @contextmanager
    def writing(self, step: int) -> Iterator[Path]:
        """The folder to write `step`'s checkpoint to; it counts once the block has ended well."""
        slot = next(other for other in self.folders if other != self.newest())
        (slot / "complete").unlink(missing_ok=True)
        yield slot
        with write_aside(slot / "complete") as aside:
            aside.write_text(str(step))


def _sampled(
    sample: Callable[[Any, Path], dict[str, float] | None], model: torch.nn.Module, png: Path
) -> dict[str, Any]:
    """What `sample` measured; a preview is no reason to lose a run, so its failure is a figure too."""
    try:
        return dict(sample(model, png) or {})
    except Exception as error:
        return {"preview_failed": f"{type(error).__name__}: {error}"}


@contextmanager
def _averaged(model: torch.nn.Module, ema: EMAModel, config: LoopConfig) -> Iterator[None]:
    """The model in evaluation mode with its averaged weights."""
    if config.ema:
        ema.store(model.parameters())
        ema.copy_to(model.parameters())
    model.eval()
    try:
        yield
    finally:
        model.train()
        if config.ema:
            ema.restore(model.parameters())


class _StopFlag:
    """Turns SIGINT and SIGTERM into a flag while the loop runs (main thread only)."""

    def __init__(self) -> None:
        self.asked = False
        self._old: dict[int, Any] = {}

    def __enter__(self) -> _StopFlag:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._old[number] = signal.signal(number, self._ask)
        return self

    def _ask(self, *_: Any) -> None:
        self.asked = True

    def __exit__(self, *_: Any) -> None:
        for number, old in self._old.items():
            signal.signal(number, old)
