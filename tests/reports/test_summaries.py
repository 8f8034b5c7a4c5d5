from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mvmodel.masks import MaskSequence
from mvmodel.reports import summaries
from mvmodel.reports.stored_videos import read_video_entries
from mvmodel.reports.tables import MAIN_METRICS

ROWS = pd.DataFrame(
    [
        {"slug": "spin", "condition": "full", "name": "a", "prompt": "p", "seed": 0, "iou": 0.8, "motion": 2.0},
        {"slug": "spin", "condition": "full", "name": "b", "prompt": "q", "seed": 1, "iou": 0.6, "motion": np.nan},
        {"slug": "spin", "condition": "no_mask", "name": "a", "prompt": "p", "seed": 0, "iou": 0.2, "motion": 2.0},
    ]
)


def test_means_of_the_full_method_come_under_their_own_names():
    means = summaries.compute_condition_means(ROWS)
    assert means == pytest.approx({"iou": 0.7, "motion": 2.0, "no_mask/iou": 0.2, "no_mask/motion": 2.0})


def test_a_comparison_has_intervals_and_says_where_there_are_fewer_videos():
    table = summaries.build_comparison(ROWS).set_index("metric")
    assert list(table.index) == [name for name in MAIN_METRICS if name in ROWS.columns]
    assert table.loc["iou", ["full", "low", "high"]].tolist() == pytest.approx([0.7, 0.6, 0.8])
    assert table.loc["iou", "no_mask (1 video)"] == pytest.approx(0.2)
    assert table.loc["motion", "videos"] == 1, "a video without the metric is not counted"


def test_a_leaderboard_has_a_row_per_motion_and_condition():
    table = summaries.build_leaderboard(ROWS)
    assert table[["name", "condition", "videos"]].values.tolist() == [["spin", "full", 2], ["spin", "no_mask", 1]]
    assert summaries.build_leaderboard(ROWS.iloc[:0]).empty


def test_stored_videos_come_back_with_what_was_measured(tmp_path):
    frames = np.random.default_rng(0).integers(0, 255, (3, 16, 16, 3), np.uint8)
    masks = np.zeros((4, 16, 16), bool)
    masks[:, 2:8, 2:8] = True
    for folder in ("requests/masks", "videos/full", "metrics/detections/full"):
        (tmp_path / folder).mkdir(parents=True)
    MaskSequence(masks, 8.0).save(tmp_path / "requests" / "masks" / "a.npz")
    (tmp_path / "requests" / "requests.csv").write_text("name,motion,prompt,masks,seed\na,spin,p,masks/a.npz,0\n")
    np.savez_compressed(tmp_path / "videos" / "full" / "a.npz", frames=frames)
    MaskSequence(masks[:3], 8.0).save(tmp_path / "metrics" / "detections" / "full" / "a.npz")
    ROWS.iloc[:1].to_parquet(tmp_path / "metrics" / "metrics.parquet")
    (entry,) = read_video_entries(tmp_path / "metrics", tmp_path / "videos", tmp_path / "requests", "spin/")
    assert (entry.name, entry.condition, entry.seed) == ("spin/a", "full", 0)
    assert entry.metrics == {"iou": 0.8, "motion": 2.0}
    assert (entry.frames == frames).all() and (entry.masks == masks[:3]).all() and (entry.detected == masks[:3]).all()
