"""Masks of a whole catalogue: supplied or extracted, and computed once per clip."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from mvmodel.cache import Cache
from mvmodel.masks import MaskSequence
from mvmodel.masks.clip_masks import load_clip_masks, load_footage_masks
from mvmodel.segmentation import selection
from mvmodel.segmentation.catalogue_masks import get_clip_masks, read_mask_quality, write_clip_masks
from mvmodel.segmentation.config import ExtractConfig
from mvmodel.segmentation.quality import measure_quality
from mvmodel.segmentation.selection import NamedSegmenter, SegmenterChoice
from mvmodel.segmentation.tracking import MaskExtraction
from mvmodel.video.config import IngestConfig
from mvmodel.video.encode import write_mp4, write_png_folder
from mvmodel.video.ingestion import ingest
from mvmodel.world.render import TRAIN, random_clip

SEGMENTERS = SegmenterChoice([NamedSegmenter("pack", "hash", lambda: "model")])  # type: ignore[arg-type,return-value]
INGEST = IngestConfig(frames=6, size=48)


@pytest.fixture
def extracted_clips(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The frame rates of the clips that masks were extracted for; extraction itself is replaced by empty masks."""
    calls: list[float] = []

    def extract_masks(frames: np.ndarray, model: str, config: ExtractConfig, fps: float, *_: object) -> MaskExtraction:
        assert model == "model"
        calls.append(fps)
        masks = np.zeros(frames.shape[:3], bool)
        quality = measure_quality(masks, config=config.quality)
        return MaskExtraction(sequence=MaskSequence(masks, fps), quality=quality, confidence=[0.0] * len(masks))

    monkeypatch.setattr(selection, "extract_masks", extract_masks)
    return calls


def _add_clip(folder: Path, name: str, seed: int, with_masks: bool = False) -> None:
    clip = random_clip((TRAIN, seed), frames=12, side=48, pan=0.0)
    write_mp4(folder / f"{name}.mp4", clip.frames, 8)
    if with_masks:
        write_png_folder(folder / f"{name}.masks", clip.masks)


def test_masks_are_supplied_or_extracted_and_one_more_clip_costs_one_clip(
    tmp_path: Path, extracted_clips: list[float]
) -> None:
    footage = tmp_path / "in"
    _add_clip(footage, "cat", 1)
    _add_clip(footage, "dog", 2, with_masks=True)

    def run(folder: Path) -> None:
        folder.mkdir()
        catalogue = ingest(footage, folder / "clips", INGEST, read_masks=load_footage_masks)
        cache = Cache(tmp_path / "cache")
        write_clip_masks(folder, catalogue, SEGMENTERS, ExtractConfig(), cache, {"code": "1"})

    run(tmp_path / "first")
    quality = read_mask_quality(tmp_path / "first").set_index("clip")
    assert dict(quality["source"]) == {"cat": "segmenter", "dog": "supplied"}
    assert dict(quality["segmenter"]) == {"cat": "pack", "dog": ""}
    assert dict(quality["weak"]) == {"cat": True, "dog": False}
    assert "no foreground" in quality.loc["cat", "reasons"]
    assert MaskSequence.load(tmp_path / "first" / "dog.npz").masks.any()
    assert len(extracted_clips) == 1

    _add_clip(footage, "hen", 3)
    run(tmp_path / "second")
    assert len(extracted_clips) == 2, "the masks of the first two clips are reused"
    write_png_folder(footage / "dog.masks", np.ones((12, 48, 48), bool) & (np.arange(48) < 20))
    run(tmp_path / "third")
    assert len(extracted_clips) == 2, "nothing is extracted for a clip with masks"
    assert MaskSequence.load(tmp_path / "third" / "dog.npz").masks[:, :, :20].all(), "changed masks are taken"


def test_supplied_masks_are_read_once(tmp_path: Path, extracted_clips: list[float]) -> None:
    """What was checked at ingestion is what is used, even if the files are gone or replaced since."""
    footage = tmp_path / "in"
    _add_clip(footage, "dog", 2, with_masks=True)
    catalogue = ingest(footage, tmp_path / "clips", INGEST, read_masks=load_footage_masks)
    expected = load_clip_masks(footage, catalogue.row("dog"))
    shutil.rmtree(footage)
    masks = get_clip_masks(catalogue, "dog", SEGMENTERS)
    assert masks.source == "supplied" and expected is not None
    assert np.array_equal(masks.sequence.masks, expected.masks)
