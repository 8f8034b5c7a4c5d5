"""Motions without videos: shown with their clips, why they wait and what to do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from mvmodel.masks import MaskSequence
from mvmodel.masks.clip_masks import load_clip_masks
from mvmodel.reports.pages import write_leaderboard
from mvmodel.reports.waiting import read_waiting_motions
from mvmodel.segmentation.catalogue_masks import QUALITY_TABLE, find_unknown_clips
from mvmodel.video.config import IngestConfig
from mvmodel.video.encode import write_mp4
from mvmodel.video.ingestion import ingest


def test_a_waiting_motion_shows_its_clips_the_reasons_and_the_next_step(tmp_path: Path):
    footage, masks = tmp_path / "in", tmp_path / "masks"
    footage.mkdir()
    masks.mkdir()
    rng = np.random.default_rng(0)
    for name in ("hop-a", "hop-b", "walk-a"):
        write_mp4(footage / f"{name}.mp4", rng.integers(0, 255, (4, 32, 32, 3), dtype=np.uint8), 8)
    catalogue = ingest(footage, tmp_path / "clips", IngestConfig(frames=4, size=32), read_masks=load_clip_masks)
    rows = []
    for name in catalogue.clips:
        sequence = MaskSequence(np.ones((4, 32, 32), bool))
        sequence.save(masks / f"{name}.npz")
        weak = name.startswith("hop")
        rows.append({"clip": name, "weak": weak, "reasons": "no foreground in 90% of the frames" if weak else ""})
    quality = pd.DataFrame(rows).assign(source="segmenter", segmenter="u2netp", known=[False, True, True])
    quality.to_parquet(masks / QUALITY_TABLE)
    assert find_unknown_clips(masks) == ["hop-a"]

    groups = {"motions": {"hop": ["hop-a", "hop-b"], "run": []}, "undersized": {"walk": ["walk-a"]}}
    hop, walk = read_waiting_motions(catalogue.folder, masks, groups, ["run"], 2)
    assert (hop.motion, hop.reason) == ("hop", "0 of its 2 clips have reliable masks, and 2 are needed.")
    assert "masks of your own" in hop.next_step and "masks.segmenter" in hop.next_step
    assert hop.clips[0].masks == "masks by u2netp, weak: no foreground in 90% of the frames"
    assert walk.reason == "Clips: 1; needed: 2." and "manifest.csv" in walk.next_step

    page = write_leaderboard(tmp_path, {}, waiting=[hop, walk], notes=["a note about the footage"]).read_text()
    for text in ("Motions without videos", "hop-b", "no foreground in 90% of the frames", "a note about the footage"):
        assert text in page
    assert page.count('alt="Frames of') == 3
