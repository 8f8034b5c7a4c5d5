"""A home folder in use: its Dagster instance, the lock that one driver holds, and what a signal does."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg

from mvmodel.errors import InputError
from pipelines import settings
from pipelines.driver.repair import PID_TAG, free_slots


class RunInterrupted(Exception):
    """SIGINT or SIGTERM ended the work; Dagster's records say so."""


def find_home() -> Path:
    """The home in use: that of DAGSTER_HOME, else the default one, else the one beside it that was used last."""
    default = settings.home_folder()
    if os.environ.get("DAGSTER_HOME") or default.exists():
        return default
    other_homes = [folder for folder in default.parent.glob("*") if (folder / "dagster" / "dagster.yaml").is_file()]
    return max(other_homes, key=lambda folder: (folder / "dagster").stat().st_mtime, default=default)


@contextmanager
def dagster_instance(home: Path) -> Iterator[dg.DagsterInstance]:
    """The home's Dagster instance. The first use copies the default dagster.yaml, which you may edit there."""
    folder = home / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "dagster.yaml").exists():
        shutil.copyfile(settings.INSTANCE_FILE, folder / "dagster.yaml")
    os.environ["DAGSTER_HOME"] = str(folder)
    os.environ["DAGSTER_DISABLE_TELEMETRY"] = "1"
    with dg.DagsterInstance.get() as instance:
        yield instance


@contextmanager
def home_lock(home: Path) -> Iterator[None]:
    """Hold the home's lock, which the kernel frees when the process ends. Raises InputError if another run holds it."""
    home.mkdir(parents=True, exist_ok=True)
    with open(home / "run.lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(f"another run is at work in {home}; wait for it, or choose another --home") from error
        yield


@contextmanager
def interruptible(home: Path) -> Iterator[None]:
    """End the work cleanly on SIGINT and SIGTERM: mark this process's runs as canceled and raise RunInterrupted."""
    earlier_handler = signal.signal(signal.SIGTERM, signal.default_int_handler)
    # A shell's background job ignores SIGINT, and Dagster gives SIGTERM the handler of SIGINT: both would be lost.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError) as error:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with dagster_instance(home) as instance:
            for record in instance.get_run_records(dg.RunsFilter(tags={PID_TAG: str(os.getpid())})):
                if not record.dagster_run.is_finished:
                    instance.report_run_canceled(record.dagster_run, "interrupted by the user")
            free_slots(instance)
        raise RunInterrupted("interrupted; run the same command again to resume") from error
    finally:
        signal.signal(signal.SIGTERM, earlier_handler)
