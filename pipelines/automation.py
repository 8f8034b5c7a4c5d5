"""What happens by itself: a sensor on new clips, a weekly schedule, conditions on every asset below the groups.

All three are off until somebody turns them on in the UI (Automation), since they start trainings.
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
    """Build what is missing, and build again when an input's content or the code changed; never for a mere re-run.

    Term by term, since each stands for an accident:
    - `missing` is no edge: motions that existed before the sensor was turned on are built too. `in_progress` and
      `execution_failed` keep it from asking again and again for what runs already or failed last time; a person looks
      at a failure, then runs it by hand or changes an input, which asks once more.
    - `data_version_changed` instead of Dagster's `any_deps_updated`: a parent that was re-run with the same content
      would otherwise retrain every motion.
    - The changes are latched (`since`) until the asset was requested or updated, so that one seen while an upstream was
      still running is not forgotten.
    - No parent may be missing, running, or stopped by a blocking check (a gate that failed). Experiments are run by
      hand: a report takes their metrics where there are some, and waits for none.
    """
    input_changed = Condition.any_deps_match(Condition.data_version_changed()).with_label("an input's content changed")
    changed = (input_changed | Condition.code_version_changed()).since(
        Condition.newly_requested() | Condition.newly_updated() | Condition.initial_evaluation()
    )
    first = Condition.missing() & ~Condition.execution_failed() & ~Condition.newly_requested()
    ready = (
        ~Condition.any_deps_missing().ignore(dg.AssetSelection.groups("experiments"))
        & ~Condition.any_deps_in_progress()
        & ~Condition.in_progress()
        & Condition.all_deps_blocking_checks_passed()
    )
    return ((first | changed) & ready).with_label("inputs or code changed")


def with_automation(assets: list[dg.AssetsDefinition]) -> list[dg.AssetsDefinition]:
    """The assets with the condition on each."""
    return [
        asset.map_asset_specs(lambda spec: spec.replace_attributes(automation_condition=CONDITION)) for asset in assets
    ]


CONDITION = when_inputs_change()

follow_changes = dg.AutomationConditionSensorDefinition(
    "follow_changes",
    target=jobs.MOTION_ASSETS | jobs.LEADERBOARD_ASSETS,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Trains, generates and reports what new clips, other masks or new code made stale.",
)


@dg.sensor(
    job=jobs.ingest_job,
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.STOPPED,
    description="Ingests when the folder of raw clips changed and then stayed as it is for one interval.",
)
def new_clips(context: dg.SensorEvaluationContext, settings: Settings) -> dg.SensorResult | dg.SkipReason:
    """One run per state of the folder. A file still being copied changes between two looks; nothing runs until then."""
    folder = Path(settings.clips)
    if not folder.is_dir():
        return dg.SkipReason(f"there is no folder at {folder}")
    seen = raw_files.stamp_files(folder)
    state = hash_value(seen)
    before = json.loads(context.cursor) if context.cursor else {}
    cursor = json.dumps({"looked": state, "ingested": before.get("ingested", "")})
    if not seen:
        return dg.SensorResult(skip_reason=f"{folder} is empty", cursor=cursor)
    if state == before.get("ingested"):
        return dg.SensorResult(skip_reason="nothing changed", cursor=cursor)
    if state != before.get("looked"):
        return dg.SensorResult(skip_reason=f"{len(seen)} files; waiting until they stay as they are", cursor=cursor)
    return dg.SensorResult(
        run_requests=[dg.RunRequest(run_key=f"clips-{state[:16]}", tags={"mvmodel/files": str(len(seen))})],
        cursor=json.dumps({"looked": state, "ingested": state}),
    )


@dg.schedule(
    job=jobs.motion_job,
    cron_schedule="0 3 * * 1",
    execution_timezone="UTC",
    default_status=dg.DefaultScheduleStatus.STOPPED,
    description="Every Monday at 03:00 UTC: every motion once more. What has not changed is found, not computed.",
)
def weekly_retraining(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
    names = context.instance.get_dynamic_partitions(str(motions.name))
    if not names:
        yield dg.SkipReason("there is no motion yet")
    day = context.scheduled_execution_time.date().isoformat()
    for name in sorted(names):
        yield dg.RunRequest(run_key=f"{name}-{day}", partition_key=name, tags={"mvmodel/retraining": day})
