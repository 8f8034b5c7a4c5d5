"""The driver behind `make demo`: every phase in this process, as ordinary Dagster runs against the home's instance.

A partition that is added in mid-run cannot be used in that run, so there are phases: ingestion to groups, then each
motion, then the leaderboard. What is stored is found, not computed; so a run that was killed is just run again.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
from dagster._core.execution.plan.objects import ErrorSource

from mvmodel.errors import InputError
from mvmodel.files import write_json
from pipelines import jobs, settings
from pipelines.assets.motion import read_motion_groups
from pipelines.definitions import build_defs, build_resources
from pipelines.driver.progress import print_progress, step_timings
from pipelines.driver.repair import HOST_TAG, PID_TAG, free_slots, repair
from pipelines.promotion.promotion import find_promoted
from pipelines.store.version_store import VersionStore

QUICK_SETTINGS = {
    "training": {"steps": 4},
    "generation": {"steps": 2, "first_frame_steps": 2},
    "evaluation": {"count": 1},
    "gates": {"min_iou": 0.0, "min_alignment": -1.0, "max_regression": 2.0},
    "comparison": {"scratch": False},
}
"""What `--quick` sets: every stage, too short to show anything. For trying out clips and machines."""
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
AFTER_PROMOTION = dg.AssetSelection.groups("generation", "reports") - dg.AssetSelection.assets("leaderboard")


class RunInterrupted(Exception):
    """The user, or the machine, asked the driver to stop."""


@dataclass
class PhaseResult:
    """One phase: what it made and, if it failed, why in plain words."""

    stages: list[dict[str, Any]] = field(default_factory=list)
    metadata: dict[str, dict[str, Any]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    gates: list[str] = field(default_factory=list)


@contextmanager
def dagster_instance(home: Path) -> Iterator[dg.DagsterInstance]:
    """The home's instance, made on first use. Its dagster.yaml is the repository's; edit the home's copy freely."""
    folder = home / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "dagster.yaml").exists():
        shutil.copyfile(settings.REPOSITORY / "dagster.yaml", folder / "dagster.yaml")
    os.environ["DAGSTER_HOME"] = str(folder)
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"
    with dg.DagsterInstance.get() as instance:
        yield instance


