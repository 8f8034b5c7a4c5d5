"""The models of the tiny pack: each asset is handed the models that it rests on, however many."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from pipelines.assets import foundation
from pipelines.store.artifact_store import ArtifactStore
from pipelines.store.io_manager import HandleIOManager


@pytest.mark.slow
def test_models_are_trained_in_turn_and_assembled_from_what_was_stored(tmp_path: Path, monkeypatch) -> None:
    stages: list[str] = []

    def run_stage(stage: str, folder: Path, out: Path | None = None) -> Path:
        stages.append(stage)
        target = out or folder / stage
        target.mkdir(parents=True, exist_ok=True)
        (target / "model.safetensors").write_text(stage)
        return target

    monkeypatch.setattr("mvmodel.foundation.stages.run_stage", run_stage)
    monkeypatch.setenv("MVMODEL_FOUNDATION", str(tmp_path / "foundation"))
    store = ArtifactStore(root=str(tmp_path / "store"), work=str(tmp_path / "work"))
    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize(
            [foundation.world_renders, *foundation.model_assets, foundation.tiny_pack],
            instance=instance,
            resources={"store": store, "handles": HandleIOManager(store=store)},
        )
    assert done.success
    assert sorted(stages) == sorted([model.stage for model in foundation.FOUNDATION_MODELS.values()] + ["pack"])
    assert stages.index("vae") < stages.index("text_to_image") < stages.index("controlnet") < stages.index("pack")
    versions = {version.asset: version for version in store.store.versions()}
    assert set(versions["tiny_pack"].inputs) == set(foundation.PACK_MODELS)
    assert set(versions["tiny_controlnet"].inputs) == {"tiny_vae", "tiny_text_to_image"}
