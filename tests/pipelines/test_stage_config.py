"""The forms of the stages in Dagster's launchpad."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.partitions.context import partition_loading_context
from pydantic import BaseModel

from pipelines.assets.decorator import RUN_SETTINGS, mvmodel_asset
from pipelines.definitions import EXPERIMENT_ASSETS, INGESTION_ASSETS, MOTION_ASSETS, build_defs
from pipelines.resources import Settings
from pipelines.settings import SECTIONS, TrainingSetConfig, merge_settings, section_model
from pipelines.stage_config import SET_OUTSIDE_OF_SECTIONS, stage_config

HOME_SETTINGS = {"training_set": {"min_clips": 3}, "masks": {"saliency": {"max_side": 64}}}


def run_form(tmp_path: Path, section: str, form: dict[str, Any]) -> tuple[dg.ExecuteInProcessResult, list[BaseModel]]:
    """Materialize an asset that reads a section of the settings; its result, and what it read."""
    configs: list[BaseModel] = []

    @mvmodel_asset("training", sections=("training_set", "masks", "generation"), io_manager_key="io_manager")
    def stage(context: dg.AssetExecutionContext, settings: Settings) -> dg.MaterializeResult[None]:
        configs.append(settings.read(section, section_model(section)))
        return dg.MaterializeResult(value=None, metadata={RUN_SETTINGS: "of an earlier run"})

    settings = Settings(home=str(tmp_path), clips=str(tmp_path), sections=HOME_SETTINGS)
    result = dg.materialize(
        [stage],
        resources={"settings": settings, "io_manager": dg.mem_io_manager},
        run_config={"ops": {"stage": {"config": form}}},
        raise_on_error=False,
    )
    return result, configs


def recorded_metadata(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = result.get_asset_materialization_events()
    return {name: entry.value for name, entry in event.step_materialization_data.materialization.metadata.items()}


def test_a_form_changes_settings_of_the_home_for_one_run_and_is_recorded(tmp_path: Path) -> None:
    result, configs = run_form(tmp_path, "training_set", {"training_set": {"max_clips": 4}})
    assert result.success
    assert configs == [TrainingSetConfig(min_clips=3, max_clips=4)]
    assert recorded_metadata(result)[RUN_SETTINGS] == {"training_set": {"max_clips": 4}}


def test_an_empty_form_changes_nothing_and_repeats_no_earlier_one(tmp_path: Path) -> None:
    result, configs = run_form(tmp_path, "training_set", {})
    assert configs == [TrainingSetConfig(min_clips=3)]
    assert RUN_SETTINGS not in recorded_metadata(result)


def test_a_table_in_a_section_keeps_what_the_home_sets_in_it(tmp_path: Path) -> None:
    _, configs = run_form(tmp_path, "masks", {"masks": {"saliency": {"motion_threshold": 9}}})
    saliency = configs[0].model_dump()["saliency"]
    assert (saliency["max_side"], saliency["motion_threshold"]) == (64, 9)


def test_choices_and_null_arrive_as_a_settings_file_has_them(tmp_path: Path) -> None:
    form = {"generation": {"noise_prior": "mixed", "camera": [0.5, 0], "guidance_scale": None}}
    _, configs = run_form(tmp_path, "generation", form)
    config = configs[0].model_dump()
    assert (config["noise_prior"], config["camera"], config["guidance_scale"]) == ("mixed", (0.5, 0.0), None)


@pytest.mark.parametrize(
    ("form", "sentence"),
    [
        ({"training_set": {"max_clips": 0}}, "config of stage: training_set: max_clips: Input should be greater than"),
        ({"training_set": {"max_clips": None}}, "config of stage: training_set: max_clips: Input should be a valid"),
        ({"generation": {"noise_follow": True}}, "config of stage: generation: noise_follow moves the common noise"),
    ],
)
def test_values_out_of_bounds_are_refused_in_a_sentence_before_any_step(
    tmp_path: Path, form: dict[str, Any], sentence: str
) -> None:
    result, configs = run_form(tmp_path, "training_set", form)
    assert not result.success and not configs
    messages = [str(event.event_specific_data.error) for event in result.all_events if event.is_failure]
    assert any(sentence in message for message in messages), messages


def test_unknown_settings_and_choices_are_refused_by_the_form(tmp_path: Path) -> None:
    for form in ({"training_set": {"max_clip": 3}}, {"generation": {"noise_prior": "mixd"}}):
        with pytest.raises(dg.DagsterInvalidConfigError):
            run_form(tmp_path, "training_set", form)


@pytest.mark.parametrize("section", SECTIONS)
def test_every_setting_of_a_section_has_a_place_in_its_form(section: str) -> None:
    form = stage_config("stage", {section: ()}).to_config_schema().as_field().config_type.fields[section]
    names = set(section_model(section).model_fields) - set(SET_OUTSIDE_OF_SECTIONS.get(section, ()))
    assert set(form.config_type.fields) == names
    for name, field in form.config_type.fields.items():
        assert field.description and not field.is_required and not (field.default_provided and field.default_value), (
            name
        )


def test_a_form_says_defaults_and_bounds() -> None:
    schema = stage_config("stage", {"training_set": ("held_out",)}).to_config_schema().as_field()
    (field,) = schema.config_type.fields["training_set"].config_type.fields.values()
    assert field.description == "Clips kept out of training for validation and evaluation. Default: 1; >= 0."


def test_every_section_is_in_the_form_of_a_stage() -> None:
    sections: set[str] = set()
    for asset in [*INGESTION_ASSETS, *MOTION_ASSETS, *EXPERIMENT_ASSETS]:
        schema = asset.op.config_schema
        fields = getattr(schema.config_type, "fields", {}) if schema else {}
        sections |= set(fields)
    assert sections == set(SECTIONS) - {"automation"}


@pytest.mark.parametrize(
    ("job_name", "settings"),
    [
        ("ingest", {}),
        ("ingest", {"executor": "multiprocess", "mask_steps": 2}),
        ("process_motion", {}),
        ("run_experiments", {}),
        ("run_zero_shot_motion", {}),
    ],
)
def test_launchpads_open_with_the_sections_of_all_forms_and_set_nothing(job_name: str, settings: dict) -> None:
    """A value there would be launched instead of the home's setting."""
    job = build_defs(sections=settings).resolve_job_def(job_name)
    schemas = {node.name: node.definition.config_schema.as_field().config_type for node in job.nodes}
    forms = {stage: schema.fields for stage, schema in schemas.items() if getattr(schema, "fields", None)}
    assert forms and ("mask_share_2" in forms) == bool(settings)
    if job.partitions_def is None:
        config = job.run_config
    else:
        with dg.DagsterInstance.ephemeral() as instance:
            instance.add_dynamic_partitions("motion", ["gallop"])
            with partition_loading_context(dynamic_partitions_store=instance):
                config = job.get_run_config_for_partition_key("gallop")
    assert config == {"ops": {stage: {"config": {section: {} for section in form}} for stage, form in forms.items()}}
    dg.validate_run_config(job, config)


def test_launchpads_of_jobs_without_forms_open_with_no_values() -> None:
    """Dagster would fill in those of all resources, such as paths, which would then be launched."""
    definitions = build_defs(sections={})
    for name in ("update_leaderboard", "purge_old_runs"):
        assert definitions.resolve_job_def(name).run_config == {"ops": {}}


def test_merging_keeps_nested_tables() -> None:
    base = {"masks": {"saliency": {"max_side": 64}}, "pack": "a"}
    assert merge_settings(base, {"masks": {"saliency": {"motion_threshold": 1}}, "pack": "b"}) == {
        "masks": {"saliency": {"max_side": 64, "motion_threshold": 1}},
        "pack": "b",
    }
