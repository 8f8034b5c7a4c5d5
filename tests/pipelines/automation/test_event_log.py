"""Old runs are deleted from Dagster's records, but for those that something refers to."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterRunStatus

from pipelines.automation.event_log import delete_old_runs, find_old_runs, purge_event_log
from pipelines.resources import Settings
from pipelines.store.repeated_metadata import PICTURES_RUN

LATER = time.time() + 40 * 86_400


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def materialize(instance: dg.DagsterInstance, name: str, sha: str, pictures: str = "") -> str:
    """A run that makes one version of an asset; its ID. pictures: the run that has its pictures."""
    metadata: dict = {"sha256": sha}
    if pictures:
        metadata[PICTURES_RUN] = dg.MetadataValue.dagster_run(pictures)

    @dg.asset(name=name)
    def asset() -> dg.MaterializeResult:
        return dg.MaterializeResult(metadata=metadata)

    return dg.materialize([asset], instance=instance).run_id


def test_the_newest_event_of_every_version_that_gc_keeps_stays(instance: dg.DagsterInstance) -> None:
    runs = [materialize(instance, "clips", sha) for sha in ("a", "b", "b", "c", "d", "d")]
    assert sorted(find_old_runs(instance, 30, LATER)) == sorted([runs[0], runs[1], runs[4]])
    assert find_old_runs(instance, 30, time.time()) == [], "not old yet"


def test_all_promotions_and_reports_stay_and_so_do_pictures(instance: dg.DagsterInstance) -> None:
    for name in ("promoted_adapter", "metric_report"):
        for sha in "abcdef":
            materialize(instance, name, sha)
    with_pictures = materialize(instance, "clips", "x")
    materialize(instance, "clips", "x", with_pictures)
    assert find_old_runs(instance, 30, LATER) == []


def test_purging_deletes_ended_runs_only(instance: dg.DagsterInstance) -> None:
    @dg.op
    def nothing() -> None: ...

    @dg.job
    def other() -> None:
        nothing()

    old = other.execute_in_process(instance=instance).run_id
    running = instance.create_run_for_job(other, status=DagsterRunStatus.STARTED).run_id
    assert purge_event_log(instance, 30, LATER) == [old]
    assert [record.dagster_run.run_id for record in instance.get_run_records()] == [running]
    assert instance.all_logs(old) == []


@pytest.mark.parametrize("days", [0, 30])
def test_the_step_reads_the_setting(instance: dg.DagsterInstance, tmp_path: Path, days: int) -> None:
    sections = {"automation": {"event_log_days": days}}
    settings = Settings(home=str(tmp_path), clips=str(tmp_path), sections=sections)
    delete_old_runs(dg.build_op_context(instance=instance), settings=settings)


def test_files_of_a_deleted_run_go_too(tmp_path: Path) -> None:
    with dg.instance_for_test(temp_dir=str(tmp_path)) as instance:
        run_id = materialize(instance, "clips", "a")
        materialize(instance, "clips", "a")
        assert list(tmp_path.rglob(f"*{run_id}*"))
        assert purge_event_log(instance, 30, LATER) == [run_id]
        assert not list(tmp_path.rglob(f"*{run_id}*"))
