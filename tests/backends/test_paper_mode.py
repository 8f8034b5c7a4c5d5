"""configs/paper.yaml is the paper's method as far as it is known."""

from __future__ import annotations

from pathlib import Path

import yaml

from benchmarks.later_frames_settings import NEUTRAL
from mvmodel.backends.generation_config import LATER_FRAME_OPTIONS, GenerationConfig
from mvmodel.backends.image_unet.guidance import guidance_branches
from mvmodel.backends.training_config import TrainConfig


def test_paper_mode_is_equation_7_with_nothing_added(repository: Path):
    sections = yaml.safe_load((repository / "configs" / "paper.yaml").read_text())
    training, generation = TrainConfig(**sections["training"]), GenerationConfig(**sections["generation"])
    assert training.mask_encoder == "linear" and training.lr == training.mask_lr
    assert training.init_from is None and training.foreground_tokens == 0 and training.foreground_weight == 0
    assert (generation.scheduler, generation.steps, generation.alpha) == ("ddim", 50, 0.2)
    plain = GenerationConfig()
    for name in LATER_FRAME_OPTIONS:  # whatever the pack's defaults are
        assert getattr(generation, name) == getattr(plain, name)
        assert name in generation.model_fields_set or name not in NEUTRAL
    assert guidance_branches(7.5, generation.mask_guidance).masked == (True, True)
