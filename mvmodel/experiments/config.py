"""The sizes of every experiment, and the section `experiments` of a settings file.

The defaults are small. `quick` gives the smallest sizes that still run every kind of cell.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import Field

from mvmodel.backends.generation_config import NoiseSharingMode
from mvmodel.config import Config


class ExperimentConfig(Config):
    """How many videos an experiment generates per condition."""

    quick_sizes: ClassVar[dict[str, Any]] = {}
    """Further settings of `quick`, next to one request, one seed and two denoising steps."""

    requests: int = Field(4, ge=1)
    """Requests of a motion to use, in the order of the request table; all of them if there are fewer."""
    seeds: int = Field(1, ge=1)
    """Videos per request, each with its own seed."""
    denoising_steps: int | None = Field(None, ge=1)
    """Denoising steps of every video and first frame; null keeps the steps of the generation settings."""

    @classmethod
    def quick(cls) -> Self:
        """The smallest sizes that still run every kind of cell. They show that an experiment runs, nothing more."""
        return cls(requests=1, seeds=1, denoising_steps=2, **cls.quick_sizes)


class AblationConfig(ExperimentConfig):
    """Sizes of the ablation study."""

    quick_sizes = {"tuning_steps": 1}

    seeds: int = Field(2, ge=1)
    """Videos per request, each with its own seed."""
    tuning_steps: int | None = Field(None, ge=1)
    """Optimizer steps of the adapter that is tuned without the mask term; null uses those of the motion's adapter."""
    least_mask_gain: float = 0.3
    """IoU that the mask term must add for the report's claim about it to hold."""


class NoiseSharingConfig(ExperimentConfig):
    """Sizes of the noise-sharing sweep."""

    quick_sizes = {"alphas": (0.0, 0.2, 0.5), "modes": ("paper", "variance_preserving")}

    alphas: tuple[float, ...] = Field((0.0, 0.1, 0.2, 0.3, 0.4, 0.5), min_length=2)
    """Shares of frame 1 in the starting noise of the later frames."""
    modes: tuple[NoiseSharingMode, ...] = Field(("paper", "noise", "variance_preserving"), min_length=1)
    """Ways of mixing frame 1 into the noise."""


class GeneralizationConfig(ExperimentConfig):
    """Sizes of the generalization experiment."""

    quick_sizes = {"items": 1}

    items: int = Field(6, ge=1, le=6)
    """Held-out entries of each of the four families: shapes, sizes, motions and objects."""


class RobustnessConfig(ExperimentConfig):
    """Damage to the masks. Distances are shares of the frame width. The undamaged mask is always included."""

    quick_sizes = {"distances": (0.02,), "shifts": (0.05,), "dropped": (0.3,)}

    distances: tuple[float, ...] = (0.01, 0.02, 0.035, 0.05, 0.07)
    """Distances by which masks are eroded and dilated."""
    shifts: tuple[float, ...] = (0.02, 0.05, 0.1, 0.15, 0.2)
    """Distances by which the whole sequence is shifted to the left or to the right."""
    dropped: tuple[float, ...] = (0.1, 0.2, 0.3, 0.5, 0.7)
    """Shares of the frames after frame 1 whose masks are emptied."""


class FirstFrameConfig(ExperimentConfig):
    """Damage to frame 1. Distances are shares of the frame width."""

    quick_sizes = {"latent_noise": (0.5,)}

    shift: float = 0.15
    """Distance by which mask 1 is shifted, for the ControlNet only."""
    erode: float = 0.04
    """Distance by which mask 1 is eroded, for the ControlNet only."""
    latent_noise: tuple[float, ...] = (0.25, 0.5, 1.0)
    """Noise added to frame 1's latent, in standard deviations of the latent."""


class LengthConfig(ExperimentConfig):
    """Lengths of the videos, and what each window is anchored to."""

    quick_sizes = {"lengths": (6, 20)}

    lengths: tuple[int, ...] = Field((24, 50, 100, 200), min_length=1)
    """Lengths in frames. A request's masks are played forwards and backwards until they are long enough."""
    anchors: tuple[Literal["video", "window"], ...] = Field(("video",), min_length=1)
    """Values of `generation.anchor`. Window length and overlap are those of the generation settings."""


class ZeroShotConfig(ExperimentConfig):
    """Sizes of the zero-shot experiment."""

    quick_sizes = {"tuning_steps": 1}

    tuning_steps: int = Field(200, ge=1)
    """Optimizer steps of every adapter, whether it is tuned on one motion or on many."""
    from_start: bool = False
    """Tune from the pack's start adapter. The tiny pack's has seen every motion, so no motion would be held out."""


class ExperimentsConfig(Config):
    """Sizes of the experiments. `python -m mvmodel.experiments --help` and docs/experiments.md describe them."""

    quick: bool = False
    """Run every experiment at its smallest size, to see that it works."""
    ablation_study: AblationConfig = AblationConfig()
    """Each part of the method switched off in turn."""
    noise_sharing_sweep: NoiseSharingConfig = NoiseSharingConfig()
    """Shares and ways of mixing frame 1 into the noise of the later frames."""
    mask_generalization: GeneralizationConfig = GeneralizationConfig()
    """Masks and objects that are not in the training clips."""
    mask_robustness: RobustnessConfig = RobustnessConfig()
    """Damaged masks."""
    first_frame_sensitivity: FirstFrameConfig = FirstFrameConfig()
    """A damaged first frame."""
    long_video_drift: LengthConfig = LengthConfig()
    """Long videos."""
    zero_shot_motion: ZeroShotConfig = ZeroShotConfig()
    """Adapters on motions that they were not tuned on."""

    def sizes(self, experiment: str) -> ExperimentConfig:
        """The sizes of an experiment: its own settings, over its smallest sizes if `quick`, else over its defaults."""
        config: ExperimentConfig = getattr(self, experiment)
        smallest = type(config).quick().model_dump() if self.quick else {}
        return type(config)(**{**smallest, **config.model_dump(exclude_unset=True)})
