"""The interface between training and generation on one side and an architecture on the other.

Training and generation pass arrays, paths and settings to a `Backend`; they know no UNet, autoencoder or latent.
`mvmodel.backends.load.load_backend` returns the backend of a model pack.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.backends.instances import Instance
from mvmodel.backends.training_config import TrainConfig, TrainingClip
from mvmodel.config import Config
from mvmodel.errors import InputError
from mvmodel.text import describe_cut_text

GENERATION_SETTINGS = frozenset({"batch", "first_frame_min_iou", "first_frame_latents"})
"""Fields of `GenerationConfig` that `mvmodel.generation` reads itself, so that every backend supports them."""
TRAINING_SETTINGS = frozenset(
    {
        "steps",
        "clips_per_step",
        "lr",
        "warmup",
        "weight_decay",
        "optimizer",
        "ema",
        "init_from",
        "precision",
        "checkpoint_every",
        "preview_every",
        "data_licence",
        "seed",
    }
)
"""Fields of `TrainConfig` that `mvmodel.training` reads itself, so that every backend supports them."""


class Trainee(torch.nn.Module, ABC):
    """The weights that fine-tuning changes. Its registered parameters are exactly those; frozen models stay outside."""

    @abstractmethod
    def forward(self, *batch: torch.Tensor) -> torch.Tensor:
        """The scalar loss of a batch that `Backend.draw` returned. Call it inside `attached`."""

    @abstractmethod
    def parameter_groups(self) -> list[dict[str, Any]]:
        """Optimiser parameter groups: dicts with `params` and, where it differs from `TrainConfig.lr`, `lr`."""

    @abstractmethod
    def parameter_counts(self) -> dict[str, int]:
        """Number of trained weights by part, for people to read."""

    @abstractmethod
    def attached(self) -> AbstractContextManager[Any]:
        """A context in which the frozen models are ready for `forward`; leaves them as they were."""

    @abstractmethod
    def write_preview(self, png: Path, cached: Any) -> None:
        """Write a picture of what has been learned so far. cached: what `Backend.cache_clips` returned."""

    @abstractmethod
    def save(self, folder: Path, frames: int) -> None:
        """Write the weights as an adapter folder that `Backend.sample` and `Backend.load_trainee` read.

        frames: number of frames of the training clips.
        """


class Backend(ABC):
    """A video model with its weights.

    Frames are uint8 RGB (frames, height, width, 3). Masks are bool (frames, height, width), one per frame, and True is
    foreground. The same arguments, seed and machine give the same bytes.
    """

    supported_generation_settings: ClassVar[frozenset[str]]
    """Fields of `GenerationConfig` that `first_frames` and `sample` use."""
    supported_training_settings: ClassVar[frozenset[str]]
    """Fields of `TrainConfig` that `cache_clips`, `draw` and the trainee use."""

    @property
    @abstractmethod
    def name(self) -> str:
        """For people to read: the model pack's name."""

    @property
    @abstractmethod
    def hash(self) -> str:
        """Identity of the weights, hexadecimal. Recipes contain it, so results of other weights are never mixed up."""

    @property
    @abstractmethod
    def random(self) -> bool:
        """Whether the weights were drawn at random, so that results are meaningless and reports must say so."""

    @property
    @abstractmethod
    def device(self) -> str:
        """Where the models run: cpu, cuda or cuda:N."""

    @property
    @abstractmethod
    def frame_size(self) -> tuple[int, int]:
        """Height and width in pixels of the videos that requests ask for."""

    @abstractmethod
    def check_shape(self, frames: int, height: int, width: int) -> None:
        """Raise InputError, saying what to change, for a clip or mask sequence that the model cannot process."""

    def check_generation_config(self, config: GenerationConfig) -> None:
        """Raise InputError naming every setting that is not supported here and differs from its default."""
        refuse_unsupported(config, self.supported_generation_settings | GENERATION_SETTINGS, "generation", self.name)

    def check_training_config(self, config: TrainConfig) -> None:
        """Raise InputError naming every setting that is not supported here and differs from its default."""
        refuse_unsupported(config, self.supported_training_settings | TRAINING_SETTINGS, "training", self.name)

    @abstractmethod
    def fill_generation_config(self, config: GenerationConfig) -> GenerationConfig:
        """The same settings with numbers in place of those left to the model (None); this is what a run records."""

    def fill_training_config(self, config: TrainConfig) -> TrainConfig:
        """The same settings with the model's recommendations in place of those that were not given.

        This is what a run records. By default the model recommends nothing.
        """
        return config

    def find_cut_text(self, prompt: str) -> str:
        """The end of a prompt that is too long for the model, for people to read; "" if the model reads all of it."""
        return ""

    @abstractmethod
    def first_frames(
        self,
        prompts: Sequence[str],
        masks: np.ndarray,
        seeds: Sequence[int],
        config: GenerationConfig,
        negative_prompts: Sequence[str] | None = None,
        instances: Sequence[Instance] | None = None,
    ) -> np.ndarray:
        """Generate first frames, each from its own prompt, mask and seed, whatever else is in the batch.

        masks: bool (n, height, width), one a prompt. instances: for a single prompt, its objects; only their first mask
        counts. Returns uint8 (n, height, width, 3). Raises InputError for an empty mask.
        """

    def first_frames_with_latents(
        self,
        prompts: Sequence[str],
        masks: np.ndarray,
        seeds: Sequence[int],
        config: GenerationConfig,
        negative_prompts: Sequence[str] | None = None,
        instances: Sequence[Instance] | None = None,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """`first_frames`, and the latents that they were decoded from, (n, ...), for `sample`.

        By default there are none (None).
        """
        return self.first_frames(prompts, masks, seeds, config, negative_prompts, instances), None

    @abstractmethod
    def sample(
        self,
        adapter: Path | None,
        prompt: str,
        masks: np.ndarray,
        first_frame: np.ndarray,
        config: GenerationConfig,
        seed: int,
        *,
        negative_prompt: str = "",
        mask_term: bool = True,
        instances: Sequence[Instance] | None = None,
        work_dir: Path | None = None,
        first_latents: np.ndarray | None = None,
    ) -> np.ndarray:
        """Generate one video of any number of frames.

        adapter: a folder that `Trainee.save` wrote; None is the base model. masks: bool (frames, height, width).
        first_frame: uint8 (height, width, 3), frame 1 of the result. mask_term: False ignores the masks, to compare.
        instances: the objects, bound to words of the prompt. work_dir: a folder in which an interrupted long video
        resumes; None uses a temporary one. first_latents: of the first frame, if `first_frames_with_latents` returned
        some. Returns uint8 (frames, height, width, 3), which may be mapped from a file in `work_dir`. Raises PackError
        when the adapter was trained for another architecture.
        """

    def generate_images(
        self, prompts: Sequence[str], seeds: Sequence[int], steps: int, guidance_scale: float
    ) -> np.ndarray:
        """Generate one picture a prompt from text alone, uint8 (n, height, width, 3).

        Raises InputError when the model cannot; that is the default.
        """
        raise InputError(f"the model {self.name} generates no pictures from text alone; give shapes as masks")

    @property
    def memory_level(self) -> str | None:
        """What is done to save memory, for records: results may differ slightly between levels. None if unknown."""
        return None

    def attention_bytes(self, frames: int, height: int, width: int) -> int:
        """Bytes that a training step on one clip would hold if all attention scores were stored; 0 if unknown."""
        return 0

    def step_down_memory(self, training: bool = True) -> str | None:
        """After an error for lack of memory in training or in generation, prepare to use less.

        Returns what is done from now on, for people to read; None, the default, if nothing more can be done.
        """
        return None

    @abstractmethod
    def start_adapter(self) -> Path | None:
        """Folder of the adapter that training starts from by default, or None."""

    @abstractmethod
    def hash_adapter(self, folder: Path) -> str:
        """Identity of an adapter folder's weights, hexadecimal, wherever it is stored."""

    @abstractmethod
    def cache_clips(self, clips: Sequence[TrainingClip], file: Path, flip: bool) -> Any:
        """Compute what training reads of the clips at every step, once; or read what an earlier call left in `file`.

        flip: also cache every clip mirrored. The result is opaque to the caller.
        """

    @abstractmethod
    def draw(self, cached: Any, config: TrainConfig, index: int) -> tuple[torch.Tensor, ...]:
        """The batch of step `index`, on the CPU: a function of these arguments alone, so that a resumed run repeats."""

    @abstractmethod
    def new_trainee(self, config: TrainConfig, device: str) -> Trainee:
        """A trainee that changes nothing yet, initialised from torch's global random generator."""

    @abstractmethod
    def load_trainee(self, folder: Path, config: TrainConfig, device: str) -> Trainee:
        """A trainee with the weights of an adapter folder. Raises PackError when they do not fit this backend."""


def report_cut_texts(backend: Backend, texts: Iterable[str]) -> dict[str, str]:
    """Text -> the part of it that the model does not read. Says so on standard error, once for each text."""
    cut_texts = {text: cut for text in dict.fromkeys(texts) if (cut := backend.find_cut_text(text))}
    for text, cut in cut_texts.items():
        print(describe_cut_text(f"the model {backend.name}", text, cut), file=sys.stderr)
    return cut_texts


def refuse_unsupported(config: Config, supported: Iterable[str], section: str, backend: str) -> None:
    """Raise InputError naming the fields of `config` that differ from their defaults and are not in `supported`."""
    fields = type(config).model_fields
    changed = [name for name, field in fields.items() if getattr(config, name) != field.get_default()]
    unknown = sorted(set(changed) - set(supported))
    if unknown:
        raise InputError(
            f"the model {backend} does not support the {section} setting{'s' * (len(unknown) > 1)} "
            f"{', '.join(unknown)}; leave {'them' if len(unknown) > 1 else 'it'} out"
        )
