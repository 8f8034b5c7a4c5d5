"""What the driver does not run again, and what makes it run a phase, on two small assets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from pipelines import checks
from pipelines.assets.decorator import mvmodel_asset
from pipelines.driver.phase import run_phase
from pipelines.driver.up_to_date import find_finished_phase
from pipelines.partitions import motions
from pipelines.store.artifact_store import ArtifactStore
from pipelines.store.io_manager import HandleIOManager
from pipelines.store.version_store import Handle

MOTION = "slide"


class Home:
    """A store and Dagster's records, with an asset of words and one for each motion that counts them."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.folder, self.instance = folder, instance
        self.words, self.enough, self.code, self.unit = "a b", 1, "1", "words"

    @property
    def resources(self) -> dict[str, Any]:
        store = ArtifactStore(root=str(self.folder / "store"), work=str(self.folder / "work"))
        return {"store": store, "handles": HandleIOManager(store=store)}

    @property
    def defs(self) -> dg.Definitions:
        @mvmodel_asset("texts", code_version="1")
        def words(context: dg.AssetExecutionContext, store: ArtifactStore) -> dg.MaterializeResult[Handle]:
            text = self.words
            return store.step(context, {}, {"words": text}, lambda folder: _write(folder / "words.txt", text))

        @mvmodel_asset(
            "texts",
            partitions_def=motions,
            code_version=self.code,
            check_specs=[dg.AssetCheckSpec("enough", asset="counted_words", partitions_def=motions)],
        )
        def counted_words(
            context: dg.AssetExecutionContext, words: Handle, store: ArtifactStore
        ) -> dg.MaterializeResult[Handle]:
            count = len((words.folder / "words.txt").read_text().split())
            result = store.step(context, {"words": words}, {}, lambda folder: _write(folder / "count.txt", str(count)))
            metadata = {**(result.metadata or {}), "unit": self.unit}
            result = dg.MaterializeResult(value=result.value, data_version=result.data_version, metadata=metadata)
            return checks.with_checks(
                result,
                [dg.AssetCheckResult(check_name="enough", passed=count >= self.enough, metadata={"count": count})],
            )

        jobs = [
            dg.define_asset_job("read", dg.AssetSelection.assets("words")),
            dg.define_asset_job("count", dg.AssetSelection.assets("counted_words"), partitions_def=motions),
        ]
        return dg.Definitions(assets=[words, counted_words], jobs=jobs, resources=self.resources)

    def run(self) -> None:
        defs = self.defs
        for job, partition in (("read", None), ("count", MOTION)):
            assert not run_phase(defs, self.instance, job, partition).failures

    def find(self, job: str = "count") -> Any:
        return find_finished_phase(self.defs, self.instance, self.resources, job, MOTION if job == "count" else None)


def _write(path: Path, text: str) -> None:
    path.write_text(text)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions(str(motions.name), [MOTION])
        yield Home(tmp_path, instance)


def test_what_was_just_made_is_up_to_date_and_leaves_no_record(home: Home) -> None:
    assert home.find() is None, "nothing is there yet"
    home.run()
    runs = len(home.instance.get_runs())
    result = home.find()
    assert [(stage["name"], stage["partition"], stage["computed"]) for stage in result.stages] == [
        ("counted_words", MOTION, False)
    ]
    assert result.metadata["counted_words"]["unit"] == "words" and not result.failures
    assert home.find("read") is not None
    assert len(home.instance.get_runs()) == runs


def change_words(home: Home) -> None:
    home.words = "c d e"
    run_phase(home.defs, home.instance, "read")


def damage_a_file(home: Home) -> None:
    next((home.folder / "store").rglob("count.txt")).write_text("9")


def remove_an_input(home: Home) -> None:
    next((home.folder / "store").rglob("words.txt")).unlink()


@pytest.mark.parametrize(
    "change",
    [
        change_words,
        damage_a_file,
        remove_an_input,
        lambda home: setattr(home, "code", "2"),
        lambda home: setattr(home, "enough", 3),
        lambda home: setattr(home, "unit", "lines"),
    ],
    ids=["input", "damage", "missing", "code", "check", "metadata"],
)
def test_what_has_changed_is_run(home: Home, change: Callable[[Home], None]) -> None:
    home.run()
    change(home)
    assert home.find() is None


def test_new_content_that_no_record_knows_is_computed_by_a_run_alone(home: Home) -> None:
    home.run()
    versions = sorted((home.folder / "store" / "words").rglob("manifest.json"))
    home.words = "c d e"
    assert home.find("read") is None
    assert sorted((home.folder / "store" / "words").rglob("manifest.json")) == versions


def test_going_back_to_an_earlier_version_is_recorded(home: Home) -> None:
    home.run()
    home.words = "c d e"
    home.run()
    home.words = "a b"
    assert home.find("read") is None, "it is stored, but it is not the version in use"
