"""`mvmodel-pipeline run`, the driver behind `make demo`: all phases in this process, as ordinary Dagster runs.

A run cannot use a partition that it adds, so there are phases: ingestion up to the motion groups, then one per motion,
then the leaderboard. Stored results are reused, so running the driver again resumes an interrupted run.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import psutil

from mvmodel.files import write_json
from mvmodel.metrics.config import JudgeConfig, describe_detection_frames
from mvmodel.outputs import Output, guarded_outputs
from mvmodel.packs.info import find_pack_folder, get_default_pack_name, read_run_info
from mvmodel.picture_size import parse_size_option
from pipelines import jobs, settings
from pipelines.assets.masks import UNKNOWN_FOOTAGE
from pipelines.assets.motion import read_motion_groups, read_motion_labels
from pipelines.definitions import build_defs, build_resources
from pipelines.driver.home import dagster_instance, home_lock
from pipelines.driver.phase import PhaseResult, run_phase
from pipelines.driver.progress import print_progress, step_timings
from pipelines.driver.repair import repair
from pipelines.driver.up_to_date import find_finished_phase
from pipelines.promotion.promotion import find_promoted
from pipelines.request_rows import describe_unused_rows, find_request_table, read_all_requests
from pipelines.resources import PackResource, Settings
from pipelines.store.force import FORCE_TAG
from pipelines.store.verified_files import verify_once
from pipelines.store.version_store import VersionStore

QUICK_SETTINGS = {
    "training": {"steps": 4},
    "generation": {"steps": 2, "first_frame_steps": 2},
    "evaluation": {"count": 1},
    "judge": {"detection_frames": 4},
    "gates": {"min_iou": 0.0, "min_alignment": -1.0, "min_mask_gain": -2.0, "max_regression": 2.0},
    "comparison": {"scratch": False},
}
"""The settings of `--quick`: every stage runs, but too briefly for meaningful results."""
HOME_MARKERS = ("run.lock", "settings.json", "dagster/dagster.yaml")
"""Files that show that a folder is a home."""
AFTER_PROMOTION = dg.AssetSelection.groups("generation", "reports") - dg.AssetSelection.assets("leaderboard")


def run_pipeline(
    clips: Path | None,
    home: Path,
    config: Path | None = None,
    quick: bool = False,
    pack: str = "",
    overwrite: bool = False,
    size: str = "",
    segmenter: str = "",
    retrain: bool = False,
) -> int:
    """Run all phases and write <home>/summary.json. Returns the exit status: 0, or 1 if a stage failed.

    retrain: train adapters although stored ones have the same recipe.

    Raises InputError if the pack cannot process the size, if the home and the clips' folder contain each other, or if
    the home is a folder that has other things in it, unless `overwrite` allows that.
    """
    started = psutil.Process().create_time()
    home = home.expanduser().resolve()
    sections = settings.merge_settings(
        dict(QUICK_SETTINGS) if quick else {}, settings.read_settings_file(config) if config else {}
    )
    folder = clips or sections.get("clips") or os.environ.get("MVMODEL_CLIPS") or settings.default_clips_folder()
    sections["clips"] = str(Path(folder).expanduser().resolve())
    if pack or os.environ.get("MVMODEL_PACK"):
        sections["pack"] = pack or os.environ["MVMODEL_PACK"]
    if size:
        sections["size"] = size
    if sections.get("size"):
        pack_folder = find_pack_folder(sections.get("pack") or get_default_pack_name())
        read_run_info(pack_folder, parse_size_option(str(sections["size"]), "size"))
    if segmenter:
        sections = settings.merge_settings(sections, {"masks": {"segmenter": segmenter}})
    output = Output(home, "--home", folder=True, markers=HOME_MARKERS, created=True)
    with (
        guarded_outputs([output], [Path(sections["clips"]), config], overwrite),
        home_lock(home),
        dagster_instance(home) as instance,
        verify_once(),
    ):
        settings.write_settings(home, sections)
        for sentence in repair(instance):
            print_progress(sentence)
        return Driver(home, sections, instance, started, {FORCE_TAG: "true"} if retrain else {}).run_phases()


class Driver:
    """One pass through the phases. All state is in the home's files and its Dagster instance."""

    def __init__(
        self,
        home: Path,
        sections: dict[str, Any],
        instance: dg.DagsterInstance,
        started: float,
        tags: dict[str, str] | None = None,
    ) -> None:
        """tags: of every Dagster run."""
        self.home, self.instance, self.started, self.tags = home, instance, started, tags or {}
        self.defs = build_defs(home=home, sections=sections)
        self.resources = build_resources(home, sections)
        self.store: VersionStore = self.resources["store"].store
        self.settings: Settings = self.resources["settings"]
        self.pack: PackResource = self.resources["pack"]
        find_request_table(self.settings)  # raises if the settings name one that is not there
        self.stages: list[dict[str, Any]] = []
        self.failures: list[str] = []

    def run_phases(self) -> int:
        """Ingest, process every motion, rebuild the leaderboard, write the summary; returns the exit status."""
        if slow := self.pack.describe_slow_stages(self.settings):
            print_progress(f"note: {slow}")
        print_progress("ingestion to groups", job=jobs.INGEST_JOB)
        ingested = self._run_phase(jobs.INGEST_JOB)
        notes: list[str] = []
        _add_note(notes, str(ingested.metadata.get("foreground_masks", {}).get(UNKNOWN_FOOTAGE) or ""))
        looked_at = self.settings.read("judge", JudgeConfig).detection_frames
        _add_note(notes, "" if looked_at is None else describe_detection_frames(looked_at))
        motions: dict[str, dict[str, Any]] = {}
        report = ""
        if not ingested.failures:
            groups = read_motion_groups(Path(str(ingested.metadata["motion_groups"]["path"])))
            labels = read_motion_labels(Path(str(ingested.metadata["motion_groups"]["path"])))
            _add_note(notes, describe_unused_rows(self.settings, read_all_requests(self.settings), groups["motions"]))
            for slug, members in sorted(groups["motions"].items()):
                motions[slug] = self._run_motion(slug, len(members), labels.get(slug, ""))
            if not motions:
                self.failures.append("no motion has enough clips; motion_groups says which groups need more clips")
            print_progress("leaderboard", job=jobs.leaderboard_job.name)
            if not self._run_phase(jobs.leaderboard_job.name).failures:
                report = str(self.home / "reports" / "index.html")
        self._write_summary(motions, int(ingested.metadata.get("clips", {}).get("quarantined", 0)), report, notes)
        return 1 if self.failures else 0

    def _run_motion(self, slug: str, clips: int, label: str) -> dict[str, Any]:
        """Train, check, generate and report one motion. If a gate fails, use the promoted adapter, if there is one."""
        title = f"motion {slug} ({label})" if label else f"motion {slug}"
        print_progress(title, job=jobs.motion_job.name, partition=slug)
        result = self._run_phase(jobs.motion_job.name, slug)
        failed_gates = result.failed_gates
        if failed_gates and find_promoted(self.instance, self.store, slug) is not None:
            sentence = f"  {slug}: the new adapter is not promoted; using the one promoted before"
            print_progress(sentence, level="warning", partition=slug)
            graph = self.defs.resolve_asset_graph()
            result = self._run_phase(jobs.motion_job.name, slug, sorted(AFTER_PROMOTION.resolve(graph)))
        metrics = result.metadata.get("metric_report", {})
        summary: dict[str, Any] = {
            "clips": clips,
            "videos": int(result.metadata.get("generated_videos", {}).get("videos", 0)),
            "iou": metrics.get("iou"),
            "iou_without_mask": metrics.get("no_mask/iou"),
            "iou_from_scratch": metrics.get("scratch/iou"),
            **{name: metrics.get(name) for name in ("consistency", "alignment", "motion")},
        }
        return {**summary, "not_promoted": failed_gates} if failed_gates else summary

    def _run_phase(
        self, job: str, partition: str | None = None, assets: Sequence[dg.AssetKey] | None = None
    ) -> PhaseResult:
        result = None
        if FORCE_TAG not in self.tags:
            result = find_finished_phase(self.defs, self.instance, self.resources, job, partition, assets)
        if result is not None:
            print_progress("  up to date", job=job, partition=partition)
        else:
            result = run_phase(self.defs, self.instance, job, partition, assets, self.tags)
        self.failures += result.failures
        self.stages += result.stages
        return result

    def _write_summary(
        self, motions: dict[str, dict[str, Any]], quarantined: int, report: str, notes: Sequence[str]
    ) -> None:
        total = time.time() - self.started
        write_json(
            self.home / "summary.json",
            {
                "stages": self.stages,
                "motions": motions,
                "quarantined": quarantined,
                "report": report,
                "total_seconds": round(total, 2),
                "dagster_overhead": round(max(0.0, 1 - step_timings.total / total), 4),
                "failures": self.failures,
                "notes": list(notes),
                "pack": self._pack_name(),
            },
        )

    def _pack_name(self) -> str:
        """The name of the pack that segmented the clips most recently."""
        versions = sorted(self.store.versions("foreground_masks"), key=lambda version: version.created)
        return versions[-1].pack.get("name", "") if versions else ""


def _add_note(notes: list[str], note: str) -> None:
    """Print a sentence for the user, and keep it for the summary; "" is none."""
    if note:
        print_progress(f"note: {note}")
        notes.append(note)
