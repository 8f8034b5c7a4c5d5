"""The training loop of adapters and of every model of the tiny pack.

accelerate provides device placement and mixed precision. This module adds the learning rate schedule, the moving
average of the weights, checkpoints and the clean stop. A run depends on its config alone, unless that limits its
minutes: a resumed run sees the same batches.
"""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import set_seed
from diffusers.training_utils import EMAModel

from mvmodel.errors import InputError, TrainingInterrupted
from mvmodel.progress import start_task
from mvmodel.training.checkpoint_state import get_random_states, set_random_states, write_state
from mvmodel.training.checkpoints import CheckpointSlots
from mvmodel.training.metrics_log import MetricsLog
from mvmodel.training.prefetch import prefetch

Row = dict[str, Any]
Loss = Callable[[torch.nn.Module, Any, int], tuple[torch.Tensor, dict[str, float]]]
Sample = Callable[[torch.nn.Module, Path], dict[str, float] | None]
EMA_EVERY = 4
"""Steps between updates of the moving average."""


@dataclass(frozen=True)
class LoopConfig:
    """How long and how fast to train."""

    steps: int
    """Optimizer steps."""
    batch: int
    """Images or clips per step, for the training rate in the curve."""
    lr: float
    warmup: int = 100
    final_lr: float = 0.05
    """Learning rate at the end, as a share of `lr`."""
    weight_decay: float = 0.01
    clip: float = 1.0
    """Largest norm of the gradient."""
    ema: float = 0.999
    """Decay of the moving average of the weights, which the trained model ends with; 0 keeps the last weights."""
    optimizer: str = "adamw"
    """`adamw`, or `adamw8bit` of bitsandbytes."""
    precision: str = "bf16"
    """accelerate's mixed precision: `no`, `bf16` or `fp16`."""
    seed: int = 1
    checkpoint_every: int = 500
    sample_every: int = 2000
    log_every: int = 50
    minutes: float = 0.0
    """Time limit: training ends after so many minutes, with its learning rate at the end of its schedule, if it has not
    reached `steps` before. 0 is no limit. With a limit, the result depends on the speed of the machine."""


def learning_rate(step: int, config: LoopConfig, seconds: float = 0.0) -> float:
    """Factor on `lr` at a step: linear warm-up, then half a cosine down to `final_lr`.

    seconds: how long the training has run. With a limit of `minutes`, the cosine follows the time where that is ahead
    of the steps.

    transformers' `get_cosine_with_min_lr_schedule_with_warmup` starts its warm-up at 0, which wastes the first step; no
    choice of its arguments gives these rates.
    """
    if step < config.warmup:
        return (step + 1) / config.warmup
    progress = (step - config.warmup) / max(1, config.steps - config.warmup)
    if config.minutes:
        progress = max(progress, seconds / (60 * config.minutes))
    progress = min(1.0, progress)
    return config.final_lr + (1 - config.final_lr) * 0.5 * (1 + math.cos(math.pi * progress))


def build_optimizer(groups: list[dict[str, Any]], config: LoopConfig) -> torch.optim.Optimizer:
    """AdamW over parameter groups. Raises InputError if bitsandbytes is asked for and cannot be used here."""
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr, weight_decay=config.weight_decay, fused=True)
    try:
        bitsandbytes = import_module("bitsandbytes.optim")  # an optional dependency
    except (ImportError, RuntimeError) as error:
        raise InputError(
            f"optimizer {config.optimizer} needs bitsandbytes, which cannot be imported here ({error}); install it "
            f'with `pip install "mvmodel[bnb]"`, or use adamw'
        ) from error
    optimizer: torch.optim.Optimizer = bitsandbytes.AdamW8bit(groups, lr=config.lr, weight_decay=config.weight_decay)
    return optimizer


