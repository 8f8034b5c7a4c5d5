"""Settings files: every section is validated before anything runs, and docs/settings.md lists every setting."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from pydantic import BaseModel

from mvmodel.errors import InputError
from pipelines.definitions import build_resources
from pipelines.resources import Settings
from pipelines.settings import (
    SECTIONS,
    load_settings,
    read_settings_file,
    section_model,
    validate_settings,
    write_settings,
)
from pipelines.settings_docs import SETTINGS_PAGE, render_settings_page

WRONG_VALUES = {
    "ingest": {"frames": 0},
    "masks": {"max_objects": 0},
    "groups": {"neighbours": 0},
    "training_set": {"min_clips": 0},
    "training": {"steps": -1},
    "generation": {"steps": 0},
    "requests": {"count": 0},
    "evaluation": {"count": 0},
    "judge": {"detection_frames": 0},
    "gates": {"max_regression": -0.1},
    "comparison": {"scheduler_requests": -1},
    "experiments": {"mask_robustness": {"requests": 0}},
    "automation": {"interval_s": 0},
}
"""Section -> a setting whose value it cannot have."""


@pytest.mark.parametrize("section", SECTIONS)
def test_an_unknown_setting_is_refused_with_its_section_and_name(section: str) -> None:
    with pytest.raises(InputError, match=rf"^home\.yaml: {section}: no setting 'stepz'"):
        validate_settings({section: {"stepz": 1}}, "home.yaml")


@pytest.mark.parametrize("section", SECTIONS)
def test_a_wrong_value_is_refused_with_its_section_and_name(section: str) -> None:
    name = next(iter(WRONG_VALUES[section]))
    with pytest.raises(InputError, match=rf"^home\.yaml: {section}: {name}"):
        validate_settings({section: WRONG_VALUES[section]}, "home.yaml")


def test_near_misses_are_suggested() -> None:
    with pytest.raises(InputError, match="training: no setting 'stepz'; did you mean 'steps'"):
        validate_settings({"training": {"stepz": 1}}, "home.yaml")
    with pytest.raises(InputError, match="no section 'trainig'; did you mean 'training'"):
        validate_settings({"trainig": {}}, "home.yaml")
    with pytest.raises(InputError, match="experiments: no setting 'mask_robustness.shift'; did you mean"):
        validate_settings({"experiments": {"mask_robustness": {"shift": [0.1]}}}, "home.yaml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1], "settings must be a table of sections, not list"),
        ({"training": 3}, "section 'training' must be a table of settings, not int"),
        ({"device": 3}, "device: Input should be a valid string"),
    ],
)
def test_tables_are_tables(content: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        validate_settings(content, "home.yaml")


def test_a_settings_file_is_validated_when_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("training: {steps: -1}\n")
    with pytest.raises(InputError, match=r"settings\.yaml: training: steps: "):
        read_settings_file(path)
    monkeypatch.setenv("MVMODEL_CONFIG", str(path))
    with pytest.raises(InputError, match=r"settings\.yaml: training: steps: "):
        load_settings(tmp_path)


def test_a_run_refuses_wrong_settings_before_it_writes_anything(tmp_path: Path, capsys: Any) -> None:
    from pipelines.driver.cli import main

    path = tmp_path / "settings.json"
    path.write_text('{"training": {"stepz": 1}}')
    assert main(["run", "--home", str(tmp_path / "home"), "--config", str(path)]) == 2
    message = f"mvmodel-pipeline: {path}: training: no setting 'stepz'; did you mean 'steps'?"
    assert capsys.readouterr().err.strip() == message
    assert not (tmp_path / "home").exists()


def test_the_launchpads_override_is_validated_before_any_step(tmp_path: Path) -> None:
    computed = []

    @dg.op
    def compute() -> None:
        computed.append(True)

    @dg.op(required_resource_keys={"settings"})
    def compute_with_settings(context) -> None:
        computed.append(True)

    @dg.job
    def job() -> None:
        compute()
        compute_with_settings()

    defs = dg.Definitions(jobs=[job], resources={"settings": build_resources(tmp_path, {})["settings"]})

    config = {"home": str(tmp_path), "clips": str(tmp_path), "override": {"training": {"stepz": 1}}}
    with pytest.raises(dg.DagsterResourceFunctionError) as error:
        defs.resolve_job_def("job").execute_in_process(run_config={"resources": {"settings": {"config": config}}})
    assert str(error.value.__cause__) == "override: training: no setting 'stepz'; did you mean 'steps'?"
    assert not computed


def test_an_override_alone_keeps_the_settings_of_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dagster makes the resource from the launchpad's config alone, which then lacks what the home has."""
    for name in ("MVMODEL_CONFIG", "MVMODEL_CLIPS", "MVMODEL_PACK"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    write_settings(tmp_path, {"clips": str(tmp_path / "mine"), "training": {"steps": 7, "seed": 3}})
    seen: list[Settings] = []

    @dg.op
    def look(settings: Settings) -> None:
        seen.append(settings)

    @dg.job
    def job() -> None:
        look()

    defs = dg.Definitions(jobs=[job], resources={"settings": build_resources(tmp_path)["settings"]})
    config = {"override": {"training": {"steps": 9}}}
    run_config = {"resources": {"settings": {"config": config}}}
    assert defs.resolve_job_def("job").execute_in_process(run_config=run_config).success
    (settings,) = seen
    assert settings.home_folder == tmp_path and settings.raw_folder == tmp_path / "mine"
    assert settings.section("training") == {"steps": 9, "seed": 3}


def test_validation_imports_nothing_heavy() -> None:
    program = (
        "import sys; from pipelines.settings import SECTIONS, section_model;"
        "[section_model(name) for name in SECTIONS];"
        "print([m for m in ('torch', 'diffusers', 'cv2', 'pandas', 'sklearn', 'scipy', 'dagster') if m in sys.modules])"
    )
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "[]"


def test_every_setting_has_a_description() -> None:
    def undescribed(model: type[BaseModel], prefix: str) -> list[str]:
        names = []
        for name, field in model.model_fields.items():
            nested = field.annotation
            if isinstance(nested, type) and issubclass(nested, BaseModel):
                names += undescribed(nested, f"{prefix}.{name}")
            elif not field.description:
                names.append(f"{prefix}.{name}")
        return names

    assert [name for section in SECTIONS for name in undescribed(section_model(section), section)] == []


def test_the_settings_page_is_current() -> None:
    assert SETTINGS_PAGE.read_text() == render_settings_page(), "write it with `python -m pipelines.settings_docs`"
