"""The driver, end to end on stand-ins: what is computed, what is found, what a kill loses, what a gate stops."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from mvmodel.masks import MaskSequence
from mvmodel.video.frames import read_frames
from pipelines.assets import report_inputs
from pipelines.automation import finished_motions
from pipelines.driver.cli import main
from pipelines.promotion import promotion
from pipelines.store.materializations import load_current

pytestmark = pytest.mark.slow
PER_MOTION = [
    "training_set", "motion_adapter", "adapter_evaluation", "promoted_adapter", "generation_requests", "first_frames",
    "generated_videos", "video_metrics", "metric_report",
]  # fmt: skip


def computed(summary: dict) -> list[str]:
    return [stage["name"] for stage in summary["stages"] if stage["computed"]]


def test_a_run_makes_everything_and_sums_it_up(finished: Path) -> None:
    summary = json.loads((finished / "home" / "summary.json").read_text())
    assert {stage["name"] for stage in summary["stages"]} == {
        "raw_clips", "clips", "foreground_masks", "motion_descriptors", "motion_groups", "mask_library", *PER_MOTION,
        "leaderboard",
    }  # fmt: skip
    assert all(stage["computed"] and stage["seconds"] >= 0 for stage in summary["stages"])
    slide = summary["motions"]["slide"]
    assert list(summary["motions"]) == ["slide"], "two clips of the other motion are too few"
    assert slide["clips"] == 5 and slide["videos"] == 2
    assert slide["iou"] == 1.0 and slide["iou_without_mask"] == 0.0
    assert {"consistency", "alignment", "motion"} <= slide.keys()
    assert summary["quarantined"] == 1
    assert 0 <= summary["dagster_overhead"] <= 1 and summary["total_seconds"] > 0
    report = Path(summary["report"])
    assert "<html" in report.read_text()[:200] and (report.parent / "slide.html").exists()


def test_clips_masks_and_videos_have_the_size_that_was_asked_for(finished: Path) -> None:
    """Wide ones, from the clips to the report, though the pack's own size is a square."""
    store = finished / "home" / "store"
    clips, masks = next((store / "clips").rglob("slide-0.npy")), next((store / "foreground_masks").rglob("slide-0.npz"))
    assert np.load(clips).shape[1:] == (64, 96, 3)
    foreground = MaskSequence.load(masks).masks
    assert foreground.shape[1:] == (64, 96) and foreground.any(axis=(1, 2)).all()
    requested = next((store / "generation_requests").rglob("masks/*.npz"))
    assert MaskSequence.load(requested).masks.shape[1:] == (64, 96)
    videos = list((store / "generated_videos").rglob("full/*.mp4"))
    assert len(videos) == 2 and all(read_frames(video).shape[1:] == (64, 96, 3) for video in videos)


def test_a_new_clip_of_a_waiting_motion_costs_that_clip_and_leaves_the_other_alone(finished_lab, stand_ins) -> None:
    stand_ins.write_clips(finished_lab.clips, {"slide": 5, "hop": 5}, width=96)
    summary = finished_lab.run()
    assert sorted(summary["motions"]) == ["hop", "slide"]
    assert finished_lab.calls().count("extract") == 3, "the masks of the seven clips that were there are kept"
    recomputed = {s["name"] for s in summary["stages"] if s["computed"] and s["partition"] == "slide"}
    assert recomputed <= {"training_set"}, "its clips are the same, so nothing below its training set is made again"


def read_samplers(lab) -> dict[str, list[Any]]:
    """Condition -> scheduler and steps of each of its videos."""
    with lab.instance as instance:
        videos = load_current(instance, lab.store, "generated_videos", "slide").folder
    samplers: dict[str, list[Any]] = {}
    for path in sorted(videos.glob("*/*.json")):
        samplers.setdefault(path.parent.name, []).append(json.loads(path.read_text())["sampled"])
    return samplers


def test_schedulers_are_compared_on_as_many_requests_as_asked_for(finished_lab) -> None:
    samplers, report = read_samplers(finished_lab), (finished_lab.home / "reports" / "slide.html").read_text()
    assert samplers["ddim_50"] == [["ddim", 50]] and samplers["multistep_20"] == [["dpm++", 20]]
    assert "DDIM at 50" in report and "DPM++ at 20" in report
    finished_lab.settings = {"comparison": {"scheduler_requests": 2}}
    finished_lab.run()
    assert read_samplers(finished_lab)["ddim_50"] == [["ddim", 50]] * 2
    with finished_lab.instance as instance:
        figures = load_current(instance, finished_lab.store, "video_metrics", "slide").folder / "metrics.parquet"
    rows = pd.read_parquet(figures)
    rows = rows[(rows["condition"] != "ddim_50") | (rows["name"] == rows["name"].iloc[0])]
    columns = [column.name for column in report_inputs.comparison_table(rows).schema.columns]
    assert "ddim_50 (1 video)" in columns and "multistep_20" in columns


