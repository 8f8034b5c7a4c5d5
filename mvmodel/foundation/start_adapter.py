"""The start adapter: one adapter tuned on many rendered clips of all motions; few-shot tuning begins from it."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from mvmodel.backends.image_unet.latents import TrainingLatents, draw_batch, encode_frames, encode_text
from mvmodel.backends.image_unet.loss import denoising_loss
from mvmodel.backends.training_config import CONTEXT_SHARE_FROM_SCRATCH, TrainConfig, TrainingClip
from mvmodel.foundation.text_to_image import TextToImageModels
from mvmodel.foundation.warm_start import load_matching_weights
from mvmodel.model.adapter import MotionMaskAdapter
from mvmodel.model.attachment import attach_adapter
from mvmodel.model.saving import save_adapter
from mvmodel.training.cpu_kernels import math_attention, use_float32_group_norm
from mvmodel.training.loop import LoopConfig, train
from mvmodel.world.render import TRAIN, random_clip

START_ADAPTER_LOOP = LoopConfig(
    steps=900, batch=3, lr=5e-4, warmup=60, ema=0.0, final_lr=0.03, checkpoint_every=200, sample_every=10_000
)
MASK_LR = 2e-3
CLIPS = 600
FRAMES = 12
DROPOUT = 0.1
"""Share of clips whose first few frames go in clean, as they do in the windows of a long video."""
SECOND_OBJECT = 0.15
FOREGROUND_WEIGHT = 1.0


def render_clips(count: int, start: int = 0) -> list[TrainingClip]:
    """Clips of the training split, every motion in turn."""
    clips = []
    for position in range(start, start + count):
        clip = random_clip((TRAIN, position, 40), frames=FRAMES, second_object=SECOND_OBJECT)
        clips.append(TrainingClip(f"world-{position}", clip.frames, clip.masks, clip.caption))
    return clips


@torch.no_grad()
def load_training_latents(models: TextToImageModels, file: Path, count: int) -> TrainingLatents:
    """Latents, masks and text embeddings of `count` rendered clips, from `file` when it exists."""
    if not file.exists():
        latents, masks, captions = [], [], []
        for start in range(0, count, 20):
            for clip in render_clips(min(20, count - start), start):
                with torch.autocast("cpu", torch.bfloat16):
                    latents.append(encode_frames(models.vae, clip.frames).half())
                masks.append(torch.from_numpy(clip.masks).to(torch.uint8))
                captions.append(clip.caption)
            print(f"clips {start}/{count}", flush=True)
        text = encode_text(models.tokenizer, models.text_encoder, ["", *captions])
        parts = {"latents": torch.stack(latents), "masks": torch.stack(masks), "text": text[1:], "empty": text[:1]}
        file.parent.mkdir(parents=True, exist_ok=True)
        save_file({name: part.contiguous() for name, part in parts.items()}, file)
    data = load_file(file)
    return TrainingLatents(
        data["latents"][:, None].float(), data["masks"][:, None].float(), data["text"], data["empty"]
    )


class _Step(torch.nn.Module):
    def __init__(self, adapter: MotionMaskAdapter, models: TextToImageModels) -> None:
        super().__init__()
        self.adapter = adapter
        self._models = models

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        frozen = self._models
        return denoising_loss(frozen.unet, self.adapter, frozen.scheduler, *inputs, foreground_weight=FOREGROUND_WEIGHT)


def train_start_adapter(
    folder: Path,
    models: TextToImageModels,
    config: LoopConfig = START_ADAPTER_LOOP,
    clips: int = CLIPS,
    start: Path | None = None,
) -> Path:
    """Train the start adapter; returns its folder."""
    use_float32_group_norm()
    torch.manual_seed(config.seed)
    data = load_training_latents(models, folder / "clips.safetensors", clips)
    unet = models.unet.requires_grad_(False).eval()
    adapter = MotionMaskAdapter.for_unet(unet, patch=8).train()
    if start is not None:
        load_matching_weights(adapter, start / "start_adapter")
    groups = [
        {"params": params, "lr": MASK_LR if part == "mask" else config.lr}
        for part, params in adapter.parameter_groups().items()
    ]

    drawing = TrainConfig(
        clips_per_step=config.batch, dropout=DROPOUT, context_share=CONTEXT_SHARE_FROM_SCRATCH, seed=config.seed
    )

    def batch(index: int) -> tuple[torch.Tensor, ...]:
        return draw_batch(data, drawing, index, models.scheduler.config.num_train_timesteps)

    def loss(
        net: torch.nn.Module, batch_tensors: tuple[torch.Tensor, ...], step: int
    ) -> tuple[torch.Tensor, dict[str, float]]:
        return net(*batch_tensors), {}

    with attach_adapter(unet, adapter), math_attention():
        train("start_adapter", _Step(adapter, models), batch, loss, config, folder, groups=groups)
    out = folder / "adapter"
    save_adapter(adapter.eval(), out, FRAMES)
    return out
