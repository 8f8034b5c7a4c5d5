"""The models of the tiny pack: each asset is handed the models that it rests on, however many."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from pipelines import jobs
from pipelines.assets import foundation
from pipelines.definitions import build_defs
from pipelines.store.artifact_store import ArtifactStore
from pipelines.store.io_manager import HandleIOManager


@pytest.fixture
def stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The stages that were trained, by a stand-in that writes a file."""
    stages: list[str] = []

    def run_stage(stage: str, folder: Path, out: Path | None = None) -> Path:
        stages.append(stage)
        target = out or folder / stage
        target.mkdir(parents=True, exist_ok=True)
        (target / "model.safetensors").write_text(stage)
        return target

    monkeypatch.setattr("mvmodel.foundation.stages.run_stage", run_stage)
    monkeypatch.setenv("MVMODEL_FOUNDATION", str(tmp_path / "foundation"))
    return stages


def materialize(
    instance: dg.DagsterInstance,
    store: ArtifactStore,
    run_config: dict | None = None,
    selection: str | list[str] = "*",
) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [foundation.world_renders, *foundation.model_assets, foundation.tiny_pack],
        instance=instance,
        resources={"store": store, "handles": HandleIOManager(store=store)},
        run_config=run_config,
        selection=selection,
    )


@pytest.mark.slow
def test_models_are_trained_in_turn_and_assembled_from_what_was_stored(tmp_path: Path, stages: list[str]) -> None:
    store = ArtifactStore(root=str(tmp_path / "store"), work=str(tmp_path / "work"))
    with dg.DagsterInstance.ephemeral() as instance:
        assert materialize(instance, store, jobs.FOUNDATION_CONFIG).success
        versions = {version.asset: version for version in store.store.versions()}
        count = len(stages)
        recorded = materialize(instance, store).get_asset_materialization_events()
        assert len(stages) == count and {event.asset_key.path[-1] for event in recorded} == set(versions), (
            "it is stored"
        )
    assert sorted(stages) == sorted([model.stage for model in foundation.FOUNDATION_MODELS.values()] + ["pack"])
    assert stages.index("vae") < stages.index("text_to_image") < stages.index("controlnet") < stages.index("pack")
    assert set(versions["tiny_pack"].inputs) == set(foundation.PACK_MODELS)
    assert set(versions["tiny_controlnet"].inputs) == {"tiny_vae", "tiny_text_to_image"}


def test_nothing_is_trained_that_nobody_has_asked_for(tmp_path: Path, stages: list[str]) -> None:
    store = ArtifactStore(root=str(tmp_path / "store"), work=str(tmp_path / "work"))
    with dg.DagsterInstance.ephemeral() as instance:
        result = materialize(instance, store, selection=["tiny_vae", "tiny_decoder"])
        warnings = [
            entry.user_message for entry in instance.all_logs(result.run_id) if "is skipped" in entry.user_message
        ]
    assert result.success and not stages and not result.get_asset_materialization_events()
    assert warnings == [
        "tiny_vae is skipped, because training it takes hours; start the job train_tiny_pack, or set `train: true` in "
        "the config of tiny_vae"
    ]
    assert [event.step_key for event in result.all_events if event.is_step_skipped] == ["tiny_decoder"]


def test_the_job_asks_for_all_of_it() -> None:
    job = build_defs(sections={}).resolve_job_def("train_tiny_pack")
    trained = {name for name, entry in job.run_config["ops"].items() if entry["config"]["train"]}
    assert trained == {*foundation.FOUNDATION_MODELS, "tiny_pack"}
