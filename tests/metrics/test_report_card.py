from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mvmodel.metrics.report_card import average_metrics, bootstrap_interval, summarise


def test_interval_holds_the_mean_and_narrows_with_more_videos():
    rng = np.random.default_rng(0)
    few, many = rng.normal(0.6, 0.1, 6), rng.normal(0.6, 0.1, 200)
    low, high = bootstrap_interval(few)
    assert low < few.mean() < high
    assert high - low > 2 * np.diff(bootstrap_interval(many))[0]


def test_interval_covers_the_true_mean_about_as_often_as_it_says():
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(200):
        low, high = bootstrap_interval(rng.normal(0, 1, 30), resamples=500)
        hits += low < 0 < high
    assert 0.88 <= hits / 200 <= 0.99


def test_interval_is_repeatable_and_undefined_for_one_video():
    values = np.array([0.1, 0.5, 0.9, np.nan])
    assert bootstrap_interval(values) == bootstrap_interval(values)
    assert np.isnan(bootstrap_interval(np.array([0.4]))).all()


def test_summary_counts_videos_and_prompts_and_skips_what_is_missing():
    rows = pd.DataFrame(
        {
            "condition": ["full", "full", "full", "no_mask"],
            "prompt": ["a", "a", "b", "a"],
            "seed": [1, 2, 2, 1],
            "iou": [0.6, 0.8, 0.7, 0.2],
            "alignment": [0.3, np.nan, 0.5, np.nan],
        }
    )
    card = summarise(rows).set_index(["condition", "metric"])
    assert card.loc[("full", "iou"), "mean"] == pytest.approx(0.7)
    assert card.loc[("full", "iou"), ["videos", "prompts", "seeds"]].tolist() == [3, 2, 2]
    assert card.loc[("full", "alignment"), "videos"] == 2
    assert ("no_mask", "alignment") not in card.index
    assert np.isnan(card.loc[("no_mask", "iou"), "low"])


def test_summary_of_nothing_has_its_columns():
    card = summarise(pd.DataFrame({"condition": [], "iou": []}))
    assert list(card.columns) == ["condition", "metric", "mean", "low", "high", "videos", "prompts", "seeds"]


def test_the_interval_is_the_percentile_bootstrap_of_the_mean():
    """scipy's bootstrap against the few lines it replaced, draw by draw."""
    for count in (2, 3, 8, 24):
        values = np.random.default_rng(count).random(count)
        draws = np.random.default_rng(0).integers(0, count, (2000, count))
        assert bootstrap_interval(values) == pytest.approx(np.quantile(values[draws].mean(axis=1), [0.025, 0.975]))


def test_a_missing_metric_is_left_out_of_the_mean_and_named():
    videos = {"a": {"iou": 0.8, "alignment": 0.3}, "b": {"iou": 0.6}}
    card = average_metrics(videos)
    assert card.means == pytest.approx({"iou": 0.7, "alignment": 0.3})
    assert "iou" not in card.missing
    assert card.missing["alignment"] == ["b"]
    assert card.missing["motion"] == ["a", "b"] and "motion" not in card.means
    assert card.videos == 2 and card.counts == {"iou": 2, "alignment": 1}
    assert average_metrics({}).means == {}
