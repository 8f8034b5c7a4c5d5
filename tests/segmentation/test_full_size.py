"""Published sizes of segment-anything, with random weights from a file: ViT-B goes the whole way from frames to masks,
ViT-L is loaded and encodes a frame where there is room, ViT-H (2.5 GB) is only built, on the meta device.

All weights are loaded. Only the last blocks encode, windowed attention and global attention among them: the others are
the same classes with the same shapes, and cost minutes."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from segment_anything import sam_model_registry
from segment_anything.modeling import Sam

from mvmodel.errors import PackError
from mvmodel.segmentation.sam_loading import load_sam
from mvmodel.segmentation.segmenter import Segmenter
from mvmodel.segmentation.tracking import extract_masks
from mvmodel.world.render import HELD_OUT, random_clip


def _keep_last_blocks(sam: Sam) -> Sam:
    blocks = sam.image_encoder.blocks[-2:]
    assert [block.window_size > 0 for block in blocks] == [True, False]
    sam.image_encoder.blocks = blocks
    return sam


@pytest.mark.slow
def test_a_vit_b_checkpoint_goes_the_whole_way(tmp_path: Path) -> None:
    torch.manual_seed(0)
    sam = load_sam("vit_b", None)
    torch.save({name: value.half() for name, value in sam.state_dict().items()}, tmp_path / "sam_vit_b.pth")
    del sam
    loaded = load_sam("vit_b", tmp_path / "sam_vit_b.pth")
    assert len(loaded.image_encoder.blocks) == 12
    segmenter = Segmenter(_keep_last_blocks(loaded), batch_size=1)
    assert segmenter.image_size == 1024
    frames = random_clip((HELD_OUT, 12), frames=2, side=96).frames[:, 16:80]
    encoded: list[int] = []
    segmenter.sam.image_encoder.register_forward_hook(lambda *call: encoded.append(len(call[2])))
    extraction = extract_masks(frames, segmenter)
    assert extraction.sequence.masks.shape == (2, 64, 96)
    assert sum(encoded) == 2, "every frame is encoded once"


@pytest.mark.slow
def test_a_vit_l_checkpoint_is_loaded_and_encodes(tmp_path: Path) -> None:
    if psutil.virtual_memory().available < 6 << 30 or shutil.disk_usage(tmp_path).free < 2 << 30:
        pytest.skip("ViT-L needs 6 GB of memory and 2 GB of disk")
    torch.manual_seed(0)
    sam = load_sam("vit_l", None)
    file = tmp_path / "sam_vit_l.pth"
    torch.save({name: value.half() for name, value in sam.state_dict().items()}, file)
    name, written = next((n, v.half().float()) for n, v in sam.state_dict().items() if "blocks.23.attn.qkv.weight" in n)
    del sam
    with pytest.raises(PackError, match=r"sam_vit_l\.pth is not a vit_b"):
        load_sam("vit_b", file)
    loaded = load_sam("vit_l", file)
    assert torch.equal(loaded.state_dict()[name], written), "the file's weights are in the model"
    file.unlink()
    assert len(loaded.image_encoder.blocks) == 24
    segmenter = Segmenter(_keep_last_blocks(loaded), batch_size=1)
    (encoding,) = segmenter.encode(np.zeros((1, 48, 64, 3), np.uint8))
    assert encoding.embedding.shape == (256, 64, 64) and encoding.embedding.isfinite().all()
    masks, scores = segmenter.predict(encoding, point_coords=np.array([[20.0, 20.0]]))
    assert masks.shape == (3, 48, 64) and np.isfinite(scores).all()


def test_vit_h_is_in_the_registry_with_its_published_size() -> None:
    """Without its weights: names and shapes of what a checkpoint must hold."""
    with torch.device("meta"):
        sam = sam_model_registry["vit_h"]()
    parameters = sum(parameter.numel() for parameter in sam.parameters())
    assert 636e6 < parameters < 646e6
    assert len(sam.image_encoder.blocks) == 32 and sam.image_encoder.img_size == 1024
    with pytest.raises(PackError, match="do not exist"):
        load_sam("vit_h", Path("sam_vit_h.pth"))
