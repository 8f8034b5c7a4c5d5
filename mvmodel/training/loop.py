"""The training loop of adapters and of every model of the tiny pack.

accelerate provides device placement and mixed precision. This module adds the learning rate schedule, the moving
average of the weights, checkpoints and the clean stop. A run depends on its config alone, unless that limits its
minutes: a resumed run sees the same batches.

Processes that `accelerate launch` started train together: each computes its share of the batches of every step, so that
two of them take the steps that one takes with twice the accumulation. Only the main process writes and reports.
"""

from __future__ import annotations

import itertools
import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DataLoaderConfiguration, set_seed
from diffusers.training_utils import EMAModel

from mvmodel.errors import InputError, TrainingInterrupted
from mvmodel.progress import start_task
from mvmodel.training.checkpoint_state import get_random_states, set_random_states, write_state
from mvmodel.training.checkpoints import CheckpointSlots
from mvmodel.training.metrics_log import MetricsLog
from mvmodel.training.optimizer import LoopConfig, build_optimizer, learning_rate
from mvmodel.training.prefetch import prefetch
from mvmodel.training.stop_signal import StopSignal

Row = dict[str, Any]
Loss = Callable[[torch.nn.Module, Any, int], tuple[torch.Tensor, dict[str, float]]]
Sample = Callable[[torch.nn.Module, Path], dict[str, float] | None]
EMA_EVERY = 4
"""Steps between updates of the moving average."""


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
    validate: Callable[[torch.nn.Module], float] | None = None,
    start_validation: float | None = None,
) -> torch.nn.Module:
    """Train `model` to the end of `config`, resuming from a checkpoint in `folder`; returns it with EMA weights.

    Args:
        name: Of the run, for messages.
        model: Its parameters that require gradients are trained.
        batches: `batches(i)` returns batch `i`. A step takes `config.accumulation` of them in each process.
        loss: `loss(model, batch, step)` returns a scalar, and metrics for the curve.
        config: Length, rates and intervals.
        folder: Receives checkpoints, `config.json`, samples-STEP.png, and what `MetricsLog` writes.
        sample: `sample(model, png)` writes a preview and may return metrics. If it fails, the curve records that and
            training continues.
        groups: Optimizer parameter groups with their own `lr`; None trains all parameters at `config.lr`.
        report: Receives every row of the curve; None prints them.
        validate: Returns the loss on held-out data, for the curve and for `patience`.
        start_validation: What it returns before the first step.
        cpu: Train on the CPU even if there is a GPU. False wants batches and frozen models on the GPU.

    Raises:
        TrainingInterrupted: SIGINT or SIGTERM arrived; a checkpoint was written.
        FloatingPointError: The loss or a gradient is not finite; names the step. The last checkpoint is good.
        InputError: A checkpoint in `folder` cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    set_seed(config.seed % 2**32)  # numpy takes no larger ones
    run = _Run(name, model, loss, config, folder, groups, report, cpu)
    if run.is_main:
        (folder / "config.json").write_text(json.dumps(asdict(config), indent=2))
    progress = start_task(f"train {name}", config.steps, run.step) if run.is_main else nullcontext(lambda text: None)
    with StopSignal() as stop, run.log, progress as advance:
        if start_validation is not None and run.step == 0:
            run.start_validation(start_validation)
        for step_batches in run.read_batches(batches):
            run.train_step(step_batches)
            if validate and (run.is_finished or (config.validate_every and run.step % config.validate_every == 0)):
                run.validate(validate)
            run.log_step()
            advance(f"loss {run.metrics['loss']:.4g}")
            is_last, signal_number = run.is_finished, int(run.largest(stop.signal_number))
            if is_last or signal_number or run.step % config.checkpoint_every == 0:
                run.write_checkpoint()
            if sample and (is_last or run.step % config.sample_every == 0):
                run.write_sample(sample)
            if signal_number and not is_last:
                reason = f"{name}: stopped at step {run.step}; run again to resume"
                raise TrainingInterrupted(reason, signal_number)
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
        self.best_validation, self.best_weights, self.stale_validations = math.inf, dict[str, torch.Tensor](), 0
        AcceleratorState._reset_state(True)  # one per process; it would refuse a run of another precision or device
        # accelerate would take as many steps of the schedule as there are processes, unless these split the batches.
        data = DataLoaderConfiguration(split_batches=True)
        self.accelerator = Accelerator(
            mixed_precision=config.precision, project_dir=str(folder), cpu=cpu, dataloader_config=data
        )
        self.is_main, self.processes = self.accelerator.is_main_process, self.accelerator.num_processes
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
        self.accelerator.wait_for_everyone()  # all have read the checkpoint that the main process will write over
        self.log = MetricsLog(folder) if self.is_main else nullcontext()

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
            "best_validation": self.best_validation if self.best_weights else None,
            "best_weights": self.best_weights,
            "stale_validations": self.stale_validations,
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
        if state.get("best_validation") is not None:
            self.best_validation, self.best_weights = float(state["best_validation"]), dict(state["best_weights"])
            self.stale_validations = int(state["stale_validations"])
            self.is_finished = 0 < self.config.patience <= self.stale_validations
        self.accelerator.unwrap_model(self.wrapped).load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.ema.load_state_dict(state["ema"])
        self.ema.to(self.accelerator.device)
        if self.accelerator.scaler is not None and state["scaler"] is not None:
            self.accelerator.scaler.load_state_dict(state["scaler"])
        set_random_states(state["random"])

    def read_batches(self, batches: Callable[[int], Any]) -> Iterator[list[Any]]:
        """The batches of this process, `accumulation` of them for every step that is left."""
        count, index = self.config.accumulation, self.accelerator.process_index
        stop = self.step if self.is_finished else self.config.steps
        share = prefetch(lambda number: batches(number * self.processes + index), self.step * count, stop * count)
        while group := list(itertools.islice(share, count)):
            yield group

    def largest(self, value: float) -> float:
        """The largest value of all processes, which have to decide alike."""
        if self.processes == 1:
            return value
        return float(self.accelerator.gather(torch.tensor([float(value)], device=self.accelerator.device)).max())

    def _mean(self, value: torch.Tensor) -> torch.Tensor:
        """The mean of all processes, so that they agree whether it is finite."""
        return value if self.processes == 1 else self.accelerator.reduce(value, "mean")  # type: ignore[no-any-return]

    def train_step(self, batches: list[Any]) -> None:
        """One optimizer step. Raises FloatingPointError if the loss or a gradient is not finite."""
        total, parts = 0.0, dict[str, float]()
        for number, batch in enumerate(batches, 1):
            is_last = number == len(batches)
            with nullcontext() if is_last else self.accelerator.no_sync(self.wrapped):
                with self.accelerator.autocast():
                    value, parts = self.loss(self.wrapped, batch, self.step)
                mean = self._mean(value.detach())
                if not torch.isfinite(mean):
                    raise FloatingPointError(
                        f"{self.name}: the loss is not finite at step {self.step}; lower the learning rate"
                    )
                self.accelerator.backward(value / len(batches) if len(batches) > 1 else value)
                total += float(mean) / len(batches)
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
        self.metrics = {"loss": total, **parts}
        is_late = bool(self.config.minutes) and self.largest(self.seconds) >= 60 * self.config.minutes
        self.is_finished = self.step >= self.config.steps or is_late

    def start_validation(self, value: float) -> None:
        """Note what the held-out loss is before the first step."""
        self._compare(value)
        self._write_row({"step": 0, "validation": round(value, 5)})

    def validate(self, validate: Callable[[torch.nn.Module], float]) -> None:
        """Measure the held-out loss by the averaged weights, for this step's row; it may end the training."""
        with self._averaged_weights():
            value = validate(self.model)
            if self.processes > 1:
                value = float(self._mean(torch.tensor(value, device=self.accelerator.device)))
            self._compare(value)
        self.metrics["validation"] = value

    def _compare(self, value: float) -> None:
        """Keep the model's weights if they are the best so far; end the training if none were for long."""
        if not self.config.patience:
            return
        if value < self.best_validation:
            self.best_validation, self.stale_validations = value, 0
            self.best_weights = {name: weight.clone() for name, weight in self.model.state_dict().items()}
            return
        self.stale_validations += 1
        self.is_finished = self.is_finished or self.stale_validations >= self.config.patience

    def log_step(self) -> None:
        """Add the step's row to the curve if it is due."""
        is_due = self.step % self.config.log_every == 0 or "validation" in self.metrics
        if not is_due and not self.is_finished:
            return
        batches = (self.step - self.first_step) * self.config.accumulation * self.processes
        rate = batches * self.config.batch / (time.time() - self.start_time)
        metrics = {name: round(value, 5) for name, value in self.metrics.items()}
        self._write_row({"step": self.step, "rate": round(rate, 1), **metrics})

    def write_checkpoint(self) -> None:
        if self.is_main:
            with self.checkpoints.write(self.step) as checkpoint:
                write_state(checkpoint, self.state_dict())
        self.accelerator.wait_for_everyone()

    def write_sample(self, sample: Sample) -> None:
        """Write a preview by the averaged weights; training's weights and random numbers stay as they are."""
        if not self.is_main:
            return
        png = self.folder / f"samples-{self.step:06d}.png"
        with self._averaged_weights(), torch.random.fork_rng():
            try:
                metrics: Row = dict(sample(self.model, png) or {})
            except Exception as error:  # a preview is no reason to lose a run
                metrics = {"preview_failed": f"{type(error).__name__}: {error}"}
        self._write_row({"step": self.step, **metrics})

    def finish(self) -> torch.nn.Module:
        """The model in evaluation mode, with its best weights under `patience`, or else its averaged ones if any."""
        if self.best_weights:
            self.model.load_state_dict(self.best_weights)
        elif self.config.ema:
            self.ema.copy_to(self.model.parameters())
        return self.accelerator.unwrap_model(self.wrapped, keep_fp32_wrapper=False).eval()

    def _write_row(self, row: Row) -> None:
        if not isinstance(self.log, MetricsLog):
            return
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
