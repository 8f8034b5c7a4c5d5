"""The whole path on a random pack of Stable Diffusion 1.5's full architecture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.backends.image_unet.build import build_pipeline
from mvmodel.backends.image_unet.first_frame import generate_first_frames
from mvmodel.backends.load import load_backend
from mvmodel.backends.training_config import TrainConfig, TrainingClip
from mvmodel.model.saving import load_adapter
from mvmodel.packs import load_pack
from mvmodel.packs.random_pack import write_random_pack
from mvmodel.training.finetune import finetune


@pytest.mark.slow
def test_one_training_and_one_denoising_step_at_full_size(tmp_path: Path):
    """Two frames of 64x64: first frame by ControlNet, one step of tuning, one step of denoising."""
    pack = load_pack(write_random_pack("sd15", tmp_path / "sd15"), memory="8gb")  # these frames are small
    assert sum(p.numel() for p in pack.unet().parameters()) > 850e6
    rng = np.random.default_rng(0)
    masks = np.zeros((2, 64, 64), bool)
    masks[:, 16:48, 16:48] = True
    clip = TrainingClip("clip", rng.integers(0, 255, (2, 64, 64, 3), dtype=np.uint8), masks, "a horse runs")
    config = TrainConfig(steps=1, warmup=0, init_from=None, flip=False, precision="no")
    folder = finetune(load_backend(pack), [clip], config, tmp_path / "run")
    adapter = load_adapter(folder)
    trainable = sum(p.numel() for p in adapter.parameters())
    assert trainable <= 65e6
    assert (folder / "diffusion_pytorch_model.safetensors").stat().st_size <= 130 * 2**20
    quick = GenerationConfig(steps=1, first_frame_steps=1)
    first = generate_first_frames(pack, ["a horse"], masks[:1], [0], quick)
    pipeline = build_pipeline(pack, folder, quick)
    video = pipeline("a horse", masks, first[0], num_inference_steps=1).frames
    assert video.shape == (1, 2, 64, 64, 3) and np.isfinite(video).all()
