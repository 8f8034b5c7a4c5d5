"""What a generation run is made of."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Sharing = Literal["paper", "noise", "variance_preserving"]


class GenerationConfig(BaseModel):
    """Settings of a video, beside its prompt, masks and seed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: int = Field(20, ge=1)
    scheduler: Literal["ddim", "dpm++"] = "ddim"
    guidance_scale: float = Field(2.5, ge=1)
    mask_guidance: bool = True
    """Leave the mask out of guidance's unconditional branch, so that guidance strengthens it too."""
    alpha: float = Field(0.2, ge=0, le=1)
    """Share of frame 1 in every later frame's starting noise (paper, Eq. 8)."""
    sharing: Sharing = "paper"
    first_frame_steps: int = Field(20, ge=1)
    first_frame_guidance: float = Field(3.0, ge=1)
    control_scale: float = Field(1.0, ge=0)
    adapter_scale: float = Field(1.0, ge=0)
    remember_first_frame: bool = True
    """Compute frame 1's features once a video; they are the same at every denoising step."""
    batch: int = Field(4, ge=1)
    """First frames sampled together."""
