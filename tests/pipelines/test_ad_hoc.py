"""The job "generate": its form, a wrong motion in a sentence, and nothing overwritten."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
from pydantic import ValidationError

from pipelines.ad_hoc import EXAMPLE, GenerateConfig, _free_path, generate
from pipelines.definitions import build_resources
from pipelines.promotion import promotion
from pipelines.resources import Settings


def test_every_field_of_the_form_explains_itself() -> None:
    for name, field in GenerateConfig.model_fields.items():
        assert field.description and len(field.description) > 20, name
    assert GenerateConfig(prompt="a dog", motion="gallop").seed == 0


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"name": "../outside"}, {"name": ""}])
def test_wrong_values_are_refused_by_name(wrong: dict) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        GenerateConfig(prompt="a dog", motion="gallop", **wrong)


def test_settings_of_generation_are_in_the_form_and_count_for_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = dg.Definitions(jobs=[generate], resources=build_resources(tmp_path, {})).resolve_job_def("generate")
    dg.validate_run_config(job, job.run_config)  # what the launchpad opens with
    sections: list[dict] = []

    def find_promoted(instance: dg.DagsterInstance, store: object, motion: str) -> None:
        return None

    def with_override(settings: Settings, override: dict) -> Settings:
        sections.append(override)
        return settings

    monkeypatch.setattr(promotion, "find_promoted", find_promoted)
    monkeypatch.setattr(Settings, "with_override", with_override)
    form = {"prompt": "a dog", "motion": "gallop", "generation": {"steps": 3}}
    for values in (form, EXAMPLE):
        with dg.DagsterInstance.ephemeral() as instance:
            config = {"ops": {"generate_video": {"config": values}}}
            job.execute_in_process(config, instance=instance, raise_on_error=False)
    assert {"generation": {"steps": 3}} in sections and {"generation": {}} in sections
    wrong = {"ops": {"generate_video": {"config": {**form, "generation": {"stepz": 3}}}}}
    with pytest.raises(dg.DagsterInvalidConfigError, match="stepz"):
        dg.validate_run_config(job, wrong)


def test_a_motion_without_a_promoted_adapter_is_said_in_a_sentence(tmp_path: Path) -> None:
    job = dg.Definitions(jobs=[generate], resources=build_resources(tmp_path, {})).resolve_job_def("generate")
    config = {"ops": {"generate_video": {"config": {"prompt": "a dog", "motion": "galop"}}}}
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("motion", ["gallop"])
        result = job.execute_in_process(config, instance=instance, raise_on_error=False)
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    sentence = failure.step_failure_data.user_failure_data.description
    assert sentence == "no adapter of 'galop' is promoted; motions: gallop"


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    assert _free_path(tmp_path / "video.mp4") == tmp_path / "video.mp4"
    (tmp_path / "video.mp4").touch()
    (tmp_path / "video-2.json").touch()
    assert _free_path(tmp_path / "video.mp4") == tmp_path / "video-3.mp4"
