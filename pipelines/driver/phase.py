"""One phase of the driver: a Dagster job that runs in this process, and what its events say happened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import dagster as dg
from dagster._core.execution.plan.objects import ErrorSource
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin

from pipelines.driver.progress import print_progress, step_timings
from pipelines.driver.repair import process_tags

CODE_LOCATION, REPOSITORY = "mvmodel", "__repository__"
"""Names of the code location in workspace.yaml and, by Dagster, of the definitions in it."""
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass
class PhaseResult:
    """What one phase did.

    stages: an entry per materialized asset, for the summary. metadata: by asset. failures: a sentence each.
    failed_gates: blocking checks that did not pass, a sentence each.
    """

    stages: list[dict[str, Any]] = field(default_factory=list)
    metadata: dict[str, dict[str, Any]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    failed_gates: list[str] = field(default_factory=list)

    def add_asset(self, name: str, metadata: dict[str, Any], partition: str | None) -> None:
        """Note that an asset was materialized, or is up to date. metadata: plain values of its event."""
        self.metadata[name] = metadata
        seconds = step_timings.steps.get((name, partition), 0.0) or step_timings.steps.get((name, None), 0.0)
        ended = step_timings.ended.get((name, partition)) or step_timings.ended.get((name, None))
        stage = {"name": name, "seconds": round(seconds, 3), "computed": bool(metadata.get("computed", False))}
        version = str(metadata.get("sha256", ""))[:16]
        self.stages.append({**stage, "ended": ended, "partition": partition, "version": version})


def run_phase(
    defs: dg.Definitions,
    instance: dg.DagsterInstance,
    job: str,
    partition: str | None = None,
    assets: Sequence[dg.AssetKey] | None = None,
    tags: Mapping[str, str] | None = None,
) -> PhaseResult:
    """Run a job, or only some of its assets, and collect its results. Raises KeyboardInterrupt after a signal.

    tags: of the run, besides those that say where it runs.
    """
    step_timings.forget_steps()
    tags = {**(tags or {}), **process_tags(), "mvmodel/driver": "run"}
    with _in_code_location(instance, job):
        execution = defs.resolve_job_def(job).execute_in_process(
            run_config=QUIET,
            instance=instance,
            partition_key=partition,
            asset_selection=assets,
            raise_on_error=False,
            tags=tags,
        )
    result = PhaseResult()
    for event in execution.all_events:
        _add_event(result, event, partition)
    if not execution.success and not result.failures:
        name = f"{job} of {partition}" if partition else job
        result.failures += [f"{name}: {gate}" for gate in result.failed_gates] or [f"{name} failed"]
    for sentence in result.failures:
        print_progress(f"  failed: {sentence}", level="error", job=job, partition=partition)
    return result


@contextmanager
def _in_code_location(instance: dg.DagsterInstance, job: str) -> Iterator[None]:
    """Runs that are created meanwhile belong to the code location, as those that the UI starts do.

    Without it, the UI lists them in neither its timeline nor its jobs. `execute_in_process` has no argument for it.
    """
    origin = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin(CODE_LOCATION), REPOSITORY).get_job_origin(job)
    create: Any = partial(instance.create_run_for_job, remote_job_origin=origin)
    instance.create_run_for_job = create  # type: ignore[method-assign]
    try:
        yield
    finally:
        del instance.create_run_for_job


def _add_event(result: PhaseResult, event: dg.DagsterEvent, partition: str | None) -> None:
    if event.is_step_materialization:
        materialization = event.step_materialization_data.materialization
        metadata = {name: entry.value for name, entry in materialization.metadata.items()}
        result.add_asset(materialization.asset_key.path[-1], metadata, partition)
    elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        check = event.asset_check_evaluation_data
        if not check.passed and check.blocking:
            result.failed_gates.append(f"{check.check_name}: {check.description or 'failed'}")
    elif event.is_step_failure and event.step_failure_data.error_source == ErrorSource.INTERRUPT:
        raise KeyboardInterrupt  # Dagster has ended the run properly, and does not pass the signal on.
    elif event.is_step_failure and not _is_check_failure(event):
        result.failures.append(f"{event.step_key}: {describe_failure(event)}")


def _is_check_failure(event: dg.DagsterEvent) -> bool:
    error = event.step_failure_data.error
    return error is not None and error.cls_name == "DagsterAssetCheckFailedError"


def describe_failure(event: dg.DagsterEvent) -> str:
    """The sentence at the root of a failure: the user's error, or else the innermost exception."""
    data = event.step_failure_data
    if data.user_failure_data is not None and data.user_failure_data.description:
        return str(data.user_failure_data.description)
    error = data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip() if error is not None else "no reason was recorded"
