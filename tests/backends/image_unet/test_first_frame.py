"""First frames by the ControlNet."""

from __future__ import annotations

import numpy as np
import torch

from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.backends.image_unet.first_frame import generate_first_frames
from mvmodel.backends.instances import Instance
from mvmodel.model.adapter import MotionMaskAdapter


def test_instances_tell_the_first_frame_what_is_where(small_pack, tmp_path, monkeypatch):
    """With an adapter that comes with the pack; without one, the ControlNet's one mask is all there is."""
    torch.manual_seed(0)
    adapter = MotionMaskAdapter.for_unet(small_pack.unet(), mask_width=4)
    for parameter in adapter.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    adapter.save_pretrained(tmp_path / "adapter")
    masks = np.zeros((2, 1, 64, 64), bool)
    masks[0, :, :, :30] = masks[1, :, 20:50, 34:] = True

    def generate(*words: str) -> np.ndarray:
        bound = [Instance(word, mask) for word, mask in zip(words, masks, strict=False)]
        union = np.logical_or(masks[0], masks[1])
        return generate_first_frames(
            small_pack, ["a dog and a ball"], union, [0], GenerationConfig(first_frame_steps=2), instances=bound or None
        )

    assert np.array_equal(generate("a dog", "a ball"), generate())
    before = dict(small_pack.unet().attn_processors)
    monkeypatch.setattr(small_pack, "start_adapter", lambda: tmp_path / "adapter")
    assert not np.array_equal(generate("a dog", "a ball"), generate("a ball", "a dog"))
    assert small_pack.unet().attn_processors == before
