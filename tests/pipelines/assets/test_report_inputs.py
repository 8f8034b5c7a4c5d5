"""What reports read beside their inputs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mvmodel.packs.info import PackInfo
from mvmodel.packs.sources import PACK_DESCRIPTIONS
from pipelines.assets.report_inputs import describe_cut_prompts, describe_judge, describe_training_footage
from pipelines.store.version_store import Handle, VersionStore

PACK = PackInfo.model_validate({**PACK_DESCRIPTIONS["sd15"], "name": "cartoons"})


def commit(store: VersionStore, asset: str, partition: str | None, **fields: Any) -> Handle:
    recipe = (asset[0] * 64).replace("_", "m")
    work = store.work_folder(recipe)
    work.mkdir(parents=True, exist_ok=True)
    if asset == "foreground_masks":
        table = {"clip": ["dog-1", "dog-2", "ball-1"], "known": [False, True, False]}
        pd.DataFrame(table).to_parquet(work / "quality.parquet")
    else:
        clips = [{"clip": name, "role": "train"} for name in ("dog-1", "dog-2")]
        (work / "clips.json").write_text(json.dumps({"motion": partition, "clips": clips}))
    common = {"inputs": {}, "code": "c", "config": {}, "pack": {}, "libraries": {}}
    version = store.commit(work, asset=asset, partition=partition, recipe=recipe, **{**common, **fields})
    return store.open(asset, partition, version.sha)


@pytest.fixture
def training_set(tmp_path: Path) -> tuple[VersionStore, Handle, Handle]:
    store = VersionStore(tmp_path / "store", tmp_path / "work")
    masks = commit(store, "foreground_masks", None)
    inputs = {"foreground_masks": {"asset": masks.asset, "partition": None, "sha": masks.sha}}
    return store, masks, commit(store, "training_set", "run", inputs=inputs)


def test_a_motions_own_clips_that_the_pack_does_not_know_are_named(training_set):
    store, _, handle = training_set
    (sentence,) = describe_training_footage(store, "run", handle, PACK)
    assert "the pack cartoons cannot draw footage such as dog-1:" in sentence


def test_masks_that_are_gone_leave_the_sentence_out(training_set):
    store, masks, handle = training_set
    shutil.rmtree(masks.folder)
    assert describe_training_footage(store, "run", handle, PACK) == []


def test_a_report_says_that_the_judge_did_not_look_at_all_frames():
    rows = pd.DataFrame({"iou": [0.5, 0.6], "detection_frames": [4, float("nan")]})
    (sentence,) = describe_judge(rows)
    assert "in 4 evenly spaced frames" in sentence
    assert describe_judge(rows[["iou"]]) == []
    assert describe_judge(rows[1:]) == []


def test_a_report_names_the_words_that_the_model_did_not_read(tmp_path):
    (tmp_path / "full").mkdir()
    for name, cut in (("one", "on the moon"), ("two", None), ("three", "on the moon")):
        record = {"prompt": f"a horse {'two' if cut is None else ''}", "prompt_cut": cut}
        (tmp_path / "full" / f"{name}.json").write_text(json.dumps(record))
    (sentence,) = describe_cut_prompts(tmp_path, PACK)
    assert sentence.startswith("the model cartoons does not read the end") and '"on the moon"' in sentence
