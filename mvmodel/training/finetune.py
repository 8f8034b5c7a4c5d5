"""Few-shot tuning: turns a handful of clips into a motion adapter."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import torch

from mvmodel import __version__
from mvmodel.backends.backend import Backend, Trainee, report_cut_texts
from mvmodel.backends.out_of_memory import retry_with_less_memory
from mvmodel.backends.training_config import TrainConfig, TrainingClip
from mvmodel.errors import InputError, PackError
from mvmodel.files import atomic_folder, atomic_write, hash_value, write_json
from mvmodel.motion.trajectory import estimate_camera_trajectory
from mvmodel.training.cpu_kernels import math_attention
from mvmodel.training.loop import train
from mvmodel.training.metrics_log import CURVE_FILE, METRICS_FILE, TENSORBOARD_FOLDER
from mvmodel.training.model_card import model_card
from mvmodel.training.optimizer import LoopConfig
from mvmodel.training.processes import Processes

Report = Callable[[dict[str, Any]], None]
VALIDATION_DRAWS = 8
VALIDATION_SEED = 12_345
MAX_PLAIN_ATTENTION_BYTES = 2**30
"""Attention scores of a training step in bf16, in bytes, above which a CPU does not store them; the fused kernel is
slower in bf16 but stores none."""


def finetune(
    backend: Backend,
    clips: Sequence[TrainingClip],
    config: TrainConfig,
    folder: Path,
    validation: Sequence[TrainingClip] = (),
    report: Report | None = None,
    device: str | None = None,
    overwrite: bool = False,
) -> Path:
    """Tune an adapter on `clips` and write it to `folder`/adapter; returns that path.

    Resumes from `folder`/work if an earlier run with the same settings and clips was interrupted. If such a run
    finished, returns its adapter at once. The adapter's folder holds what `Trainee.save` writes, `README.md` (model
    card), `train.json` (config, clips, pack, losses), `curve.jsonl`, `metrics.jsonl`, TensorBoard's event files if
    that is installed, and `previews` if asked for.

    In several processes of `accelerate launch`, all call this with the same arguments; the main one writes, and all
    return when the adapter is there.

    Args:
        backend: The model to tune.
        clips: Clips of one motion, all of one length and size.
        config: Hyper-parameters.
        folder: Where to write.
        validation: Clips that are not trained on; their loss before and after goes into `train.json`.
        report: Receives every row of the training curve; None prints them.
        device: cpu, cuda or cuda:N; None is the backend's own.
        overwrite: Replace an adapter that was trained with other settings, clips or models.

    Raises:
        InputError: There are no clips, they differ in size, the backend cannot process them or does not support a
            setting, or `folder` holds an adapter trained with other settings, clips or models.
    """
    config = backend.fill_training_config(config)
    _check_inputs(backend, clips, config)
    report_cut_texts(backend, [clip.caption for clip in clips])
    out, work_dir = Path(folder) / "adapter", Path(folder) / "work"
    device = device or backend.device
    processes = Processes(cpu=device == "cpu")
    recipe = training_recipe(backend, clips, config, validation, processes.count)
    is_finished = _is_finished(out, recipe, overwrite)
    processes.wait()  # all have looked at what is there
    if is_finished:
        return out
    if processes.is_main:
        _start_or_resume(work_dir, recipe)
    processes.wait()
    if device.startswith("cuda:"):
        torch.cuda.set_device(device)  # accelerate knows "cuda" alone
    run = partial(_tune, backend, clips, config, work_dir, validation, report, device)
    if processes.count > 1:  # the others would wait for ever for one that tries again
        trainee, loss_before, loss_after = run()
    else:
        trainee, loss_before, loss_after = retry_with_less_memory("training", run, backend.step_down_memory)
    record = {
        "pack": backend.name,
        "pack_hash": backend.hash,
        "random_pack": backend.random,
        "mvmodel": __version__,
        "recipe": recipe,
        "config": config.model_dump(),
        "clips": [_describe_clip(clip) for clip in clips],
        "parameters": trainee.parameter_counts(),
        "device": device,
        **({"processes": processes.count} if processes.count > 1 else {}),
        "validation_loss_before": loss_before,
        "validation_loss_after": loss_after,
    }
    if processes.is_main:
        _write_adapter(out, work_dir, trainee, len(clips[0].frames), record)
        shutil.rmtree(work_dir)
    processes.wait()
    return out


def _describe_clip(clip: TrainingClip) -> dict[str, Any]:
    """What `train.json` says of a clip. camera: how far it travels, in frame widths right and frame heights down."""
    x, y = estimate_camera_trajectory(clip.frames, masks=clip.masks)[-1].tolist()
    return {"name": clip.name, "caption": clip.caption, "frames": len(clip.frames), "camera": [x, -y]}


def report_nothing(row: dict[str, Any]) -> None:
    """The `report` of trainings in other processes."""


def _tune(
    backend: Backend,
    clips: Sequence[TrainingClip],
    config: TrainConfig,
    work_dir: Path,
    validation: Sequence[TrainingClip],
    report: Report | None,
    device: str,
) -> tuple[Trainee, float | None, float | None]:
    """Train to the end, from the newest checkpoint in `work_dir`: the trainee, its held-out loss before and after."""
    processes = Processes(cpu=device == "cpu")
    if not processes.is_main:
        processes.wait()  # the main process encodes the clips, the others read what it wrote
    cached = backend.cache_clips(clips, work_dir / "latents.safetensors", config.flip)
    held_out = backend.cache_clips(validation, work_dir / "validation.safetensors", False) if validation else None
    if processes.is_main:
        processes.wait()
    torch.manual_seed(config.seed)
    trainee = build_trainee(backend, config, device).to(device).train()
    # in float32 the fused kernel is the faster one, forward and backward
    takes_plain_attention = mixed_precision(config, device) == "bf16" and (
        backend.attention_bytes(*clips[0].masks.shape) * config.clips_per_step <= MAX_PLAIN_ATTENTION_BYTES
    )
    with trainee.attached(), math_attention(device) if takes_plain_attention else nullcontext():
        measure = partial(validation_loss, backend, trainee, held_out, config, device)
        loss_before = measure()
        losses = _train(backend, trainee, cached, config, work_dir, report, device, measure, loss_before)
        if config.early_stopping or not losses:  # the best weights are not the last ones
            loss_after = measure()
        else:
            loss_after = losses[-1]
    return trainee, loss_before, loss_after


def build_trainee(backend: Backend, config: TrainConfig, device: str = "cpu") -> Trainee:
    """What training begins with, as `config.init_from` says.

    Raises PackError when that is the pack's start adapter and the pack has none, or when an adapter does not fit.
    """
    if config.init_from is None:
        return backend.new_trainee(config, device)
    folder = backend.start_adapter() if config.init_from == "start" else Path(config.init_from)
    if folder is None:
        raise PackError(f"pack {backend.name} ships no start adapter; set init_from to a folder or to null")
    return backend.load_trainee(folder, config, device)


def training_recipe(
    backend: Backend,
    clips: Sequence[TrainingClip],
    config: TrainConfig,
    validation: Sequence[TrainingClip] = (),
    processes: int = 1,
) -> str:
    """Hash of everything that an adapter depends on besides code and machine.

    Of the number of processes and the accumulation of gradients, only the product counts.
    """

    def identify(clip: TrainingClip) -> list[str]:
        content = [hashlib.sha256(part.tobytes()).hexdigest() for part in (clip.frames, clip.masks)]
        return [clip.name, clip.caption, *content]

    settings = config.model_dump()
    batches = settings.pop("gradient_accumulation_steps") * processes
    settings |= {"batches_per_step": batches} if batches > 1 else {}
    if config.init_from not in (None, "start"):  # the start adapter's weights count, not where they are stored
        settings["init_from"] = backend.hash_adapter(Path(str(config.init_from)))
    return hash_value([settings, backend.hash, *([identify(clip) for clip in group] for group in (clips, validation))])


def mixed_precision(config: TrainConfig, device: str) -> str:
    """accelerate's mixed precision on `device`: "auto" is bf16 where the hardware has it, else float32."""
    if config.precision != "auto":
        return config.precision
    if device != "cpu":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    return "bf16" if torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported() else "no"


