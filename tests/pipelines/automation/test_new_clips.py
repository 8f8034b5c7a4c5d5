"""The content of the pipeline follows the folder of raw clips, whatever it was before."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterRunStatus

from pipelines.automation.new_clips import LOST_AFTER, RUN_KEY_TAG, FolderCursor, evaluate_folder, new_clips
from pipelines.automation_config import AutomationConfig
from pipelines.resources import Settings


@dg.op
def nothing() -> None: ...


@dg.job(name="ingest")
def stand_in() -> None:
    nothing()


class Sensor:
    """Ticks half a minute apart, and the runs that they request."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.folder, self.instance = folder, instance
        self.cursor, self.now, self.reason = FolderCursor(), time.time(), ""
        self.runs: list[dg.DagsterRun] = []

    def tick(self, status: DagsterRunStatus | None = DagsterRunStatus.SUCCESS, seconds: float = 30) -> bool:
        """Whether a run is requested, which then has this status; None loses it."""
        self.now += seconds
        result = evaluate_folder(self.instance, self.cursor, self.folder, AutomationConfig(retry_minutes=5), self.now)
        self.cursor, self.reason = (
            FolderCursor.parse(result.cursor),
            str(result.skip_reason.skip_message) if result.skip_reason else "",
        )
        for request in result.run_requests or []:
            assert request.run_key not in self.keys, "Dagster would take it for done"
            self.keys.append(request.run_key)
            if status is not None:
                tags = {RUN_KEY_TAG: request.run_key}
                self.runs.append(self.instance.create_run_for_job(stand_in, tags=tags, status=status))
        return bool(result.run_requests)

    def settle(self, status: DagsterRunStatus = DagsterRunStatus.SUCCESS) -> bool:
        """Two ticks: one that sees a change and one that sees it stay."""
        return self.tick(status) or self.tick(status)

    keys: list[str] = []


@pytest.fixture
def sensor(tmp_path: Path) -> Iterator[Sensor]:
    (tmp_path / "clips").mkdir()
    with dg.DagsterInstance.ephemeral() as instance:
        sensor = Sensor(tmp_path / "clips", instance)
        sensor.keys = []
        yield sensor


def write(path: Path, content: bytes = b"clip") -> None:
    path.write_bytes(content)


def replace_alike(path: Path) -> None:
    """Another file of the same name, size and modification time."""
    before = path.stat()
    write(path.with_suffix(".new"), b"pilc")
    os.utime(path.with_suffix(".new"), ns=(before.st_atime_ns, before.st_mtime_ns))
    path.with_suffix(".new").replace(path)


def rewrite_alike(path: Path) -> None:
    """Other content in the same file, with the modification time put back."""
    before = path.stat()
    with open(path, "r+b") as file:
        file.write(b"pilc")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


CHANGES = {
    "added": lambda folder: write(folder / "b.mp4"),
    "removed": lambda folder: (folder / "a.mp4").unlink(),
    "renamed": lambda folder: (folder / "a.mp4").rename(folder / "c.mp4"),
    "replaced by one of the same size and time": lambda folder: replace_alike(folder / "a.mp4"),
    "rewritten with the same size and time": lambda folder: rewrite_alike(folder / "a.mp4"),
    "caption edited": lambda folder: write(folder / "manifest.csv", b"file,caption\na.mp4,a dog\n"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_every_change_is_ingested_once(sensor: Sensor, change) -> None:
    for name in ("a.mp4", "z.mp4", "manifest.csv"):
        write(sensor.folder / name)
    assert sensor.settle() and not sensor.settle()
    change(sensor.folder)
    assert sensor.settle() and not sensor.settle()


def test_dropped_removed_and_dropped_again(sensor: Sensor) -> None:
    write(sensor.folder / "a.mp4")
    assert sensor.settle()
    write(sensor.folder / "b.mp4")
    (sensor.folder.parent / "away").mkdir()
    for _ in range(3):
        assert sensor.settle(), "dropped"
        (sensor.folder / "b.mp4").rename(sensor.folder.parent / "away" / "b.mp4")
        assert sensor.settle(), "removed: the folder is in a state that it was in before"
        (sensor.folder.parent / "away" / "b.mp4").rename(sensor.folder / "b.mp4")


def test_a_file_that_is_being_copied_delays_the_run(sensor: Sensor) -> None:
    for size in range(1, 4):
        write(sensor.folder / "a.mp4", b"." * size)
        assert not sensor.tick() and "stop changing" in sensor.reason
    assert sensor.tick()


@pytest.mark.parametrize("status", [DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED, None])
def test_a_failed_stopped_or_lost_ingestion_is_tried_again_a_few_times(
    sensor: Sensor, status: DagsterRunStatus | None
) -> None:
    write(sensor.folder / "a.mp4")
    sensor.tick()
    assert sensor.tick(status)
    assert not sensor.tick(status, 5) and ("again in" in sensor.reason or "running" in sensor.reason)
    attempts = [sensor.tick(status, LOST_AFTER * 4) for _ in range(6)]
    assert attempts == [True, True, False, False, False, False], "three attempts in all"
    assert "failed 3 times" in sensor.reason
    write(sensor.folder / "b.mp4")
    assert sensor.settle(), "another state is another matter"


def test_a_second_attempt_that_succeeds_ends_it(sensor: Sensor) -> None:
    write(sensor.folder / "a.mp4")
    sensor.tick()
    assert sensor.tick(DagsterRunStatus.FAILURE) and sensor.tick(seconds=3600)
    assert not sensor.tick(seconds=3600) and sensor.reason == "nothing changed"
    sensor.instance.delete_run(sensor.runs[-1].run_id)
    assert not sensor.tick(seconds=3600 * 24 * 60), "its record was deleted since"


def test_one_ingestion_at_a_time(sensor: Sensor) -> None:
    write(sensor.folder / "a.mp4")
    assert sensor.settle(DagsterRunStatus.STARTED)
    write(sensor.folder / "b.mp4")
    assert not sensor.settle() and "running" in sensor.reason
    sensor.instance.report_run_failed(sensor.runs[-1])
    assert sensor.tick()


def test_an_empty_folder_takes_nothing_away(sensor: Sensor) -> None:
    write(sensor.folder / "a.mp4")
    assert sensor.settle()
    (sensor.folder / "a.mp4").rename(sensor.folder.parent / "a.mp4")
    assert not sensor.settle() and "not mounted" in sensor.reason
    sensor.folder.rmdir()
    assert not sensor.tick() and "does not exist" in sensor.reason


def test_a_change_is_observed_so_that_assets_are_stale(sensor: Sensor) -> None:
    write(sensor.folder / "a.mp4")
    result = evaluate_folder(sensor.instance, FolderCursor(), sensor.folder, AutomationConfig(), 1.0)
    (observation,) = result.asset_events
    assert observation.asset_key == dg.AssetKey("raw_folder") and observation.tags["dagster/data_version"]


def test_dagster_evaluates_it_and_takes_the_cursor_of_an_earlier_release(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4")
    resources = {"settings": Settings(home=str(tmp_path / "home"), clips=str(tmp_path))}
    with dg.DagsterInstance.ephemeral() as instance:
        cursor = json.dumps({"observed": "x", "ingested": "y"})
        context = dg.build_sensor_context(instance=instance, cursor=cursor, resources=resources)
        result = new_clips(dg.DefaultSensorStatus.STOPPED, AutomationConfig())(context)
    assert isinstance(result, dg.SensorResult) and FolderCursor.parse(result.cursor).observed != "x"
