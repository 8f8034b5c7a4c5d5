"""Few-shot tuning: a handful of clips in, a motion adapter out."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from mvmodel import __version__
from mvmodel.backends.image_unet.latents import TrainingLatents, prepare
from mvmodel.backends.image_unet.loss import denoising_loss
from mvmodel.backends.image_unet.preview import write_strip
from mvmodel.backends.training_config import TrainConfig, TrainingClip
from mvmodel.errors import InputError, PackError
from mvmodel.files import folder_aside, hash_file, hash_value, write_aside, write_json
from mvmodel.model.adapter import MotionMaskAdapter
from mvmodel.model.attachment import attach_adapter
from mvmodel.model.saving import WEIGHTS, load_adapter, save_adapter
from mvmodel.packs.device import cast
from mvmodel.training.loop import LoopConfig, train
from mvmodel.training.model_card import model_card

__all__ = ["draw", "finetune", "load_adapter", "new_adapter", "plain_attention", "precision_of", "save_adapter"]


def new_adapter(pack: Any, config: TrainConfig) -> MotionMaskAdapter:
    """The adapter that training begins with, as `config.init_from` says."""
    unet = pack.unet()
    if config.init_from is None:
        return MotionMaskAdapter.for_unet(
            unet,
            patch=pack.latent_factor,
            mask_encoder=config.mask_encoder,
            mask_width=config.mask_width,
            foreground_tokens=config.foreground_tokens,
            temporal_share=config.temporal_share,
        )
    start = pack.start_adapter() if config.init_from == "start" else Path(config.init_from)
    if start is None:
        raise PackError(f"pack {pack.info.name} ships no start adapter; set init_from to a folder or to null")
    adapter = load_adapter(start)
    adapter.check_fits(unet)
    return adapter


def precision_of(config: TrainConfig, device: str) -> str:
    """accelerate's mixed precision on `device`: "auto" is bf16 where the hardware has it, else float32."""
    if config.precision != "auto":
        return config.precision
    if device != "cpu":
        return "bf16" if torch.cuda.is_bf16_supported() else "fp16"
    return "bf16" if torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported() else "no"


class Tuned(torch.nn.Module):
    """Adapter (trained) and UNet (frozen, not a submodule) in one forward that gives the loss."""

    def __init__(self, adapter: MotionMaskAdapter, unet: Any, scheduler: Any, config: TrainConfig) -> None:
        super().__init__()
        self.adapter = adapter
        self._frozen = (unet, scheduler)
        self._config = config

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        unet, scheduler = self._frozen
        return denoising_loss(
            unet,
            self.adapter,
            scheduler,
            *inputs,
            foreground_weight=self._config.foreground_weight,
            min_snr_gamma=self._config.min_snr_gamma,
        )


