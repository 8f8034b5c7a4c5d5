"""Settings of generation. Imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from mvmodel.backends.training_config import TimestepRange, check_timestep_range
from mvmodel.config import Config, describe_validation_error
from mvmodel.errors import PackError
from mvmodel.packs.info import ControlKind

if TYPE_CHECKING:
    from mvmodel.packs.info import PackInfo

NoiseSharingMode = Literal["paper", "noise", "variance_preserving"]
UnboundWords = Literal["union", "none"]
ColorFix = Literal["none", "lowpass", "mean"]
ControlFrames = Literal["first", "every"]
ControlBranches = Literal["masked", "all"]
BackgroundMode = Literal["none", "auto", "plate", "first"]
NoisePrior = Literal["independent", "mixed"]
CameraSource = Literal["masks", "clips"]
CameraShare = Annotated[float, Field(ge=-100, le=100)]
GENERIC_SAMPLING: dict[str, Any] = {
    "steps": 20,
    "guidance_scale": 7.5,
    "first_frame_guidance": 7.5,
    "control_scale": 1.0,
}
"""Used where neither the settings nor the pack say otherwise: the usual values for Stable Diffusion 1.5."""
LATER_FRAME_OPTIONS = (
    "noise_prior",
    "noise_share",
    "noise_follow",
    "first_frame_latents",
    "control_frames",
    "controlnet_conditioning_scale",
    "control_guidance_start",
    "control_guidance_end",
    "control_branches",
    "background",
    "background_paste",
    "background_inpaint",
    "color_fix",
    "draft_strength",
    "draft_end",
    "appearance_anchor",
    "guidance_rescale",
    "guidance_interval",
    "timestep_range",
)
"""Options whose default a pack may change, in `generation.later_frames` of its `pack.json`."""
WITHOUT_MASKS: dict[str, Any] = {
    "noise_follow": False,
    "control_frames": "first",
    "background": "none",
    "background_paste": False,
    "background_inpaint": 0.0,
    "draft_strength": 0.0,
    "appearance_anchor": 0.0,
}
"""What switches off the options that read the masks, for videos without the mask term."""
_IDLE_WITH: dict[str, tuple[str, Any]] = {
    "noise_follow": ("noise_prior", "independent"),
    "background_paste": ("background", "none"),
    "background_inpaint": ("background", "none"),
    "appearance_anchor": ("first_frame_attention", False),
}
"""Option -> another option and the value of it under which the first has nothing to act on."""


class GenerationConfig(Config):
    """How a video is generated, besides its prompt, masks and seed.

    A pack may have defaults of its own for the options of `LATER_FRAME_OPTIONS`; setting an option overrides them.
    """

    steps: int | None = Field(None, ge=1, le=1000)
    """Denoising steps. None takes the pack's recommendation in `pack.json`, or 20 without one."""
    scheduler: str = Field("dpm++", pattern=r"^[A-Za-z][A-Za-z0-9+_]*$")
    """A name of `mvmodel.backends.image_unet.schedulers.SCHEDULERS`, or a diffusers scheduler's class name."""
    guidance_scale: float | None = Field(None, ge=1, le=100)
    """Classifier-free guidance. None takes the pack's recommendation, or 7.5 without one."""
    mask_guidance: bool = True
    """Leave the mask out of guidance's unconditional branch, so that it strengthens the mask too."""
    mask_guidance_scale: float | None = Field(None, ge=0, le=100)
    """A separate guidance scale for the mask, at the cost of a third branch. None uses `guidance_scale`."""
    alpha: float = Field(0.2, ge=0, le=1)
    """Share of frame 1 in every later frame's starting noise (paper, Eq. 8)."""
    noise_sharing: NoiseSharingMode = "paper"
    """How frame 1 is mixed into the noise: `paper` is Eq. 8, `noise` mixes in frame 1's noise instead of its latent,
    `variance_preserving` keeps the noise's variance."""
    noise_prior: NoisePrior = "independent"
    """Whether the noise of later frames is `independent`, or shares a part with frame 1's, keeping its variance
    (`mixed`, as in PYoCo). `alpha` is applied afterwards."""
    noise_share: float = Field(0.9, ge=0, le=1)
    """Share of the variance that mixed noise has in common."""
    noise_follow: bool = False
    """Let the common noise of objects move with their masks."""
    first_frame_steps: int = Field(20, ge=1, le=1000)
    """Denoising steps of the first frame."""
    first_frame_guidance: float | None = Field(None, ge=1, le=100)
    """As `guidance_scale`, for the first frame by the ControlNet."""
    control_scale: float | None = Field(None, ge=0, le=100)
    """Conditioning scale of the ControlNet. None takes the pack's recommendation, or 1 without one."""
    control: ControlKind | None = None
    """What the ControlNet is shown of mask 1: `mask` (white on black), `scribble` or `softedge` (its outline),
    `segmentation` (the colours of ADE20K's classes) or `canny` (its edges). None takes what the pack's ControlNet was
    trained on."""
    first_frame_latents: bool = False
    """Pass frame 1 of the ControlNet on as the latents that it was decoded from, instead of encoding the picture again.
    Pictures of your own are always encoded."""
    control_frames: ControlFrames = "first"
    """Frames that the ControlNet acts on: `first`, or `every` frame under its own mask."""
    controlnet_conditioning_scale: float = Field(1.0, ge=0, le=100)
    """With `control_frames: every`, conditioning scale of the ControlNet in later frames."""
    control_guidance_start: float = Field(0.0, ge=0, le=1)
    """Share of the later frames' denoising steps after which the ControlNet begins to act."""
    control_guidance_end: float = Field(1.0, ge=0, le=1)
    """Share of the later frames' denoising steps after which the ControlNet stops acting."""
    control_branches: ControlBranches = "masked"
    """Branches of guidance that the ControlNet acts on in later frames: those that see the mask, or `all`."""
    background: BackgroundMode = "none"
    """What the background of later frames is pulled to at every step: frame 1's where frame 1 shows it (`first`), and
    elsewhere what the frames that show it have in common (`plate`). `auto` is `plate` if `camera` is known, and `none`
    otherwise. `plate` and `first` assume a camera that stands still if `camera` is unknown."""
    background_paste: bool = False
    """Replace the background's pixels by frame 1's where frame 1 shows them, with soft borders."""
    background_inpaint: float = Field(0.0, ge=0, le=1)
    """Share of the steps until which background that frame 1 does not show, behind its objects and where a moving
    camera reveals it, is pulled to frame 1 with its objects inpainted and its border repeated; 0 is off."""
    camera: tuple[CameraShare, CameraShare] | None = None
    """How far the camera travels over the video, to the right in frame widths and down in frame heights; (0, 0) stands
    still, None is unknown."""
    camera_source: CameraSource = "masks"
    """Where the camera comes from if `camera` is not set: `masks` is what the mask sequence knows of it; `clips` is,
    for masks that know nothing, how the camera moves in most of the adapter's training clips."""
    color_fix: ColorFix = "none"
    """Add the tints that the autoencoder takes from frame 1 to all later frames: by place (`lowpass`), or one colour
    (`mean`)."""
    draft_strength: float = Field(0.0, ge=0, le=1)
    """How far frame 1's objects, deformed to fit every mask, replace the prediction inside the masks in the early
    steps."""
    draft_end: float = Field(0.6, ge=0, le=1)
    """Share of the steps after which the draft is no longer used."""
    appearance_anchor: float = Field(0.0, ge=0, le=1)
    """How far self-attention inside an object's mask reads the object in frame 1 alone, instead of all of frame 1. It
    keeps colours and texture and lets limbs move."""
    guidance_rescale: float = Field(0.0, ge=0, le=1)
    """How far the standard deviation of guided predictions is brought back to that of the prediction with prompt and
    mask, against over-saturation (Lin et al. 2023); 0.7 is usual."""
    guidance_interval: TimestepRange = (0.0, 1.0)
    """Noise levels at which guidance by prompt and mask acts in later frames, as shares of the noise schedule: 1 is
    pure noise. At others, the prediction with prompt and mask is used alone, which takes less time and saturates
    colours less (Kynkäänniemi et al. 2024)."""
    timestep_range: TimestepRange = (0.0, 1.0)
    """Noise levels at which adapters act, as shares of the noise schedule: 1 is pure noise. At others, the base model
    denoises with frame 1's keys and values. (0.5, 1) uses adapters in the noisy half alone, in which motion is
    settled and appearance is not."""
    first_frame_min_iou: float = Field(0.3, ge=0, le=1)
    """A first frame from the user whose foreground has a lower IoU with mask 1 than this is warned of, and refused with
    `--strict`; 0 accepts any."""
    unbound_words: UnboundWords = "union"
    """With several objects: which mask acts on words of the prompt that belong to none of them. `union` is all objects'
    masks together, which makes one object exactly Eq. 7; `none` is no mask."""
    adapter_scale: float = Field(1.0, ge=0, le=100)
    """Strength of the adapter; 0 is the base model."""
    first_frame_attention: bool = True
    """Take keys and values of self-attention from frame 1 (paper, Eq. 5)."""
    cache_first_frame: bool = True
    """Compute frame 1's keys and values once per video; they are the same at every denoising step."""
    batch: int = Field(4, ge=1)
    """First frames generated in one batch."""
    window: int = Field(16, ge=0, le=100_000)
    """Longer videos are generated in windows of this many frames, context included; 0 generates them in one pass."""
    overlap: int = Field(4, ge=1)
    """Number of the previous window's last frames that a window gets, clean, as context."""
    anchor: Literal["video", "window"] = "video"
    """Source of a window's keys, values and shared noise: frame 1 of the video, or the first frame of the window."""
    reanchor: int = Field(0, ge=0)
    """Number of windows after which the anchor `video` moves to the newest frame before the window; 0 keeps frame 1."""
    match_background: float = Field(0.0, ge=0, le=1)
    """How far the latents' mean and standard deviation outside the masks are moved to those of frame 1, per channel; 0
    changes nothing, 1 makes them equal."""
    context_noise: float = Field(0.0, ge=0, lt=1)
    """Noise level of the context frames, as a share of the noise schedule."""
    positions: Literal["window", "video"] = "window"
    """Where temporal attention counts frames from. Counting from the start of the video leaves the trained range."""

    @field_validator("timestep_range", "guidance_interval")
    @classmethod
    def _check_range(cls, value: tuple[float, float], info: ValidationInfo) -> tuple[float, float]:
        return check_timestep_range(value, info.field_name or "the range")

    @model_validator(mode="after")
    def _check_combinations(self) -> GenerationConfig:
        if self.window and self.window < self.overlap + 2:
            raise ValueError(f"window {self.window} leaves no new frame besides frame 1 and overlap {self.overlap}")
        if self.reanchor and self.anchor == "window":
            raise ValueError('reanchor moves the anchor "video"; with the anchor "window" it has no effect')
        if self.mask_guidance_scale is not None and not self.mask_guidance:
            raise ValueError("mask_guidance_scale without mask_guidance has no effect; set one of them")
        if self.noise_follow and self.noise_prior != "mixed":
            raise ValueError("noise_follow moves the common noise; set noise_prior to mixed with it")
        if self.background_paste and self.background == "none":
            raise ValueError("background_paste needs to know the background; set background to plate, first or auto")
        if self.background_inpaint and self.background == "none":
            raise ValueError("background_inpaint completes the background; set background to plate, first or auto")
        if self.appearance_anchor and not self.first_frame_attention:
            raise ValueError("appearance_anchor reads frame 1's keys and values; switch first_frame_attention on")
        if self.control_guidance_start >= self.control_guidance_end:
            raise ValueError("control_guidance_start must be smaller than control_guidance_end")
        return self

    def for_pack(self, info: PackInfo) -> GenerationConfig:
        """The same settings with the pack's in place of those that are not set; this is what a run records.

        Raises PackError if `generation.later_frames` in `pack.json` is wrong.
        """
        recommended = {name: getattr(info.generation, name) for name in GENERIC_SAMPLING}
        recommended = {name: GENERIC_SAMPLING[name] if v is None else v for name, v in recommended.items()}
        recommended["control"] = info.control
        later_frames = check_later_frames(info)
        filled = self.model_copy(
            update={
                **{name: v for name, v in recommended.items() if getattr(self, name) is None},
                **{name: v for name, v in later_frames.items() if name not in self.model_fields_set},
            }
        )
        idle = [name for name, (other, value) in _IDLE_WITH.items() if getattr(filled, other) == value]
        return filled.model_copy(  # whoever switches the background off need not know the pack's options for it
            update={name: GenerationConfig.model_fields[name].default for name in idle if name in later_frames}
        )


def switch_off_later_frame_options() -> dict[str, Any]:
    """Values under which no option for later frames acts, whatever the pack's defaults are."""
    return {name: GenerationConfig.model_fields[name].default for name in LATER_FRAME_OPTIONS}


def check_later_frames(info: PackInfo) -> dict[str, Any]:
    """The pack's values of `LATER_FRAME_OPTIONS`. Raises PackError for another name or a value that is not valid."""
    values = info.generation.later_frames
    unknown = sorted(set(values) - set(LATER_FRAME_OPTIONS))
    if unknown:
        raise PackError(
            f"pack.json of the pack {info.name} sets {', '.join(unknown)} in generation.later_frames; "
            f"it may set {', '.join(LATER_FRAME_OPTIONS)}"
        )
    try:
        config = GenerationConfig.model_validate(values)
    except ValidationError as error:
        reason = describe_validation_error(error, GenerationConfig)
        raise PackError(f"pack.json of the pack {info.name}, generation.later_frames: {reason}") from error
    return {name: getattr(config, name) for name in values}
