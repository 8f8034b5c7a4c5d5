"""Experiments as assets: on a finished home, with the making and judging of a video stood in for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pytest

from pipelines.definitions import build_defs

pytestmark = pytest.mark.slow


@pytest.fixture
def quick_bench(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """`Bench` without models: a video shows the masks it was given, and is judged by what it shows."""
    from mvmodel.experiments.bench import Bench, CellResult
    from mvmodel.masks import MaskSequence
    from mvmodel.metrics.adherence import iou

    calls: list[str] = []

    def measure(self: Bench, cell: Any) -> CellResult:
        folder = self.cache.path_of("stand_in", cell.recipe())
        if not folder.exists():
            calls.append(str(dict(cell.factors)))
            folder.mkdir(parents=True)
            frames = np.where(cell.masks[..., None], np.uint8(230), np.uint8(40)).repeat(3, axis=-1)
            np.savez_compressed(folder / "video.npz", frames=frames)
            MaskSequence(cell.masks).save(folder / "detections.npz")
        per_frame = {"iou": iou(cell.masks, cell.task.masks), "iou_given": iou(cell.masks, cell.masks)}
        metrics = {name: float(values.mean()) for name, values in per_frame.items()} | {"motion": 1.0}
        embeddings = np.ones((len(cell.masks), 1), np.float32)
        return CellResult(cell, metrics, per_frame, embeddings, folder / "video.npz", folder / "detections.npz")

    def tune(self: Bench, name: str, clips: Any, config: Any) -> str:
        calls.append(f"tuned {name} on {len(clips)}")
        return name

    monkeypatch.setattr(Bench, "measure", measure)
    monkeypatch.setattr(Bench, "tune", tune)
    return calls


def materialise(
    lab: Any, name: str, experiments: dict[str, Any], partition: str | None = None, also: str = ""
) -> dict[str, Any]:
    """Run one experiment's asset against the lab's home; the metadata of its latest materialisation.

    also: another asset of the same run.
    """
    sections = {**json.loads((lab.home / "settings.json").read_text()), "experiments": experiments}
    job = build_defs(home=lab.home, sections=sections).resolve_implicit_global_asset_job_def()
    with lab.instance as instance:
        result = job.execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey(asset) for asset in (name, also) if asset],
            partition_key=partition,
            raise_on_error=True,
        )
        return dict(result.asset_materializations_for_node(name)[0].metadata)


def test_an_experiment_shows_its_conclusion_figures_and_pictures(finished_lab, quick_bench) -> None:
    sizes = {"mask_robustness": {"requests": 2, "distances": [0.03], "shifts": [0.1], "dropped": [0.4]}}
    metadata = materialise(finished_lab, "mask_robustness", sizes, "slide")
    assert metadata["videos"].value == 16
    assert metadata["computed"].value is True
    assert "change the IoU with the true masks by" in metadata["conclusion"].value
    assert metadata["0.4/iou"].value < 1 and metadata["0.0/iou"].value == 1
    assert "data:image/jpeg" in metadata["plot"].value and "data:image/jpeg" in metadata["sheet"].value
    assert max(len(metadata[name].value) for name in ("plot", "sheet")) < 150_000
    columns = [column.name for column in metadata["summary"].schema.columns]
    assert columns[:3] == ["damage", "level", "metric"]
    assert Path(metadata["report"].value).read_text().startswith("<!doctype html>")
    before = len(quick_bench)
    repeated = materialise(finished_lab, "mask_robustness", sizes, "slide")
    assert repeated["computed"].value is False and repeated["sha256"].value == metadata["sha256"].value
    changed = materialise(
        finished_lab, "mask_robustness", {"mask_robustness": {**sizes["mask_robustness"], "shifts": [0.2]}}, "slide"
    )
    assert changed["computed"].value is True
    assert len(quick_bench) - before == 2, "only the new level's two videos are made"


def test_sizes_come_from_the_settings_and_what_cannot_be_is_said(finished_lab, quick_bench) -> None:
    quick = materialise(finished_lab, "first_frame_sensitivity", {"quick": True}, "slide")
    assert quick["videos"].value <= 7
    with pytest.raises(dg.Failure, match="experiments: no setting 'mask_robustness.level'"):
        materialise(finished_lab, "mask_robustness", {"mask_robustness": {"level": 3}}, "slide")
    with pytest.raises(dg.Failure, match="needs clips of two motions or more"):
        materialise(finished_lab, "zero_shot_motion", {"quick": True})


def test_an_ablation_comes_into_the_motions_report_and_the_leaderboard(finished_lab, quick_bench) -> None:
    before = materialise(finished_lab, "metric_report", {}, "slide")
    assert before["computed"].value is False and before["ablation"].value.startswith("not run on this adapter")
    assert "To measure the missing values, run" in Path(before["report"].value).read_text()
    beside_other_assets = materialise(finished_lab, "metric_report", {}, "slide", also="ablation_study")
    assert beside_other_assets["ablation"].value.startswith("not run") and not quick_bench, "nobody asked for it alone"
    materialise(finished_lab, "ablation_study", {"ablation_study": {"requests": 2, "seeds": 2}}, "slide")
    after = materialise(finished_lab, "metric_report", {}, "slide")
    assert after["computed"].value is True and after["ablation"].value == "ablation_study[slide]"
    assert "ablation_study" in after["inputs"].value
    board = materialise(finished_lab, "leaderboard", {})
    for metadata in (after, board):
        page = Path(metadata["report"].value).read_text()
        assert "in ablation_study: an adapter tuned without it" in page and "To measure the missing values" not in page
        assert "4 videos" in page and "2 prompts" in page
    assert materialise(finished_lab, "metric_report", {}, "slide")["computed"].value is False


def test_the_leaderboards_foot_says_what_it_was_made_from(finished_lab) -> None:
    page = (finished_lab.home / "reports" / "index.html").read_text()
    foot = page[page.index("<footer>") :]
    adapter = next(finished_lab.store.versions("motion_adapter", "slide"))
    expected = ["<dt>scorer weights</dt>", "<dt>scorer preprocess</dt>", "<summary>Pack</summary>", adapter.sha[:16]]
    assert all(words in foot for words in expected)
    made_of = [value["sha"][:16] for value in adapter.inputs.values()]
    assert all(sha in foot for sha in made_of), "the training set that the adapter was tuned on"
    assert "seeds" in foot and "torch" in foot and adapter.code in foot
    assert "guidance scale" in foot and "clips per step" in foot
