"""A published size of segment-anything, with random weights from a file, through the whole way from frames to masks."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mvmodel.segmentation.build import load_sam
from mvmodel.segmentation.segmenter import Segmenter
from mvmodel.segmentation.track import extract
from mvmodel.world.render import HELD_OUT, random_clip


@pytest.mark.slow
def test_a_vit_b_checkpoint_goes_the_whole_way(tmp_path: Path) -> None:
    torch.manual_seed(0)
    sam = load_sam("vit_b", None)
    torch.save({name: value.half() for name, value in sam.state_dict().items()}, tmp_path / "sam_vit_b.pth")
    del sam
    segmenter = Segmenter(load_sam("vit_b", tmp_path / "sam_vit_b.pth"), batch_size=1)
    assert segmenter.side == 1024
    frames = random_clip((HELD_OUT, 12), frames=2, side=96).frames[:, 16:80]
    encoded: list[int] = []
    segmenter.sam.image_encoder.register_forward_hook(lambda *call: encoded.append(len(call[2])))
    found = extract(frames, segmenter)
    assert found.sequence.masks.shape == (2, 64, 96)
    assert sum(encoded) == 2, "every frame is encoded once"
