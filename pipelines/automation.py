"""Automation: a sensor on new clips, a weekly schedule, and a condition on every asset of a motion.

All three are off until you turn them on in the UI (Automation), because they start trainings.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg

from mvmodel.files import hash_value
from pipelines import jobs, raw_files
from pipelines.partitions import motions
from pipelines.resources import Settings

Condition = dg.AutomationCondition


def when_inputs_change() -> Condition:
    """Build what is missing, and rebuild after an input's content or the code changed, but not after a mere re-run.

    Why each term is there:
    - `missing` is a state, not an edge, so that motions that existed before the sensor was turned on are built too.
      `in_progress` and `execution_failed` keep it from requesting what is running or failed last time. After a failure,
      somebody runs the asset by hand or changes an input, which requests it again.
    - `data_version_changed` instead of Dagster's `any_deps_updated`: otherwise a parent that was re-run with the same
      content would retrain every motion.
    - `since` latches changes until the asset is requested or updated, so that a change during an upstream run is not
      forgotten.
    - No parent may be missing, running, or stopped by a blocking check, such as a gate. Experiments run by hand: a
      report uses their metrics if there are any and does not wait for them.
    """
    input_changed = Condition.any_deps_match(Condition.data_version_changed()).with_label("an input's content changed")
    changed = (input_changed | Condition.code_version_changed()).since(
        Condition.newly_requested() | Condition.newly_updated() | Condition.initial_evaluation()
    )
    never_built = Condition.missing() & ~Condition.execution_failed() & ~Condition.newly_requested()
    buildable = (
        ~Condition.any_deps_missing().ignore(dg.AssetSelection.groups("experiments"))
        & ~Condition.any_deps_in_progress()
        & ~Condition.in_progress()
        & Condition.all_deps_blocking_checks_passed()
    )
    return ((never_built | changed) & buildable).with_label("inputs or code changed")


def with_automation(assets: list[dg.AssetsDefinition]) -> list[dg.AssetsDefinition]:
    """The assets, each with `when_inputs_change` as its automation condition."""
    return [
        asset.map_asset_specs(lambda spec: spec.replace_attributes(automation_condition=CONDITION)) for asset in assets
    ]


CONDITION = when_inputs_change()

follow_changes = dg.AutomationConditionSensorDefinition(
    "follow_changes",
    target=jobs.MOTION_ASSETS | jobs.LEADERBOARD_ASSETS,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Trains, generates and reports whatever new clips, changed masks or new code made out of date.",
)


@dg.sensor(
    job=jobs.ingest_job,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Ingests after the folder of raw clips changed and then stayed unchanged for one interval.",
)
def new_clips(context: dg.SensorEvaluationContext, settings: Settings) -> dg.SensorResult | dg.SkipReason:
    """One run per state of the folder. A file that is still being copied changes between ticks and delays the run."""
    folder = Path(settings.clips)
    if not folder.is_dir():
        return dg.SkipReason(f"the folder {folder} does not exist")
    stamps = raw_files.stamp_files(folder)
    state = hash_value(stamps)
    previous = json.loads(context.cursor) if context.cursor else {}
    cursor = json.dumps({"observed": state, "ingested": previous.get("ingested", "")})
    if not stamps:
        return dg.SensorResult(skip_reason=f"{folder} is empty", cursor=cursor)
    if state == previous.get("ingested"):
        return dg.SensorResult(skip_reason="nothing changed", cursor=cursor)
    if state != previous.get("observed"):
        return dg.SensorResult(skip_reason=f"{len(stamps)} files; waiting until they stop changing", cursor=cursor)
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=f"clips-{state[:16]}", tags={"mvmodel/files": str(len(stamps))})],
        cursor=json.dumps({"observed": state, "ingested": state}),
    )


@dg.schedule(
    job=jobs.motion_job,
    cron_schedule="0 3 * * 1",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Every Monday at 03:00 UTC, processes every motion again. Unchanged results are reused, not computed.",
)
def weekly_retraining(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
    names = context.instance.get_dynamic_partitions(str(motions.name))
    if not names:
        yield dg.SkipReason("there are no motions yet")
    day = context.scheduled_execution_time.date().isoformat()
    for name in sorted(names):
        yield dg.RunRequest(run_key=f"{name}-{day}", partition_key=name, tags={"mvmodel/retraining": day})
