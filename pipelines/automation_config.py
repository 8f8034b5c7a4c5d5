"""Settings of what happens by itself. Imports nothing heavy."""

from __future__ import annotations

from pydantic import Field

from mvmodel.config import Config

HOOKS = ("failure_command", "failure_webhook")
"""Settings that may hold secrets: nothing but the sensor that uses them may have them."""


class AutomationConfig(Config):
    """What Dagster's daemon does by itself, and whom it tells about failures."""

    enabled: bool = False
    """Turn on all sensors and schedules that nobody has turned on or off in the UI."""
    interval_s: int = Field(default=30, ge=1)
    """Seconds between two looks of a sensor. Clips are ingested after their folder has not changed for so long."""
    ingest_attempts: int = Field(default=3, ge=1)
    """How often one state of the folder of raw clips is ingested if that fails or is stopped."""
    retry_minutes: float = Field(default=2.0, ge=0)
    """Minutes before a failed ingestion is tried again; twice as long before each further attempt."""
    retraining: str = "0 3 * * 1"
    """When everything is ingested, trained and ranked again, as a cron schedule: Mondays at 03:00."""
    time_zone: str = "UTC"
    """Time zone of the schedules, such as Europe/Berlin."""
    force: bool = False
    """Train every adapter again at that time even if nothing changed. Else motions that are up to date get no run."""
    failure_command: str = ""
    """Program with arguments that is run when a run failed. It gets the failure as JSON on standard input. Variables of
    the environment, such as $HOME, are replaced."""
    failure_webhook: str = ""
    """http or https address that a failure is posted to as JSON, with a sentence in `text`. Variables of the
    environment are replaced: write $WEBHOOK_URL to keep a secret address out of the settings."""
    hook_timeout_s: float = Field(default=20.0, gt=0)
    """Seconds after which the command or the webhook is given up."""
    freshness_days: float = Field(default=8.0, ge=0)
    """Days after which Dagster's UI calls clips, masks, groups and the leaderboard overdue, while `enabled`; 0 is
    never. Assets of a motion are not: the weekly retraining leaves them alone while nothing changes."""
    event_log_days: int = Field(default=30, ge=0)
    """Days that Dagster's records of a run are kept if no current or earlier adapter, report or result needs them; 0
    keeps them for ever."""
