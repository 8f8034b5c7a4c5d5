"""Settings of fine-tuning, and the clips it reads. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, field_validator

from mvmodel.config import Config
from mvmodel.errors import InputError

if TYPE_CHECKING:
    import numpy as np

    from mvmodel.packs.info import PackInfo


CONTEXT_SHARE_FROM_SCRATCH = 0.25
"""`context_share` of the start adapter, and of adapters that are trained from scratch unless they set it."""


TimestepShare = Annotated[float, Field(ge=0, le=1)]
TimestepRange = tuple[TimestepShare, TimestepShare]


def check_timestep_range(value: tuple[float, float], name: str = "timestep_range") -> tuple[float, float]:
    """The range itself. Raises ValueError if it is empty."""
    if value[0] >= value[1]:
        raise ValueError(f"{name} {value} is empty; the first share must be smaller than the second")
    return value


class TrainConfig(Config):
    """Hyper-parameters of fine-tuning a motion adapter.

    A setting that is not given takes the pack's recommendation in `pack.json`, if there is one, see `for_pack`.
    """

    steps: int = Field(120, ge=1, le=10_000_000)
    """Optimizer steps."""
    clips_per_step: int = Field(1, ge=1)
    """Clips that are computed together."""
    gradient_accumulation_steps: int = Field(1, ge=1)
    """Times that `clips_per_step` clips are computed for one optimizer step, whose gradients are averaged: larger
    batches without more memory. In several processes (docs/scaling.md), each computes so many."""
    lr: float = Field(1e-4, gt=0)
    """Learning rate of the query deltas and the temporal attention."""
    mask_lr: float = Field(1e-3, gt=0)
    """Learning rate of the mask encoder and projections. They start at zero and need about ten times `lr`."""
    warmup: int = Field(10, ge=0)
    """Steps over which the learning rates rise from 0."""
    weight_decay: float = Field(0.01, ge=0)
    """AdamW's weight decay."""
    optimizer: str = Field("adamw", pattern="^(adamw|adamw8bit)$")
    """`adamw`, or `adamw8bit`, which needs the extra `bnb` and a GPU and keeps the optimizer's state in 8 bits."""
    dropout: float = Field(0.1, ge=0, lt=1)
    """Share of steps without prompt and mask, for classifier-free guidance."""
    text_dropout: float = Field(0.0, ge=0, lt=1)
    """Share of the remaining steps without prompt but with the mask."""
    mask_dropout: float = Field(0.0, ge=0, lt=1)
    """Share of the remaining steps without mask but with the prompt."""
    min_snr_gamma: float = Field(0.0, ge=0)
    """Gamma of the Min-SNR weighting of the loss (5 is usual); 0 weights all timesteps equally."""
    ema: float = Field(0.0, ge=0, lt=1)
    """Decay of the exponential moving average of the weights, which becomes the adapter; 0 keeps the last weights."""
    context_share: float | None = Field(None, ge=0, le=1)
    """Share of steps in which some frames after frame 1 are clean too, as in the windows of a long video. None is 0.25
    from scratch, and 0 from another adapter, which has seen such frames."""
    foreground_weight: float = Field(1.0, ge=0)
    """Extra weight of the loss inside the mask."""
    flip: bool = True
    """Mirror frames and masks together in half of the steps."""
    init_from: str | None = "start"
    """`start` begins from the pack's start adapter, a path from the adapter in that folder, None from scratch."""
    mask_encoder: str = Field("conv", pattern="^(conv|linear)$")
    """`conv` or `linear`. `linear` is the paper's Eq. 7."""
    mask_width: int = Field(32, ge=1)
    """Channels of the mask encoder."""
    foreground_tokens: int = Field(0, ge=0)
    """Learned keys and values of the foreground per cross-attention layer, in addition to the text's."""
    temporal_share: float = Field(0.25, gt=0, le=1)
    """Width of temporal attention, as a share of the layer's channels."""
    precision: str = Field("auto", pattern="^(auto|no|bf16|fp16)$")
    """`auto`, `no`, `bf16` or `fp16`: the type of autocast. `auto` depends on the device; `no` computes in float32."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, more time."""
    checkpoint_every: int = Field(50, ge=1)
    """Steps between checkpoints. An interrupted training resumes from the last one."""
    validation_every: int = Field(60, ge=0)
    """Steps between measurements of the loss on held-out clips, for the training curve. It is always measured at the
    start and at the end; 0 measures nothing between."""
    early_stopping: int = Field(0, ge=0)
    """Stop after so many measurements in a row in which the loss on held-out clips has not improved, and keep the best
    weights; 0 trains to the end and keeps the last weights. It needs held-out clips."""
    timestep_range: TimestepRange = (0.0, 1.0)
    """Noise levels that are trained on, as shares of the noise schedule: 1 is pure noise. (0.5, 1) trains on the noisy
    half alone, in which motion is settled and appearance is not."""
    preview_every: int = Field(0, ge=0, le=10_000_000)
    """Steps between previews of the first clip in the adapter's folder; 0 writes none."""
    data_licence: str = ""
    """Licence of the clips, for the model card."""
    seed: int = Field(0, ge=0, lt=2**63)
    """Seed of initial weights, clips, timesteps and noise."""

    @field_validator("timestep_range")
    @classmethod
    def _check_range(cls, value: tuple[float, float]) -> tuple[float, float]:
        return check_timestep_range(value)

    def for_pack(self, info: PackInfo) -> TrainConfig:
        """The same settings with the pack's recommendations in place of those that were not given.

        The result counts as given, so that a second call changes nothing. This is what a run records.
        """
        recommended = info.training.model_dump(exclude_none=True)
        return self.model_copy(update={k: v for k, v in recommended.items() if k not in self.model_fields_set})


@dataclass(frozen=True)
class TrainingClip:
    """A clip to train on: frames uint8 (frames, height, width, 3) and masks bool (frames, height, width).

    Raises InputError when the two differ in size, or when there is only one frame.
    """

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