@contextmanager
def home_lock(home: Path) -> Iterator[None]:
    """Hold the home's lock, so that two drivers do not work at the same things; freed by the kernel after a kill."""
    home.mkdir(parents=True, exist_ok=True)
    with open(home / "run.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"another run is at work in {home}; wait for it, or give another --home") from error
        yield


def run_pipeline(
    clips: Path | None, home: Path, config: Path | None = None, quick: bool = False, pack: str = ""
) -> int:
    """All phases; writes <home>/summary.json and returns the exit status. Raises Stopped after SIGINT or SIGTERM."""
    began = psutil.Process().create_time()
    home = home.expanduser().resolve()
    chosen = settings.merge_settings(
        dict(QUICK_SETTINGS) if quick else {}, settings.read_settings_file(config) if config else {}
    )
    named = clips or chosen.get("clips") or os.environ.get("MVMODEL_CLIPS") or settings.default_clips_folder()
    chosen["clips"] = str(Path(named).expanduser().resolve())
    if pack or os.environ.get("MVMODEL_PACK"):
        chosen["pack"] = pack or os.environ["MVMODEL_PACK"]
    with home_lock(home), dagster_instance(home) as instance:
        settings.write_settings(home, chosen)
        for sentence in repair(instance):
            print_progress(sentence)
        return Driver(home, chosen, instance, began).all_phases()


class Driver:
    """One run through the phases. Only files and the instance outlive it."""

    def __init__(self, home: Path, sections: dict[str, Any], instance: dg.DagsterInstance, began: float) -> None:
        self.home, self.instance, self.began = home, instance, began
        self.defs = build_defs(home=home, sections=sections)
        artefacts = build_resources(home, sections)["store"]
        self.store: VersionStore = artefacts.store
        self.stages: list[dict[str, Any]] = []
        self.failures: list[str] = []

    def all_phases(self) -> int:
        print_progress("ingestion to groups")
        first = self.phase(jobs.ingest_job.name)
        motions: dict[str, dict[str, Any]] = {}
        quarantined = int(first.metadata.get("clips", {}).get("quarantined", 0))
        report = ""
        if not first.failures:
            groups = read_motion_groups(Path(str(first.metadata["motion_groups"]["path"])))
            for slug, members in sorted(groups["motions"].items()):
                motions[slug] = self.one_motion(slug, len(members))
            if not motions:
                self.failures.append("no motion has enough clips; motion_groups says which groups need more clips")
            print_progress("leaderboard")
            last = self.phase(jobs.leaderboard_job.name)
            if not last.failures:
                report = str(self.home / "reports" / "index.html")
        self.write_summary(motions, quarantined, report)
        return 1 if self.failures else 0

    def one_motion(self, slug: str, clips: int) -> dict[str, Any]:
        """Train, gate, generate and report one motion; when a gate stops it, go on with the adapter in use, if any."""
        print_progress(f"motion {slug}")
        outcome = self.phase(jobs.motion_job.name, slug)
        blocked = outcome.gates
        if blocked and find_promoted(self.instance, self.store, slug) is not None:
            print_progress(f"  {slug}: the new adapter is not promoted; going on with the one in use")
            chosen = AFTER_PROMOTION.resolve(self.defs.resolve_asset_graph())
            outcome = self.phase(jobs.motion_job.name, slug, [key for key in chosen if key.path[-1] != "leaderboard"])
        metrics = outcome.metadata.get("metric_report", {})
        told: dict[str, Any] = {
            "clips": clips,
            "videos": int(outcome.metadata.get("generated_videos", {}).get("videos", 0)),
            "iou": metrics.get("iou"),
            "iou_without_mask": metrics.get("no_mask/iou"),
            "iou_from_scratch": metrics.get("scratch/iou"),
            **{name: metrics.get(name) for name in ("consistency", "alignment", "motion")},
        }
        return {**told, **({"not_promoted": blocked} if blocked else {})}

    def phase(self, job: str, partition: str | None = None, only: list[dg.AssetKey] | None = None) -> PhaseResult:
        """Run a job (of a motion) here and now, and read what happened from its events."""
        step_timings.steps.clear()
        tags = {PID_TAG: str(os.getpid()), HOST_TAG: socket.gethostname(), "mvmodel/driver": "run"}
        result = self.defs.resolve_job_def(job).execute_in_process(
            run_config=QUIET,
            instance=self.instance,
            partition_key=partition,
            asset_selection=only,
            raise_on_error=False,
            tags=tags,
        )
        outcome = PhaseResult()
        for event in result.all_events:
            if event.is_step_materialization:
                self._materialised(event.step_materialization_data.materialization, partition, outcome)
            elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
                check = event.asset_check_evaluation_data
                if not check.passed and check.blocking:
                    outcome.gates.append(f"{check.check_name}: {check.description or 'failed'}")
            elif event.is_step_failure and event.step_failure_data.error_source == ErrorSource.INTERRUPT:
                raise KeyboardInterrupt  # the run has been closed properly; Dagster keeps the signal to itself
            elif event.is_step_failure and not _is_check_failure(event):
                outcome.failures.append(f"{event.step_key}: {_reason(event)}")
        if not result.success and not outcome.failures:
            where = f" of {partition}" if partition else ""
            outcome.failures += [f"{job}{where}: {gate}" for gate in outcome.gates] or [f"{job}{where} failed"]
        for sentence in outcome.failures:
            print_progress(f"  failed: {sentence}")
        self.failures += outcome.failures
        self.stages += outcome.stages
        return outcome

    def _materialised(self, event: dg.AssetMaterialization, partition: str | None, outcome: PhaseResult) -> None:
        name = event.asset_key.path[-1]
        metadata = {key: entry.value for key, entry in event.metadata.items()}
        outcome.metadata[name] = metadata
        seconds = step_timings.steps.get((name, partition), 0.0) or step_timings.steps.get((name, None), 0.0)
        stage = {"name": name, "seconds": round(seconds, 3), "computed": bool(metadata.get("computed", False))}
        outcome.stages.append({**stage, "partition": partition, "version": str(metadata.get("sha256", ""))[:16]})

    def write_summary(self, motions: dict[str, dict[str, Any]], quarantined: int, report: str) -> None:
        total = time.time() - self.began
        write_json(
            self.home / "summary.json",
            {
                "stages": self.stages,
                "motions": motions,
                "quarantined": quarantined,
                "report": report,
                "total_seconds": round(total, 2),
                "dagster_overhead": round(max(0.0, 1 - step_timings.inside / total), 4),
                "failures": self.failures,
                "pack": self.sections_pack(),
            },
        )

    def sections_pack(self) -> str:
        """The name of the pack that the clips were ingested for."""
        versions = sorted(self.store.versions("foreground_masks"), key=lambda version: version.created)
        return versions[-1].pack.get("name", "") if versions else ""


def _is_check_failure(event: dg.DagsterEvent) -> bool:
    error = event.step_failure_data.error
    return error is not None and error.cls_name == "DagsterAssetCheckFailedError"


def _reason(event: dg.DagsterEvent) -> str:
    """The sentence at the root of a failure: the user's error, else the innermost exception with its type."""
    data = event.step_failure_data
    if data.user_failure_data is not None and data.user_failure_data.description:
        return str(data.user_failure_data.description)
    error = data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip() if error is not None else "no reason was recorded"


@contextmanager
def interruptible(home: Path) -> Iterator[None]:
    """SIGTERM as SIGINT: either ends the work cleanly, and the run's record says that it was stopped."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    # a shell's background job ignores SIGINT, and Dagster hands SIGINT's handler to SIGTERM: both would be lost
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError) as error:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with dagster_instance(home) as instance:
            for record in instance.get_run_records(dg.RunsFilter(tags={PID_TAG: str(os.getpid())})):
                if not record.dagster_run.is_finished:
                    instance.report_run_canceled(record.dagster_run, "stopped by the user")
            free_slots(instance)
        raise RunInterrupted("stopped; the same command goes on where this one was") from error
    finally:
        signal.signal(signal.SIGTERM, before)
