"""Masks that a user supplied for a clip, after ingestion."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mvmodel.errors import InputError
from mvmodel.masks.clip_masks import load_clip_masks
from mvmodel.masks.geometry import mask_iou
from mvmodel.video.config import IngestConfig
from mvmodel.video.encode import write_mp4, write_png_folder
from mvmodel.video.ingestion import ingest
from mvmodel.world.render import TRAIN, random_clip


def test_masks_follow_their_clip_through_ingestion(tmp_path: Path) -> None:
    clip = random_clip((TRAIN, 4), frames=24, side=96, motion="zigzag", pan=0.0)
    wide = np.pad(clip.frames, ((0, 0), (0, 0), (20, 20), (0, 0)), mode="edge")
    write_mp4(tmp_path / "in" / "fish.mp4", wide, 16)
    write_png_folder(tmp_path / "in" / "fish.masks", np.pad(clip.masks, ((0, 0), (0, 0), (20, 20))))
    catalogue = ingest(tmp_path / "in", tmp_path / "out", IngestConfig(frames=8, resolution=48))
    row = catalogue.row("fish")
    sequence = load_clip_masks(tmp_path / "in", row)
    assert sequence is not None
    expected = np.stack([clip.masks[index, ::2, ::2] for index in row["sampled"]])
    assert sequence.masks.shape == (8, 48, 48)
    assert mask_iou(sequence.masks, expected) > 0.9
    write_png_folder(tmp_path / "in" / "fish.masks", clip.masks[:5])
    with pytest.raises(InputError, match="has 5 masks"):
        load_clip_masks(tmp_path / "in", row)