@torch.no_grad()
def validation_loss(backend: Backend, trainee: Trainee, cached: Any, config: TrainConfig, device: str) -> float | None:
    """Mean loss over held-out clips on eight fixed draws; None without held-out clips (`cached` is None)."""
    if cached is None:
        return None
    nothing_dropped = {"dropout": 0.0, "text_dropout": 0.0, "mask_dropout": 0.0, "context_share": 0.0}
    all_timesteps = {"timestep_range": (0.0, 1.0)}  # so that losses compare, whatever was trained on
    fixed = config.model_copy(update={"seed": VALIDATION_SEED, **nothing_dropped, **all_timesteps})
    batches = (backend.draw(cached, fixed, index) for index in range(VALIDATION_DRAWS))
    losses = [float(trainee(*(tensor.to(device) for tensor in batch))) for batch in batches]
    return sum(losses) / len(losses)


def _check_inputs(backend: Backend, clips: Sequence[TrainingClip], config: TrainConfig) -> None:
    backend.check_training_config(config)
    if not clips:
        raise InputError("there is no clip to train on; give at least one with masks")
    shapes = {clip.frames.shape for clip in clips}
    if len(shapes) > 1:
        raise InputError(f"the clips differ in size ({sorted(shapes)}); ingest them with one configuration")
    try:
        backend.check_shape(*clips[0].masks.shape)
    except InputError as error:
        raise InputError(f"the clips cannot be trained on: {error}") from error


