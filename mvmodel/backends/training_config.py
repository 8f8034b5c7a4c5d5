"""What a fine-tuning run is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydantic import Field

from mvmodel.config import Config
from mvmodel.errors import InputError


class TrainConfig(Config):
    """Hyper-parameters of a few-shot run. Learning rates are AdamW's; a step is one optimiser step."""

    steps: int = Field(120, ge=1)
    """Optimizer steps."""
    clips_per_step: int = Field(1, ge=1)
    """Clips per optimizer step."""
    lr: float = Field(1e-4, gt=0)
    """For the query change and the temporal attention."""
    mask_lr: float = Field(1e-3, gt=0)
    """For the mask encoder and projections; they start at zero and need about ten times the rest."""
    warmup: int = Field(10, ge=0)
    """Steps over which the learning rates rise from 0."""
    weight_decay: float = Field(0.01, ge=0)
    """AdamW's weight decay."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Share of steps without prompt and mask, which guidance needs."""
    text_dropout: float = Field(0.0, ge=0, lt=1)
    """Share of the other steps without prompt but with the mask."""
    mask_dropout: float = Field(0.0, ge=0, lt=1)
    """Share of the other steps without mask but with the prompt."""
    min_snr_gamma: float = Field(0.0, ge=0)
    """Min-SNR weighting of the loss (5 is usual); 0 weighs all timesteps alike."""
    ema: float = Field(0.0, ge=0, lt=1)
    """Decay of the weights' moving average that the adapter ends with; 0 keeps the last weights."""
    context_share: float = Field(0.0, ge=0, le=1)
    """Share of steps in which some frames after frame 1 go in clean too, as in a long video's windows."""
    foreground_weight: float = Field(1.0, ge=0)
    """Extra weight of the loss where the mask is."""
    flip: bool = True
    """Mirror frames and masks together in half of the steps."""
    init_from: str | None = "start"
    """"start" begins from the pack's own adapter, a path from that adapter, None from nothing."""
    mask_encoder: str = Field("conv", pattern="^(conv|linear)$")
    """`conv` or `linear`. `linear` is the paper's Eq. 7."""
    mask_width: int = Field(32, ge=1)
    """Channels of the mask encoder."""
    foreground_tokens: int = Field(0, ge=0)
    """Learned keys and values of the foreground beside the text's, a cross-attention layer."""
    temporal_share: float = Field(0.25, gt=0, le=1)
    """Width of temporal attention, as a share of the layer's channels."""
    precision: str = Field("auto", pattern="^(auto|no|bf16|fp16)$")
    """`auto`, `no`, `bf16` or `fp16`: the type of autocast. `auto` depends on the device; `no` computes in float32."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, more time."""
    checkpoint_every: int = Field(50, ge=1)
    """Steps between checkpoints. An interrupted training resumes from the last one."""
    preview_every: int = Field(0, ge=0)
    """Steps between previews of the first clip, kept in the adapter's folder; 0 makes none."""
    data_licence: str = ""
    """Licence of the clips, for the model card."""
    seed: int = 0
    """Seed of initial weights, clips, timesteps and noise."""


@dataclass(frozen=True)
class TrainingClip:
    """One clip as training reads it: frames uint8 (F, H, W, 3), masks bool (F, H, W), both at the pack's size."""

    name: str
    frames: np.ndarray
    masks: np.ndarray
    caption: str

    def __post_init__(self) -> None:
        if self.frames.shape[:3] != self.masks.shape:
            raise InputError(
                f"clip {self.name}: frames are {self.frames.shape[:3]} but masks {self.masks.shape}; "
                "give one mask of the frame's size for every frame"
            )
        if len(self.frames) < 2:
            raise InputError(f"clip {self.name} has one frame; motion needs at least two")
