"""The benchmark of masks: sized by its settings, resumed clip by clip, summarize up right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks import masks as bench
from benchmarks.masks import MasksConfig, measure_masks, measure_render, summarize
from benchmarks.sequence_variants import VARIANTS, make_variant


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """What is measured, in order; nothing really is."""
    calls_made: list[str] = []

    def clip(kind: str, number: int, frames: int) -> dict[str, float]:
        if number == 5:
            raise KeyboardInterrupt
        calls_made.append(f"{kind} {number}")
        return {"j": 1.0 - number / 10, "f": 0.5, "objects": 1.0, "prompt_inside": 1.0}

    monkeypatch.setattr(bench, "measure_render", clip)
    monkeypatch.setattr(
        bench, "measure_throughput", lambda *given: calls_made.append("throughput") or {"times_encoder": 2.0}
    )
    monkeypatch.setattr("benchmarks.sentences.measure_sentences", lambda: {"sentences": 1.0})
    monkeypatch.setattr(bench, "REAL_SEQUENCES", tmp_path / "none")
    return calls_made


def test_a_stopped_run_goes_on_and_a_larger_one_measures_what_is_new(
    calls: list[str], tmp_path: Path, tiny_pack: Any
) -> None:
    file = tmp_path / "kept.jsonl"
    with pytest.raises(KeyboardInterrupt):
        measure_masks(MasksConfig(clips=6), file)
    assert calls == [f"one {n}" for n in range(5)]
    calls.clear()
    out = measure_masks(MasksConfig(clips=3, throughput={"tiny": 4}), file)
    assert calls == [f"{kind} {n}" for kind in ("panned", "two") for n in range(3)] + ["throughput"]
    assert out["one"]["clips"] == 3 and out["one"]["j"] == pytest.approx(0.9) and out["one"]["j_worst"] == 0.8
    calls.clear()
    assert measure_masks(MasksConfig(clips=3, throughput={"tiny": 4}), file) == out and not calls
    measure_masks(MasksConfig(clips=1, frames=5, throughput={}), file)
    assert calls == ["one 0", "panned 0", "two 0"], "clips of another length are others"


def test_figures_are_summed_over_clips() -> None:
    rows = [
        {"j": 0.9, "f": 0.8, "objects": 2.0, "prompt_inside": 1.0, "each": 0.7},
        {"j": 0.5, "f": 0.6, "objects": 1.0, "prompt_inside": 0.0, "each": 0.3},
    ]
    expected = {"clips": 2, "j": 0.7, "f": 0.7, "j_worst": 0.5, "j_above_0.8": 0.5, "prompt_inside": 0.5}
    assert summarize(rows, 2) == pytest.approx({**expected, "objects_right": 0.5, "j_per_object": 0.5})


def test_variants_of_real_sequences_are_made_and_measured(tmp_path: Path, tiny_pack: Any) -> None:
    folder = tmp_path / "sequences" / "disc"
    frames, truth = np.full((6, 64, 96, 3), 90, np.uint8), np.zeros((6, 64, 96), bool)
    for number in range(6):
        truth[number, 20:44, 10 + 8 * number : 34 + 8 * number] = True
    frames[truth] = (200, 60, 40)
    for kind, pictures in (("frames", frames), ("masks", truth.astype(np.uint8) * 255)):
        (folder / kind).mkdir(parents=True)
        for number, picture in enumerate(pictures):
            Image.fromarray(picture).save(folder / kind / f"{number:02}.png")
    config = MasksConfig(sequences=folder.parent, segmenters=("oracle",), variants=True, renders=False)
    out = measure_masks(config, tmp_path / "kept.jsonl")
    assert set(out["variants"]["disc"]) == set(VARIANTS) == set(out["variants_summary"])
    assert all(row["oracle"] > 0.9 for row in out["variants_summary"].values())
    made = {name: make_variant(name, frames, truth) for name in VARIANTS}
    assert made["half size"][0].shape == (6, 32, 48, 3) and made["square"][0].shape == (6, 64, 64, 3)
    assert len(made["late start"][0]) == 4 and made["dark"][0].max() == 70
    assert (made["reversed"][1][0] == truth[-1]).all() and (made["mirrored"][1][..., ::-1] == truth).all()


@pytest.mark.slow
def test_a_render_is_really_measured(tiny_pack: Any) -> None:
    figures = measure_render("two", 1, 4)
    assert set(figures) == {"j", "f", "objects", "prompt_inside", "each"}
    assert 0 < figures["j"] < 1