def _is_finished(out: Path, recipe: str, overwrite: bool) -> bool:
    """Whether `out` holds this adapter. Raises InputError when it holds another one that may not be replaced."""
    if not (out / "train.json").exists():
        return False
    if json.loads((out / "train.json").read_text()).get("recipe", recipe) == recipe:
        return True
    if not overwrite:
        raise InputError(
            f"{out} holds an adapter that was trained with other settings, clips or models; give another folder, "
            f"or overwrite it"
        )
    return False


def _start_or_resume(work_dir: Path, recipe: str) -> None:
    """Keep the checkpoints of an interrupted run with this recipe; remove those of any other."""
    if work_dir.exists() and (not (work_dir / "recipe").exists() or (work_dir / "recipe").read_text() != recipe):
        shutil.rmtree(work_dir)
    with atomic_write(work_dir / "recipe") as temporary:
        temporary.write_text(recipe)


def _train(
    backend: Backend,
    trainee: Trainee,
    cached: Any,
    config: TrainConfig,
    work_dir: Path,
    report: Report | None,
    device: str,
    measure: Callable[[], float | None],
    loss_before: float | None,
) -> list[float]:
    """Train to the end, and return the held-out losses that were measured on the way, the last one at the end.

    measure: returns the held-out loss; that and `loss_before` are None without held-out clips.
    """
    losses: list[float] = []
    loop = LoopConfig(
        steps=config.steps,
        batch=config.clips_per_step,
        lr=config.lr,
        accumulation=config.gradient_accumulation_steps,
        warmup=config.warmup,
        weight_decay=config.weight_decay,
        optimizer=config.optimizer,
        ema=config.ema,
        precision=mixed_precision(config, device),
        seed=config.seed,
        checkpoint_every=config.checkpoint_every,
        sample_every=config.preview_every or config.steps + 1,
        log_every=max(1, config.steps // 40),
        validate_every=config.validation_every,
        patience=config.early_stopping,
    )

    def validate(net: torch.nn.Module) -> float:
        loss_now = measure()
        assert loss_now is not None  # it is only called if clips are held out
        losses.append(loss_now)
        return loss_now

    def draw(index: int) -> tuple[torch.Tensor, ...]:
        return tuple(tensor.to(device) for tensor in backend.draw(cached, config, index))

    def loss(net: torch.nn.Module, batch: tuple[torch.Tensor, ...], step: int) -> tuple[torch.Tensor, dict[str, float]]:
        return net(*batch), {}

    def preview(net: torch.nn.Module, png: Path) -> None:
        trainee.write_preview(png, cached)

    train(
        "adapter",
        trainee,
        draw,
        loss,
        loop,
        work_dir,
        sample=preview if config.preview_every else None,
        groups=trainee.parameter_groups(),
        report=report,
        cpu=device == "cpu",
        validate=None if loss_before is None else validate,
        start_validation=loss_before,
    )
    return losses


def _write_adapter(out: Path, work_dir: Path, trainee: Trainee, frames: int, record: dict[str, Any]) -> None:
    """Write the adapter's folder, all of it or nothing."""
    with atomic_folder(out) as temporary:
        trainee.save(temporary, frames)
        for name in (CURVE_FILE, METRICS_FILE):
            shutil.copy(work_dir / name, temporary / name)
        if (work_dir / TENSORBOARD_FOLDER).is_dir():
            shutil.copytree(work_dir / TENSORBOARD_FOLDER, temporary / TENSORBOARD_FOLDER)
        for number, strip in enumerate(sorted(work_dir.glob("samples-*.png"))):
            (temporary / "previews").mkdir(exist_ok=number > 0)
            shutil.copy(strip, temporary / "previews" / strip.name)
        (temporary / "README.md").write_text(model_card(record))
        write_json(temporary / "train.json", record)