def test_a_corrupt_artefact_is_refused_by_key_and_path_and_only_that_is_made_again(finished_lab) -> None:
    """In a home that lies elsewhere now than when it was filled."""
    with finished_lab.instance as instance:
        handle = load_current(instance, finished_lab.store, "first_frames", "slide")
        file = next(handle.folder.glob("*.png"))
        file.write_bytes(b"gone bad")
        with pytest.raises(dg.Failure, match=r"first_frames\[slide\].*" + file.name):
            load_current(instance, finished_lab.store, "first_frames", "slide")
    summary = finished_lab.run()
    assert summary["status"] == 0 and computed(summary) == ["first_frames"]
    assert {call.split()[0] for call in finished_lab.calls()} == {"first_frame"}


def test_a_gate_that_fails_stops_generation(lab) -> None:
    lab.settings = {"gates": {"min_iou": 1.5}}
    summary = lab.run()
    assert summary["status"] == 1
    assert not {"promoted_adapter", "generated_videos", "metric_report"} & {s["name"] for s in summary["stages"]}
    assert summary["motions"]["slide"]["videos"] == 0
    assert any("iou_gate" in failure and "1.500" in failure for failure in summary["failures"])
    assert "iou_gate" in summary["motions"]["slide"]["not_promoted"][0]


def test_a_worse_adapter_does_not_replace_the_one_in_use(finished_lab, monkeypatch: pytest.MonkeyPatch) -> None:
    with finished_lab.instance as instance:
        before = promotion.find_promoted(instance, finished_lab.store, "slide")
    monkeypatch.setenv("STAND_IN_WORSE", "0.2")
    finished_lab.settings = {"training": {"seed": 5}}
    summary = finished_lab.run()
    with finished_lab.instance as instance:
        assert promotion.find_promoted(instance, finished_lab.store, "slide") == before
    assert summary["status"] == 1
    assert any("no_regression_gate" in failure for failure in summary["failures"])
    assert summary["motions"]["slide"]["videos"] == 2, "generation goes on with the adapter in use"


def test_other_settings_make_what_they_change_and_no_more(finished_lab) -> None:
    finished_lab.settings = {"training": {"seed": 5}}
    summary = finished_lab.run()
    # The stand-in's videos do not depend on the adapter: the same content again, so their figures are found.
    below = set(PER_MOTION) - {"training_set", "generation_requests", "first_frames", "video_metrics"}
    assert set(computed(summary)) == below | {"leaderboard"}
    finished_lab.settings = {}
    # The leaderboard shows the history, which has grown; everything else is found.
    assert computed(finished_lab.run()) == ["leaderboard"], "going back to the old settings finds the old versions"
    assert computed(finished_lab.run()) == []


def test_a_run_that_computes_nothing_leaves_no_record_and_the_same_summary(finished_lab, monkeypatch) -> None:
    monkeypatch.setattr(finished_motions, "ANSWER_SECONDS", 600.0)  # whatever else this machine does
    first = finished_lab.run()  # records where the home lies now
    with finished_lab.instance as instance:
        runs = len(instance.get_runs())
    (finished_lab.home / "reports" / "slide.html").unlink()
    second = finished_lab.run()
    with finished_lab.instance as instance:
        assert len(instance.get_runs()) == runs
        finished = finished_motions.find_finished_motions(instance, ["slide"])
        assert finished == {"slide": True}, "the weekly retraining passes it by, too"
    names = ("motions", "quarantined", "report", "failures", "notes", "pack")
    assert [first[name] for name in names] == [second[name] for name in names]
    stages = [{(s["name"], s["partition"], s["version"]) for s in summary["stages"]} for summary in (first, second)]
    assert stages[0] == stages[1] and computed(second) == []
    assert (finished_lab.home / "reports" / "slide.html").exists()
    finished_lab.settings = {"gates": {"min_iou": 0.1}}
    finished_lab.run()
    with finished_lab.instance as instance:
        assert len(instance.get_runs()) == runs + 1, "only the motion's checks have another threshold"


def test_rollback_stays_until_another_adapter_is_trained(finished_lab) -> None:
    with finished_lab.instance as instance:
        first = promotion.find_promoted(instance, finished_lab.store, "slide")
    finished_lab.settings = {"training": {"seed": 5}}
    finished_lab.run()
    with finished_lab.instance as instance:
        assert promotion.find_promoted(instance, finished_lab.store, "slide").sha != first.sha
    assert main(["rollback", "slide", "--home", str(finished_lab.home)]) == 0
    with finished_lab.instance as instance:
        assert promotion.find_promoted(instance, finished_lab.store, "slide").sha == first.sha
    summary = finished_lab.run()
    # The leaderboard shows the history, which has grown.
    assert computed(summary) == ["leaderboard"], "the older adapter's videos and report are found"
    with finished_lab.instance as instance:
        assert promotion.find_promoted(instance, finished_lab.store, "slide").sha == first.sha, (
            "the rerun did not undo the rollback"
        )
    finished_lab.settings = {"training": {"seed": 6}}
    finished_lab.run()
    with finished_lab.instance as instance:
        assert promotion.find_promoted(instance, finished_lab.store, "slide").sha != first.sha


