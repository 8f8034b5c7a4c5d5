"""The condition under which assets of motions are built by themselves, and how old assets may be."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

import dagster as dg

from pipelines import jobs
from pipelines.automation_config import AutomationConfig

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
    - What was in progress at the last tick waits for the next one. Dagster reads what is materialized before it reads
      what is in progress, so that a step which ends in between would seem to be neither, and would be requested again.
    - No parent may be missing, running, or stopped by a blocking check, such as a gate. Experiments run by hand: a
      report uses their metrics if there are any and does not wait for them.
    """
    input_changed = Condition.any_deps_match(Condition.data_version_changed()).with_label("an input's content changed")
    changed = (input_changed | Condition.code_version_changed()).since(
        Condition.newly_requested() | Condition.newly_updated() | Condition.initial_evaluation()
    )
    never_built = Condition.missing() & ~Condition.execution_failed() & ~Condition.newly_requested()
    just_ended = (~Condition.in_progress()).newly_true() & ~Condition.newly_missing()
    buildable = (
        ~Condition.any_deps_missing().ignore(dg.AssetSelection.groups("experiments"))
        & ~Condition.any_deps_in_progress()
        & ~Condition.in_progress()
        & ~just_ended
        & Condition.all_deps_blocking_checks_passed()
    )
    return ((never_built | changed) & buildable).with_label("inputs or code changed")


def with_automation(assets: list[dg.AssetsDefinition]) -> list[dg.AssetsDefinition]:
    """The assets, each with `when_inputs_change` as its automation condition."""
    return [
        asset.map_asset_specs(lambda spec: spec.replace_attributes(automation_condition=CONDITION)) for asset in assets
    ]


CONDITION = when_inputs_change()


def with_freshness(assets: Sequence[dg.AssetsDefinition], days: float) -> list[dg.AssetsDefinition]:
    """The assets with a policy that calls them overdue after some days; 0 leaves them as they are."""
    if not days:
        return list(assets)
    policy = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=days))
    return [asset.map_asset_specs(lambda spec: spec.replace_attributes(freshness_policy=policy)) for asset in assets]


def follow_changes(status: dg.DefaultSensorStatus, config: AutomationConfig) -> dg.SensorDefinition:
    """The sensor that evaluates the condition of every asset."""
    return dg.AutomationConditionSensorDefinition(
        "follow_changes",
        target=jobs.MOTION_ASSETS | jobs.LEADERBOARD_ASSETS,
        minimum_interval_seconds=config.interval_s,
        default_status=status,
        description="Trains, generates and reports whatever new clips, changed masks or new code made out of date.",
    )
