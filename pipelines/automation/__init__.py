"""What happens by itself. All of it is off until you turn it on, in the UI or by `automation.enabled` in the settings,
because it starts trainings.

    new_clips             ingests when the folder of raw clips changed
    follow_changes        trains, generates and reports what is out of date
    weekly_retraining     ingests once a week, and continue_retraining then trains every motion and ranks them
    report_failures       tells the user's command or webhook about failed runs
    event_log_retention   deletes old runs from Dagster's records every night
"""

from __future__ import annotations

from typing import Any

import dagster as dg

from pipelines.automation.conditions import follow_changes
from pipelines.automation.event_log import event_log_retention
from pipelines.automation.failures import report_failures
from pipelines.automation.new_clips import new_clips
from pipelines.automation.retraining import continue_retraining, weekly_retraining
from pipelines.automation_config import AutomationConfig


def build_automation(config: AutomationConfig) -> dict[str, Any]:
    """The sensors and schedules as arguments of `dg.Definitions`."""
    sensor_status = dg.DefaultSensorStatus.RUNNING if config.enabled else dg.DefaultSensorStatus.STOPPED
    schedule_status = dg.DefaultScheduleStatus.RUNNING if config.enabled else dg.DefaultScheduleStatus.STOPPED
    return {
        "sensors": [
            build(sensor_status, config) for build in (new_clips, follow_changes, continue_retraining, report_failures)
        ],
        "schedules": [weekly_retraining(schedule_status, config), event_log_retention(schedule_status)],
    }
