"""What a generation run is made of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from mvmodel.config import Config

if TYPE_CHECKING:
    from mvmodel.packs.info import PackInfo

NoiseSharingMode = Literal["paper", "noise", "variance_preserving"]
UnboundWords = Literal["union", "none"]
GENERIC_SAMPLING: dict[str, Any] = {"steps": 20, "guidance_scale": 7.5, "first_frame_guidance": 7.5}
"""What is taken where neither the run nor the pack says: what Stable Diffusion 1.5 is usually sampled with."""


class GenerationConfig(Config):
    """Settings of a video, beside its prompt, masks and seed."""

    steps: int | None = Field(None, ge=1)
    """Denoising steps; None is what the pack recommends in its `pack.json`, else `GENERAL`'s."""
    scheduler: str = Field("dpm++", pattern=r"^[A-Za-z][A-Za-z0-9+_]*$")
    """A name of `mvmodel.backends.image_unet.schedulers.SOLVERS`, or a diffusers scheduler's class name."""
    guidance_scale: float | None = Field(None, ge=1)
    """As `steps`, the pack's or `GENERAL`'s where it is None."""
    mask_guidance: bool = True
    """Leave the mask out of guidance's unconditional branch, so that guidance strengthens it too."""
    mask_guidance_scale: float | None = Field(None, ge=0)
    """A strength of the mask's own, at the price of a third branch; None is `guidance_scale`. Needs `mask_guidance`."""
    alpha: float = Field(0.2, ge=0, le=1)
    """Share of frame 1 in every later frame's starting noise (paper, Eq. 8)."""
    noise_sharing: NoiseSharingMode = "paper"
    """How frame 1 is mixed into the noise: `paper` is Eq. 8, `noise` mixes in frame 1's noise instead of its latent,
    `variance_preserving` keeps the noise's variance."""
    first_frame_steps: int = Field(20, ge=1)
    """Denoising steps of the first frame."""
    first_frame_guidance: float | None = Field(None, ge=1)
    """As `guidance_scale`, for the ControlNet's frame 1."""
    control_scale: float = Field(1.0, ge=0)
    """Conditioning scale of the ControlNet."""
    first_frame_min_iou: float = Field(0.3, ge=0, le=1)
    """A given first frame whose own foreground overlaps mask 1 less than this is refused; 0 takes any."""
    unbound_words: UnboundWords = "union"
    """With several objects: which mask acts on words of the prompt that belong to none, all of them together or none.
    With "union" one object is Eq. 7, whatever its words."""
    adapter_scale: float = Field(1.0, ge=0)
    """0 is the base model."""
    first_frame_attention: bool = True
    """Keys and values of self-attention from frame 1 (paper, Eq. 5)."""
    cache_first_frame: bool = True
    """Compute frame 1's features once a video; they are the same at every denoising step."""
    batch: int = Field(4, ge=1)
    """First frames sampled together."""
    window: int = Field(16, ge=0)
    """Longer videos are made in windows of this many frames, context included; 0 makes any length in one pass."""
    overlap: int = Field(4, ge=1)
    """Last frames of the window before that a window is given, clean, as context."""
    anchor: Literal["video", "window"] = "video"
    """What a window's keys, values and shared noise come from: frame 1 of the video, or the window's own first."""
    reanchor: int = Field(0, ge=0)
    """Windows after which the anchor "video" moves on to the newest frame before the window; 0 keeps frame 1."""
    match_background: float = Field(0.0, ge=0, le=1)
    """How far a window's background is pulled back to frame 1's: per latent channel, the mean and spread outside the
    masks. 0 leaves it, 1 makes them equal."""
    context_noise: float = Field(0.0, ge=0, lt=1)
    """How noisy the context goes in, as a share of the noise schedule."""
    positions: Literal["window", "video"] = "window"
    """Where temporal attention counts frames from; counting on through the video leaves the trained range."""

    @model_validator(mode="after")
    def _window_has_room(self) -> GenerationConfig:
        if self.window and self.window < self.overlap + 2:
            raise ValueError(f"window {self.window} leaves no new frame beside frame 1 and overlap {self.overlap}")
        if self.reanchor and self.anchor == "window":
            raise ValueError('reanchor moves the anchor "video" on; with the anchor "window" it has no effect')
        if self.mask_guidance_scale is not None and not self.mask_guidance:
            raise ValueError("mask_guidance_scale without mask_guidance has no effect; set one of them")
        return self

    def for_pack(self, info: PackInfo) -> GenerationConfig:
        """The same settings with numbers where they were left to the pack; what a run records of itself."""
        own = {name: getattr(info.generation, name) for name in GENERIC_SAMPLING}
        open_ones = {
            name: own[name] or general for name, general in GENERIC_SAMPLING.items() if getattr(self, name) is None
        }
        return self.model_copy(update=open_ones)