def test_garbage_is_what_nothing_needs(finished_lab, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in (5, 6):
        finished_lab.settings = {"training": {"seed": seed}}
        finished_lab.run()
    assert main(["gc", "--keep", "1", "--days", "0", "--delete", "--home", str(finished_lab.home)]) == 0
    output = capsys.readouterr().out
    assert "motion_adapter" in output and "removed" in output
    remaining = finished_lab.store.versions("motion_adapter", "slide")
    # Seed 0 made the videos first; the stand-in's are the same for every adapter, so the kept ones still name it.
    assert {version.config["tuned/adapter"]["seed"] for version in remaining} == {0, 6}
    assert computed(finished_lab.run()) == [], "what is in use was kept"


def test_lineage_goes_from_a_video_to_the_raw_clips(finished_lab, capsys: pytest.CaptureFixture[str]) -> None:
    video = next((finished_lab.home / "store" / "generated_videos").rglob("full/*.mp4"))
    copy = finished_lab.home.parent / "sent-to-a-friend.mp4"
    shutil.copyfile(video, copy)
    for path in (video, copy):
        capsys.readouterr()
        assert main(["lineage", str(path), "--json", "--home", str(finished_lab.home)]) == 0
        tree = json.loads(capsys.readouterr().out)
        adapter = tree["inputs"]["promoted_adapter"]["inputs"]["motion_adapter"]
        trained_on = adapter["inputs"]["training_set"]
        assert adapter["config"]["tuned/adapter"]["seed"] == 0 and adapter["code"] and adapter["pack"]["hash"]
        assert len(trained_on["clips"]) == 5
        assert trained_on["inputs"]["clips"]["inputs"]["raw_clips"]["source"]["folder"].endswith("clips")
    assert main(["lineage", str(finished_lab.home / "settings.json"), "--home", str(finished_lab.home)]) == 2


def test_killed_anywhere_a_later_run_goes_on_without_repeating(lab) -> None:
    """Killed four times in one home, each time further on; the fifth run finishes."""
    kills = ("extract", "step 4 tuned", "generate full/slide-02", "score no_mask/slide-01")
    runs: list[list[str]] = []  # what each run called
    for line in kills:
        earlier_calls = len(lab.calls())
        status, _ = lab.kill_at(line)
        assert status == -signal.SIGKILL
        runs.append(lab.calls()[earlier_calls:])
    earlier_calls = len(lab.calls())
    summary = lab.run()
    runs.append(lab.calls()[earlier_calls:])
    assert summary["status"] == 0, summary["failures"]
    _, _, after_step, after_generate, after_score = runs
    assert next(call for call in after_step if call.startswith("step")) == "step 4 tuned", (
        "training goes on where it was"
    )
    assert "extract" not in after_step, "stages that were finished are not repeated"
    for calls in (after_generate, after_score):
        assert "generate full/slide-01" not in calls and not [call for call in calls if call.startswith("step")]
    assert "score full/slide-01" not in after_score
    assert not [call for call in after_score if call.startswith("generate")]
    with lab.instance as instance:
        states = [run.status.value for run in instance.get_runs()]
    assert "STARTED" not in states and states.count("FAILURE") == len(kills)


def test_asked_to_stop_it_stops_cleanly(lab) -> None:
    lab.settings = {"comparison": {"scheduler_requests": 0}}
    for stop, line in ((signal.SIGTERM, "generate full/slide-02"), (signal.SIGINT, "score full/slide-01")):
        status, output = lab.kill_at(line, stop)
        assert status == 128 + stop and "to resume" in output and "Traceback" not in output
        with lab.instance as instance:
            states = {run.status.value for run in instance.get_runs()}
            assert not states & {"STARTED", "CANCELING", "STARTING"}
            info = instance.event_log_storage.get_concurrency_info("gpu")
            assert info.active_slot_count == 0
    assert lab.run()["status"] == 0
    assert "ddim_50" not in read_samplers(lab)
    assert "DDIM at 50" not in (lab.home / "reports" / "slide.html").read_text()


def test_two_drivers_do_not_share_a_home(lab, capsys: pytest.CaptureFixture[str]) -> None:
    from pipelines.driver.home import home_lock

    with home_lock(lab.home):
        assert main(lab.arguments()) == 2
    assert "another run is at work" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (lambda lab: shutil.rmtree(lab.clips), "there is no folder of clips"),
        (lambda lab: lab.settings.update(training={"stepz": 1}), "stepz"),
        (lambda lab: lab.settings.update(trainig={}), "no section 'trainig'"),
    ],
)
def test_a_users_mistake_is_said_in_a_sentence(lab, capsys, harm: Callable, sentence: str) -> None:
    harm(lab)
    assert main(lab.arguments()) in (1, 2)
    out = "".join(capsys.readouterr())
    assert sentence in out and "Traceback" not in out