@contextmanager
def plain_attention(device: str = "cpu") -> Iterator[None]:
    """Plain batched attention on a CPU, where the fused kernel's backward pass is several times slower."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    if device != "cpu":
        yield
    else:
        with sdpa_kernel(SDPBackend.MATH):
            yield


@contextmanager
def in_float32(model: Any) -> Iterator[None]:
    """A frozen model in float32 while it is trained through, so that autocast alone decides what is computed lower."""
    before = model.dtype
    model.float()
    try:
        yield
    finally:
        cast(model, before)


def draw(data: TrainingLatents, config: TrainConfig, index: int, steps: int = 1000) -> tuple[torch.Tensor, ...]:
    """The arguments of the loss at step `index`; a function of data, config and index alone."""
    generator = torch.Generator().manual_seed(config.seed * 1_000_003 + index)
    count = config.clips_per_step
    rows = torch.randint(len(data.latents), (count,), generator=generator)
    views = torch.randint(data.latents.shape[1], (count,), generator=generator)
    latents, masks = data.latents[rows, views], data.masks[rows, views]
    noise = torch.randn(latents.shape, generator=generator)
    share = torch.sigmoid(torch.randn(count, generator=generator) * 1.1 + 0.5)
    timesteps = (share * steps).long().clamp(0, steps - 1)
    keep = torch.rand(count, generator=generator) >= config.dropout
    said = keep & (torch.rand(count, generator=generator) >= config.text_dropout)
    seen = keep & (torch.rand(count, generator=generator) >= config.mask_dropout)
    text = torch.where(said[:, None, None], data.text[rows], data.empty.expand(count, -1, -1))
    more = torch.randint(0, max(1, latents.shape[1] // 2), (count,), generator=generator)
    clean = 1 + torch.where(torch.rand(count, generator=generator) < config.context_share, more, 0)
    return latents, masks, text, noise, timesteps, seen, clean


def recipe_of(
    pack: Any, clips: Sequence[TrainingClip], config: TrainConfig, validation: Sequence[TrainingClip] = ()
) -> str:
    """Hash of everything that an adapter depends on beside code and machine."""

    def about(clip: TrainingClip) -> list[str]:
        content = [hashlib.sha256(part.tobytes()).hexdigest() for part in (clip.frames, clip.masks)]
        return [clip.name, clip.caption, *content]

    settings = config.model_dump()
    if config.init_from not in (None, "start"):  # where an adapter lies does not matter, what it is does
        settings["init_from"] = hash_file(Path(str(config.init_from)) / WEIGHTS)
    return hash_value([settings, pack.hash, *([about(clip) for clip in group] for group in (clips, validation))])


def finetune(
    pack: Any,
    clips: Sequence[TrainingClip],
    config: TrainConfig,
    folder: Path,
    validation: Sequence[TrainingClip] = (),
    report: Callable[[dict[str, Any]], None] | None = None,
    device: str | None = None,
) -> Path:
    """Tune an adapter on `clips` and write it to `folder`/adapter; returns that path.

    Resumes from `folder`/work if an earlier run of the same settings and clips was stopped; their finished adapter is
    returned at once. The adapter's folder holds `diffusion_pytorch_model.safetensors`, `config.json`, `README.md`
    (model card), `train.json` (config, clips, pack, losses), `curve.jsonl` and, if asked for, `previews`. Raises
    InputError without clips, for clips of different lengths, and for a folder with an adapter trained otherwise.
    """
    if not clips:
        raise InputError("there is no clip to train on; give at least one with masks")
    shapes = {clip.frames.shape for clip in clips}
    if len(shapes) > 1:
        raise InputError(f"the clips differ in size ({sorted(shapes)}); ingest them with one configuration")
    out, work = Path(folder) / "adapter", Path(folder) / "work"
    recipe = recipe_of(pack, clips, config, validation)
    if (out / "train.json").exists():
        if json.loads((out / "train.json").read_text()).get("recipe", recipe) != recipe:
            raise InputError(
                f"{out} holds an adapter that was trained with other settings, clips or models; give another folder, "
                f"or remove it"
            )
        return out
    if work.exists() and (not (work / "recipe").exists() or (work / "recipe").read_text() != recipe):
        shutil.rmtree(work)  # the checkpoint of another run
    with write_aside(work / "recipe") as aside:
        aside.write_text(recipe)
    device = device or pack.device
    if device.startswith("cuda:"):
        torch.cuda.set_device(device)  # accelerate knows "cuda" alone
    data = prepare(pack, clips, work / "latents.safetensors", config.flip)
    held = prepare(pack, validation, work / "validation.safetensors", False) if validation else None
    torch.manual_seed(config.seed)
    adapter = new_adapter(pack, config).train()
    unet, scheduler = pack.unet().requires_grad_(False).eval(), pack.scheduler()
    if config.gradient_checkpointing:
        unet.enable_gradient_checkpointing()
        adapter.enable_gradient_checkpointing()
    model = Tuned(adapter, unet.to(device), scheduler, config)
    groups = [
        {"params": params, "lr": config.mask_lr if part == "mask" else config.lr}
        for part, params in adapter.parameter_groups().items()
    ]
    loop = LoopConfig(
        steps=config.steps,
        batch=config.clips_per_step,
        lr=config.lr,
        warmup=config.warmup,
        weight_decay=config.weight_decay,
        ema=config.ema,
        precision=precision_of(config, device),
        seed=config.seed,
        checkpoint_every=config.checkpoint_every,
        sample_every=config.preview_every or config.steps + 1,
        log_every=max(1, config.steps // 40),
    )

    def batch(index: int) -> tuple[torch.Tensor, ...]:
        return tuple(part.to(device) for part in draw(data, config, index, scheduler.config.num_train_timesteps))

    def loss(net: torch.nn.Module, drawn: tuple[torch.Tensor, ...], step: int) -> tuple[torch.Tensor, dict[str, float]]:
        return net(*drawn), {}

    def preview(net: torch.nn.Module, png: Path) -> None:
        write_strip(png, adapter, unet, scheduler, pack.vae(), data)

    with in_float32(unet), attach_adapter(unet, adapter), plain_attention(device):
        before = validation_loss(model, held, config, device)
        sample = preview if config.preview_every else None
        on_cpu = device == "cpu"
        train("adapter", model, batch, loss, loop, work, sample=sample, groups=groups, report=report, cpu=on_cpu)
        after = validation_loss(model, held, config, device)
    if config.gradient_checkpointing:
        unet.disable_gradient_checkpointing()
    facts = {
        "pack": pack.info.name,
        "pack_hash": pack.hash,
        "random_pack": pack.info.random,
        "mvmodel": __version__,
        "recipe": recipe,
        "config": config.model_dump(),
        "clips": [{"name": clip.name, "caption": clip.caption, "frames": len(clip.frames)} for clip in clips],
        "parameters": adapter.parameter_counts(),
        "device": device,
        "validation_loss_before": before,
        "validation_loss_after": after,
    }
    with folder_aside(out) as aside:
        save_adapter(adapter.cpu().eval(), aside, len(clips[0].frames))
        shutil.copy(work / "curve.jsonl", aside / "curve.jsonl")
        for number, strip in enumerate(sorted(work.glob("samples-*.png"))):
            (aside / "previews").mkdir(exist_ok=number > 0)
            shutil.copy(strip, aside / "previews" / strip.name)
        (aside / "README.md").write_text(model_card(facts))
        write_json(aside / "train.json", facts)
    shutil.rmtree(work)
    return out


@torch.no_grad()
def validation_loss(model: Tuned, data: TrainingLatents | None, config: TrainConfig, device: str) -> float | None:
    """Mean loss over held-out clips on eight fixed draws; None without held-out clips."""
    if data is None:
        return None
    off = {"dropout": 0.0, "text_dropout": 0.0, "mask_dropout": 0.0, "context_share": 0.0}
    fixed = config.model_copy(update={"seed": 12_345, **off})
    losses = [float(model(*(p.to(device) for p in draw(data, fixed, index)))) for index in range(8)]
    return sum(losses) / len(losses)
