"""Experiments end to end on a random pack, at the smallest size: files, resuming, sharing, repeatability."""

from __future__ import annotations

import json
import re
from html import unescape

import numpy as np
import pandas as pd
import pytest

from mvmodel.errors import InputError
from mvmodel.experiments.bench import Bench
from mvmodel.experiments.catalogue import EXPERIMENTS
from mvmodel.experiments.cell_video import sample_first_frame
from mvmodel.experiments.run import run_experiment

pytestmark = pytest.mark.slow
PER_MOTION = [name for name, experiment in EXPERIMENTS.items() if experiment.per_motion]


@pytest.mark.parametrize("name", PER_MOTION)
def test_every_experiment_writes_what_it_promises(name, make_bench, tmp_path):
    bench, experiment = make_bench("slide"), EXPERIMENTS[name]
    folder = run_experiment(name, bench, tmp_path / name, experiment.config.quick())
    rows = pd.read_parquet(folder / "videos.parquet")
    assert {*experiment.factors, "slug", "name", "prompt", "seed", "iou", "scorer", "scorer_weights"} <= set(rows)
    assert len(pd.read_csv(folder / "videos.csv")) == len(rows)
    frames = pd.read_parquet(folder / "frames.parquet")
    assert len(frames) == (26 if name == "long_video_drift" else 4 * len(rows))
    assert frames.groupby("frame")["iou"].size().max() == len(rows)
    assert frames["iou"].between(0, 1).all() and frames.loc[frames["frame"] == 1, "colour_drift"].eq(0).all()
    counts = pd.read_csv(folder / "summary.csv")
    assert {"mean", "low", "high", "videos", "prompts"} <= set(counts)
    assert list((folder / "plots").glob("*.png")) and list((folder / "plots").glob("*.svg"))
    said = (folder / "conclusion.md").read_text()
    assert (
        experiment.title in said and f"{len(rows)} videos in" in said and "shows that it runs and nothing else" in said
    )
    provenance = json.loads((folder / "config.json").read_text())
    assert provenance["random_pack"] is True and provenance["config"]["requests"] == 1
    page = unescape((folder / "report.html").read_text())
    assert "Random weights." in page and experiment.question in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)


def test_a_killed_run_goes_on_cell_by_cell_and_ends_the_same(make_bench, tmp_path, monkeypatch):
    name = "mask_robustness"
    config = EXPERIMENTS[name].config.quick()
    made: list[str] = []
    real = Bench._generate

    def counting(self, cell, folder, recipe):
        made.append(recipe)
        if len(made) == 4:
            raise KeyboardInterrupt
        real(self, cell, folder, recipe)

    monkeypatch.setattr(Bench, "_generate", counting)
    with pytest.raises(KeyboardInterrupt):
        run_experiment(name, make_bench("slide"), tmp_path / "a", config)
    run_experiment(name, make_bench("slide"), tmp_path / "a", config)
    assert made[3] == made[4]  # the one that was killed
    assert len(set(made)) == len(made) - 1  # and no other was made twice
    before = len(made)
    run_experiment(name, make_bench("slide"), tmp_path / "b", config)
    assert len(made) == before
    for file in ("videos.csv", "frames.csv", "summary.csv", "conclusion.md", "report.html"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes(), file


def test_experiments_share_the_video_that_they_have_in_common(make_bench, tmp_path):
    said: list[str] = []
    for name in ("mask_robustness", "mask_generalization"):
        bench = make_bench("slide")
        bench.log = said.append
        run_experiment(name, bench, tmp_path / name, EXPERIMENTS[name].config.quick())
    assert sum("level 0.0:" in text or "as asked" in text for text in said) == 1


def test_zero_shot_holds_each_motion_out_in_turn(make_bench, tmp_path):
    bench = make_bench("slide", "drop")
    folder = run_experiment("zero_shot_motion", bench, tmp_path / "out", EXPERIMENTS["zero_shot_motion"].config.quick())
    rows = pd.read_parquet(folder / "videos.parquet")
    assert rows.groupby("slug")["tuned_on"].apply(sorted).to_dict() == {
        slug: ["many", "nothing", "other", "own"] for slug in ("slide", "drop")
    }
    clips = {
        name: [c["name"] for c in json.loads((path / "train.json").read_text())["clips"]]
        for name, path in bench.adapters.items()
        if (path / "train.json").exists()
    }
    assert clips["all but slide"] == ["drop-clip"] and clips["slide alone"] == ["slide-clip"]
    with pytest.raises(InputError, match="two motions or more"):
        run_experiment("zero_shot_motion", make_bench("slide"), tmp_path / "one")


def test_settings_do_what_they_say(make_bench):
    bench = make_bench("slide")
    cells = {
        str(cell.factors["condition"]): cell
        for cell in EXPERIMENTS["ablation_study"].cells(bench, EXPERIMENTS["ablation_study"].config.quick())
    }
    training_config = json.loads((bench.adapters[cells["tuned_without_mask"].adapter] / "train.json").read_text())[
        "config"
    ]
    assert training_config["mask_dropout"] > 0.999
    assert cells["tuned_without_mask"].mask_term is False and cells["no_mask"].adapter == cells["full"].adapter
    static_masks = cells["static_mask"].masks
    assert (static_masks == static_masks[0]).all() and (cells["static_mask"].task.masks != static_masks).any()
    shuffled = cells["shuffled_mask"].masks
    assert sorted(m.tobytes() for m in shuffled) == sorted(m.tobytes() for m in cells["full"].masks)
    assert (shuffled[0] == cells["full"].masks[0]).all()
    assert cells["no_shared_noise"].generation.alpha == 0 and not cells["no_control"].first.control


def test_first_frames_are_damaged_as_asked(make_bench, monkeypatch):
    from mvmodel.backends.image_unet import backend

    shown: dict[str, tuple] = {}
    real = backend.generate_first_latents

    def recording(pack, prompts, masks, seeds, config, *rest, **options):
        shown[name] = (prompts[0], masks[0], config.control_scale)
        return real(pack, prompts, masks, seeds, config, *rest, **options)

    monkeypatch.setattr(backend, "generate_first_latents", recording)
    bench, study = make_bench("slide"), EXPERIMENTS["first_frame_sensitivity"]
    pictures = {}
    for cell in study.cells(bench, study.config.quick()):
        name = str(cell.factors["first_frame"])
        pictures[name] = sample_first_frame(bench.backend, bench.pack, cell).astype(float)
    prompt, mask, scale = shown["clean"]
    assert scale == 1 and prompt == "a horse gallops" and mask.sum() == 256
    assert (shown["mask 1 shifted"][1] == np.roll(mask, 10, axis=1)).all()
    assert 0 < shown["mask 1 eroded"][1].sum() < mask.sum()
    assert (shown["mask 1 eroded"][1] <= mask).all()
    assert shown["no ControlNet"][2] == 0
    assert np.abs(pictures["latent noise 0.5"] - pictures["clean"]).mean() > 0.1
