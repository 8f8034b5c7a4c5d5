"""One phase of the driver, on a job that does nothing."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import yaml
from dagster._core.definitions.repository_definition import SINGLETON_REPOSITORY_NAME

from pipelines.driver.phase import run_phase


def test_runs_belong_to_the_code_location_that_the_ui_shows(repository: Path) -> None:
    """Otherwise they are missing in the UI's timeline and in its list of jobs."""

    @dg.op
    def nothing() -> None: ...

    @dg.job
    def one_step() -> None:
        nothing()

    (entry,) = yaml.safe_load((repository / "workspace.yaml").read_text())["load_from"]
    location = entry["python_module"]["location_name"]
    with dg.DagsterInstance.ephemeral() as instance:
        assert not run_phase(dg.Definitions(jobs=[one_step]), instance, "one_step").failures
        (run,) = instance.get_runs()
        other = instance.create_run_for_job(one_step)
    assert run.remote_job_origin is not None and run.remote_job_origin.job_name == "one_step"
    assert run.remote_job_origin.repository_origin.get_label() == f"{SINGLETON_REPOSITORY_NAME}@{location}"
    assert other.remote_job_origin is None, "nothing else that the instance creates is changed"
