"""Steps: training that one machine began and another ends, readers on a third, and a disk that is full."""

from __future__ import annotations

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import torch

from mvmodel.training.loop import train
from mvmodel.training.optimizer import LoopConfig
from pipelines.assets.decorator import mvmodel_asset
from pipelines.store import verified_files
from pipelines.store.artifact_store import ArtifactStore
from pipelines.store.io_manager import HandleIOManager
from pipelines.store.version_store import Handle

CONFIG = LoopConfig(steps=8, batch=1, lr=1e-2, precision="no", checkpoint_every=2)


def define_assets(steps: list[int], power_cut: int, texts: list[str]) -> list[dg.AssetsDefinition]:
    """An adapter that is trained until the power is cut, and a reader of it."""

    @mvmodel_asset("training", code_version="1")
    def adapter(context: dg.AssetExecutionContext, store: ArtifactStore) -> Any:
        """A model of one weight."""

        def loss(net: torch.nn.Module, batch: Any, step: int) -> Any:
            steps.append(step)
            if step == power_cut:
                raise RuntimeError("power cut")
            return (net(torch.ones(1, 1)) - torch.rand(1)).square().mean(), {}

        def build(folder: Path) -> None:
            torch.manual_seed(0)
            model = train(
                "line", torch.nn.Linear(1, 1), lambda i: i, loss, CONFIG, folder / "t", report=lambda row: None
            )
            (folder / "weight").write_text(repr([float(value.detach()) for value in model.parameters()]))

        return store.step(context, {}, {}, build, volatile=("t/*",))

    @mvmodel_asset("training", code_version="1")
    def reader(context: dg.AssetExecutionContext, adapter: Handle, store: ArtifactStore) -> Any:
        """A copy of the weight."""
        texts.append((adapter.folder / "weight").read_text())
        return store.step(
            context, {"adapter": adapter}, {}, lambda folder: (folder / "x").write_text(texts[-1]) and None
        )

    return [adapter, reader]


def materialize(instance: dg.DagsterInstance, store: ArtifactStore, power_cut: int = -1, select: str = "*") -> Any:
    steps: list[int] = []
    texts: list[str] = []
    result = dg.materialize(
        define_assets(steps, power_cut, texts),
        instance=instance,
        resources={"store": store, "handles": HandleIOManager(store=store)},
        raise_on_error=False,
        selection=select,
    )
    return result.success, steps, texts


def test_another_machine_goes_on_with_a_training_and_a_third_reads_it(
    address: tuple[str, dict[str, Any]], tmp_path: Path
) -> None:
    root, options = address

    def machine(name: str) -> ArtifactStore:
        return ArtifactStore(root=root, work=str(tmp_path / name / "work"), options=options)

    with dg.DagsterInstance.ephemeral() as instance:
        alone = ArtifactStore(root=str(tmp_path / "store"), work=str(tmp_path / "work"))
        unbroken = materialize(instance, alone, select="*")[2]
    with dg.DagsterInstance.ephemeral() as instance:
        done, steps, _ = materialize(instance, machine("a"), power_cut=5)
        assert not done and steps == [0, 1, 2, 3, 4, 5]
        done, steps, texts = materialize(instance, machine("b"), select="adapter")
        assert done and steps == [4, 5, 6, 7] and texts == []
        done, steps, texts = materialize(instance, machine("c"), select="reader")
        assert done and steps == [] and texts == unbroken
        done, steps, texts = materialize(instance, machine("a"))
        assert done and steps == [], "the version is found by its recipe"
    files = machine("d").store.file_system
    assert {files.relative(file).split("/")[0] for file in files.files(files.root)} == {"adapter", "reader", "recipes"}


def test_a_run_looks_at_every_file_once_and_the_next_run_looks_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []
    stamp = verified_files._stamp
    store = ArtifactStore(root=str(tmp_path / "store"), work=str(tmp_path / "work"))
    with dg.DagsterInstance.ephemeral() as instance:
        materialize(instance, store)
        monkeypatch.setattr(verified_files, "_stamp", lambda path: names.append(path.name) or stamp(path))
        done, steps, _ = materialize(instance, store)
        assert done and steps == []
        assert names.count("weight") == 1, "not once more for the reader"
        next(path for path in (tmp_path / "store").rglob("weight")).write_text("[0.0]")
        done, steps, texts = materialize(instance, store)
        assert done and steps == list(range(8)) and texts != ["[0.0]"], "the damage was found"


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left on device"), OSError("589824 requested and 81792 written")]
)
def test_a_full_disk_is_one_sentence_and_not_tried_again(tmp_path: Path, error: OSError) -> None:
    tries: list[int] = []

    @mvmodel_asset("training", code_version="1")
    def adapter(context: dg.AssetExecutionContext, store: ArtifactStore) -> Any:
        """Fills the disk."""

        def build(folder: Path) -> None:
            tries.append(1)
            raise error

        return store.step(context, {}, {}, build)

    store = ArtifactStore(root=str(tmp_path / "store"), work=str(tmp_path / "work"))
    result = dg.materialize(
        [adapter], resources={"store": store, "handles": HandleIOManager(store=store)}, raise_on_error=False
    )
    failure = next(event for event in result.all_events if event.is_step_failure).step_failure_data.user_failure_data
    assert failure is not None and tries == [1]
    assert str(failure.description).startswith("the disk is full; free some space and run the same command again")


@pytest.mark.parametrize("variable", ["set", "missing"])
def test_options_are_read_from_the_environment(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, commit: Callable[..., Any]
) -> None:
    options = {"client_kwargs": {"password": {"env": "STORE_PASSWORD"}}}
    store = ArtifactStore(root="memory://x", work=str(tmp_path / "work"), options=options)
    if variable == "set":
        monkeypatch.setenv("STORE_PASSWORD", "hidden")
        assert store.store.root.storage_options["client_kwargs"] == {"password": "hidden"}
        assert "hidden" not in repr(store)
    else:
        with pytest.raises(Exception, match="password is in the environment variable STORE_PASSWORD, which is not set"):
            _ = store.store
