"""How large the experiments are. The defaults fit the tiny pack on two cores; a GPU may take more of everything."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from mvmodel.generation.config import GenerationConfig, Sharing


class _Sizes(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AblationConfig(_Sizes):
    """Parts left out one by one, and training told from the mask's constraint."""

    videos: int = Field(4, ge=1)
    """Requests a setting; so in every experiment."""
    without_mask_steps: int = Field(60, ge=1)
    """Training steps of the adapter that never saw a mask."""


class NoiseSharingConfig(_Sizes):
    """Shared noise: how much, and mixed in which way."""

    videos: int = Field(2, ge=1)
    alphas: tuple[float, ...] = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5)
    modes: tuple[Sharing, ...] = ("paper", "noise", "variance_preserving")


class MaskGeneralizationConfig(_Sizes):
    """Masks and words that the training clips do not have."""

    videos: int = Field(2, ge=1)
    families: tuple[str, ...] = ("shape", "size", "motion", "class")
    each: int = Field(6, ge=1, le=6)
    """How many of a family."""


class MaskRobustnessConfig(_Sizes):
    """Inexact masks. Pixels are those of a picture 128 pixels high, and scale with its height."""

    videos: int = Field(2, ge=1)
    erode: tuple[float, ...] = (1, 2, 4, 6, 8)
    dilate: tuple[float, ...] = (1, 2, 4, 6, 8)
    shift: tuple[float, ...] = (2, 4, 8, 16, 24)
    drop: tuple[float, ...] = (0.1, 0.25, 0.5, 0.75, 1.0)
    """Share of the masks after the first that are left empty."""


class FirstFrameConfig(_Sizes):
    """A frame 1 that is not what it should be."""

    videos: int = Field(3, ge=1)
    moved: tuple[float, ...] = (8, 16)
    """Frame 1 is made from mask 1 moved by so many pixels (of 128)."""
    noise: tuple[float, ...] = (0.25, 0.5, 1.0)
    """Frame 1's latents get noise of so many times their own standard deviation."""


class ZeroShotConfig(_Sizes):
    """One adapter over many motions against one a motion, each trained from nothing for as many steps."""

    videos: int = Field(2, ge=1)
    steps: int = Field(120, ge=1)
    motions: int = Field(3, ge=1)
    """How many motions are held out in turn."""


class ExperimentsConfig(_Sizes):
    """All of them. `generation` is what every cell starts from."""

    generation: GenerationConfig = GenerationConfig()
    ablation: AblationConfig = AblationConfig()
    noise_sharing: NoiseSharingConfig = NoiseSharingConfig()
    mask_generalization: MaskGeneralizationConfig = MaskGeneralizationConfig()
    mask_robustness: MaskRobustnessConfig = MaskRobustnessConfig()
    first_frame: FirstFrameConfig = FirstFrameConfig()
    zero_shot: ZeroShotConfig = ZeroShotConfig()
    training: dict[str, Any] = Field(default_factory=dict)
    """Entries of `TrainConfig` for the adapters that experiments train themselves."""
    seed: int = 0


def quick() -> ExperimentsConfig:
    """The smallest sizes at which every part of every experiment still runs."""
    return ExperimentsConfig(
        generation=GenerationConfig(steps=2, first_frame_steps=2),
        ablation=AblationConfig(videos=1, without_mask_steps=1),
        noise_sharing=NoiseSharingConfig(videos=1, alphas=(0.0, 0.2, 0.5), modes=("paper", "noise")),
        mask_generalization=MaskGeneralizationConfig(videos=1, each=1),
        mask_robustness=MaskRobustnessConfig(videos=1, erode=(2,), dilate=(2,), shift=(8,), drop=(0.5,)),
        first_frame=FirstFrameConfig(videos=1, moved=(16,), noise=(0.5,)),
        zero_shot=ZeroShotConfig(videos=1, steps=1, motions=1),
        training={"warmup": 0},
    )