def train(
    name: str,
    model: torch.nn.Module,
    batches: Callable[[int], Any],
    loss: Loss,
    config: LoopConfig,
    folder: Path,
    sample: Sample | None = None,
    groups: list[dict[str, Any]] | None = None,
    report: Callable[[Row], None] | None = None,
    cpu: bool = True,
) -> torch.nn.Module:
    """Train `model` to the end of `config`, resuming from a checkpoint in `folder`; returns it with EMA weights.

    Args:
        name: Of the run, for messages.
        model: Its parameters that require gradients are trained.
        batches: `batches(i)` returns batch `i`.
        loss: `loss(model, batch, step)` returns a scalar, and metrics for the curve.
        config: Length, rates and intervals.
        folder: Receives checkpoints, `config.json`, samples-STEP.png, and what `MetricsLog` writes.
        sample: `sample(model, png)` writes a preview and may return metrics. If it fails, the curve records that and
            training continues.
        groups: Optimizer parameter groups with their own `lr`; None trains all parameters at `config.lr`.
        report: Receives every row of the curve; None prints them.
        cpu: Train on the CPU even if there is a GPU. False wants batches and frozen models on the GPU.

    Raises:
        TrainingInterrupted: SIGINT or SIGTERM arrived; a checkpoint was written.
        FloatingPointError: The loss or a gradient is not finite; names the step. The last checkpoint is good.
        InputError: A checkpoint in `folder` cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    set_seed(config.seed % 2**32)  # numpy takes no larger ones
    run = _Run(name, model, loss, config, folder, groups, report, cpu)
    (folder / "config.json").write_text(json.dumps(asdict(config), indent=2))
    with _StopSignal() as stop, run.log, start_task(f"train {name}", config.steps, run.step) as advance:
        for batch in prefetch(batches, run.step, config.steps):
            run.train_step(batch)
            run.log_step()
            advance(f"loss {run.metrics['loss']:.4g}")
            is_last = run.is_finished
            if is_last or stop.signal_number or run.step % config.checkpoint_every == 0:
                run.write_checkpoint()
            if sample and (is_last or run.step % config.sample_every == 0):
                run.write_sample(sample)
            if stop.signal_number and not is_last:
                reason = f"{name}: stopped at step {run.step}; run again to resume"
                raise TrainingInterrupted(reason, stop.signal_number)
            if is_last:
                break
    return run.finish()


class _Run:
    """Model, optimizer and position of one training run."""

    def __init__(
        self,
        name: str,
        model: torch.nn.Module,
        loss: Loss,
        config: LoopConfig,
        folder: Path,
        groups: list[dict[str, Any]] | None,
        report: Callable[[Row], None] | None,
        cpu: bool,
    ) -> None:
        self.name, self.model, self.loss, self.config, self.folder = name, model, loss, config, folder
        self.report = report or (lambda row: print(name, json.dumps(row), flush=True))
        self.step, self.metrics, self.is_finished = 0, dict[str, float](), False
        self.earlier_seconds, self.start_time = 0.0, time.time()
        AcceleratorState._reset_state(True)  # one per process; it would refuse a run of another precision or device
        self.accelerator = Accelerator(mixed_precision=config.precision, project_dir=str(folder), cpu=cpu)
        optimizer = build_optimizer(groups or [{"params": [p for p in model.parameters() if p.requires_grad]}], config)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate(step, config, self.seconds))
        self.ema = EMAModel(list(model.parameters()), decay=config.ema, use_ema_warmup=True, power=0.75, foreach=True)
        self.wrapped, self.optimizer, self.schedule = self.accelerator.prepare(model, optimizer, schedule)
        self.checkpoints = CheckpointSlots(folder)
        if (state := self.checkpoints.read()) is not None:
            try:
                self.load_state_dict(state)
            except (LookupError, RuntimeError, TypeError, ValueError) as error:
                reason = str(error).splitlines()[0]
                raise InputError(
                    f"the checkpoint in {folder} does not fit {name} ({reason}); delete it to train from the start"
                ) from error
        self.first_step, self.start_time = self.step, time.time()
        self.log = MetricsLog(folder)

    @property
    def seconds(self) -> float:
        """How long the training has run, before interruptions as well."""
        return self.earlier_seconds + time.time() - self.start_time

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        scaler = self.accelerator.scaler
        return {
            "step": self.step,
            "seconds": self.seconds,
            "model": self.accelerator.unwrap_model(self.wrapped).state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "ema": self.ema.state_dict(),
            "scaler": scaler.state_dict() if scaler is not None else None,
            "random": get_random_states(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was called."""
        self.step, self.earlier_seconds = int(state["step"]), float(state.get("seconds", 0.0))
        self.accelerator.unwrap_model(self.wrapped).load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.ema.load_state_dict(state["ema"])
        self.ema.to(self.accelerator.device)
        if self.accelerator.scaler is not None and state["scaler"] is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        set_random_states(state["random"])

    def train_step(self, batch: Any) -> None:
        """One optimizer step. Raises FloatingPointError if the loss or a gradient is not finite."""
        with self.accelerator.autocast():
            value, parts = self.loss(self.wrapped, batch, self.step)
        if not torch.isfinite(value):
            raise FloatingPointError(
                f"{self.name}: the loss is not finite at step {self.step}; lower the learning rate"
            )
        self.accelerator.backward(value)
        norm = self.accelerator.clip_grad_norm_(self.model.parameters(), self.config.clip)
        # With fp16 the gradient scaler skips such a step itself.
        if self.accelerator.scaler is None and norm is not None and not torch.isfinite(norm):
            raise FloatingPointError(
                f"{self.name}: a gradient is not finite at step {self.step}; lower the learning rate"
            )
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        if self.config.ema and self.step % EMA_EVERY == 0:
            self.ema.step(self.model.parameters())
        self.metrics = {"loss": float(value.detach()), **parts}
        is_late = bool(self.config.minutes) and self.seconds >= 60 * self.config.minutes
        self.is_finished = self.step >= self.config.steps or is_late

    def log_step(self) -> None:
        """Add the step's row to the curve if it is due."""
        if self.step % self.config.log_every and not self.is_finished:
            return
        rate = (self.step - self.first_step) * self.config.batch / (time.time() - self.start_time)
        metrics = {name: round(value, 5) for name, value in self.metrics.items()}
        self._write_row({"step": self.step, "rate": round(rate, 1), **metrics})

    def write_checkpoint(self) -> None:
        with self.checkpoints.write(self.step) as checkpoint:
            write_state(checkpoint, self.state_dict())

    def write_sample(self, sample: Sample) -> None:
        """Write a preview by the averaged weights; training's weights and random numbers stay as they are."""
        png = self.folder / f"samples-{self.step:06d}.png"
        with self._averaged_weights(), torch.random.fork_rng():
            try:
                metrics: Row = dict(sample(self.model, png) or {})
            except Exception as error:  # a preview is no reason to lose a run
                metrics = {"preview_failed": f"{type(error).__name__}: {error}"}
        self._write_row({"step": self.step, **metrics})

    def finish(self) -> torch.nn.Module:
        """The model in evaluation mode, with its averaged weights if there are any."""
        if self.config.ema:
            self.ema.copy_to(self.model.parameters())
        return self.accelerator.unwrap_model(self.wrapped, keep_fp32_wrapper=False).eval()

    def _write_row(self, row: Row) -> None:
        self.log.write(row, float(self.schedule.get_last_lr()[0]))
        self.report(row)

    @contextmanager
    def _averaged_weights(self) -> Iterator[None]:
        """The model in evaluation mode with its averaged weights."""
        if self.config.ema:
            self.ema.store(self.model.parameters())
            self.ema.copy_to(self.model.parameters())
        self.model.eval()
        try:
            yield
        finally:
            self.model.train()
            if self.config.ema:
                self.ema.restore(self.model.parameters())


class _StopSignal:
    """Keeps the number of a SIGINT or SIGTERM that arrives inside the block (in the main thread only); 0 is none."""

    def __init__(self) -> None:
        self.signal_number = 0
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> _StopSignal:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._handlers[number] = signal.signal(number, self._request)
        return self

    def _request(self, number: int, _: Any) -> None:
        self.signal_number = number

    def __exit__(self, *_: Any) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
