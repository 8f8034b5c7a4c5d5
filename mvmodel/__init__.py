"""mvmodel: mask-controlled video generation with few-shot motion adapters.

This is the library; it does not import Dagster. The names in `__all__` are imported when they are first used, so that
`import mvmodel` imports neither torch nor OpenCV.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from mvmodel.backends.generation_config import GenerationConfig
    from mvmodel.backends.image_unet.build import build_pipeline
    from mvmodel.backends.image_unet.pipeline import MaskVideoPipeline
    from mvmodel.backends.load import load_backend
    from mvmodel.backends.training_config import TrainConfig, TrainingClip
    from mvmodel.generation.requests import generate_video
    from mvmodel.masks import MaskSequence
    from mvmodel.masks.files import read_masks, write_masks
    from mvmodel.metrics.judge import judge_video
    from mvmodel.packs import load_pack
    from mvmodel.segmentation.tracking import extract_masks
    from mvmodel.training.finetune import finetune
    from mvmodel.video.encode import write_mp4

_MODULES = {
    "GenerationConfig": "mvmodel.backends.generation_config",
    "MaskSequence": "mvmodel.masks",
    "MaskVideoPipeline": "mvmodel.backends.image_unet.pipeline",
    "TrainConfig": "mvmodel.backends.training_config",
    "TrainingClip": "mvmodel.backends.training_config",
    "build_pipeline": "mvmodel.backends.image_unet.build",
    "extract_masks": "mvmodel.segmentation.tracking",
    "finetune": "mvmodel.training.finetune",
    "generate_video": "mvmodel.generation.requests",
    "judge_video": "mvmodel.metrics.judge",
    "load_backend": "mvmodel.backends.load",
    "load_pack": "mvmodel.packs",
    "read_masks": "mvmodel.masks.files",
    "write_masks": "mvmodel.masks.files",
    "write_mp4": "mvmodel.video.encode",
}

__all__ = [
    "GenerationConfig",
    "MaskSequence",
    "MaskVideoPipeline",
    "TrainConfig",
    "TrainingClip",
    "build_pipeline",
    "extract_masks",
    "finetune",
    "generate_video",
    "judge_video",
    "load_backend",
    "load_pack",
    "read_masks",
    "write_masks",
    "write_mp4",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
