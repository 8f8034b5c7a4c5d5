"""`python -m benchmarks catalogue`: what one machine holds, on catalogues of records without videos.

Catalogues of growing size are written through the library's own functions and the pipeline's store: a folder of clips
with masks, the catalogue's table, motions, a version with a file per clip, and Dagster's records of every motion. Each
stage is timed at every size, in seconds of this process's processor, and compared with growth in proportion. The UI's
answers come from Dagster's GraphQL server in this process, in seconds of wall time.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dagster as dg
import numpy as np
import pandas as pd

from benchmarks.machine import describe_machine, publish_report, round_numbers
from mvmodel.files import hash_value, write_json
from mvmodel.motion.attributes import ATTRIBUTES
from mvmodel.motion.descriptor import DESCRIPTOR_NAMES
from mvmodel.motion.distance import SPREAD
from mvmodel.motion.grouping import group_clips
from mvmodel.motion.motion_map import MotionMap
from mvmodel.reports.motion_map_plots import draw_overview
from mvmodel.video.catalogue import CATALOGUE_COLUMNS, Catalogue, write_catalogue
from mvmodel.video.sources import find_sources
from pipelines import raw_files
from pipelines.driver.home import dagster_instance
from pipelines.partitions import motions
from pipelines.settings import REPOSITORY
from pipelines.store.artifact_store import version_metadata
from pipelines.store.materializations import load_current
from pipelines.store.version_store import Handle, VersionStore

SIZES = (2_000, 20_000)
CLIPS_PER_MOTION = 20
MOTION_ASSETS = ("motion_adapter", "promoted_adapter", "metric_report")
"""Assets of every motion that records are written for."""
QUERIES = {
    "asset list": "{assetNodes {assetKey {path} groupName opNames isPartitioned}}",
    "partitions of an asset": """{assetNodeOrError(assetKey: {path: ["motion_adapter"]}) {... on AssetNode {
        partitionKeys partitionStats {numMaterialized numPartitions}
        assetPartitionStatuses {... on DefaultPartitionStatuses {materializedPartitions}}}}}""",
    "one partition": """{assetNodeOrError(assetKey: {path: ["motion_adapter"]}) {... on AssetNode {
        assetMaterializations(partitions: ["motion-0"], limit: 10) {timestamp metadataEntries {label}}}}}""",
}
"""What pages of the UI ask for."""


class Stages:
    """Times the stages of one size."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def measure(self, name: str, clock: Callable[[], float] = time.process_time) -> Iterator[None]:
        started = clock()
        yield
        self.seconds[name] = clock() - started


def make_descriptors(clips: int) -> tuple[pd.DataFrame, pd.Series]:
    """Descriptors of clips of distinct motions, and the labels of every other clip of each motion."""
    random = np.random.default_rng(0)
    count = clips // CLIPS_PER_MOTION
    motion = np.arange(clips) % count
    units = np.array([SPREAD[name] for name in DESCRIPTOR_NAMES])
    centres = random.normal(0, 3, (count, len(units)))
    values = (centres[motion] + random.normal(0, 0.6, (clips, len(units)))) * units
    index = pd.Index([f"clip-{number:06d}" for number in range(clips)], name="clip")
    table = pd.DataFrame(values, index, list(DESCRIPTOR_NAMES)).assign(**dict.fromkeys(ATTRIBUTES, 0.0))
    is_labelled = np.arange(clips) // count % 2 == 0
    labels = [f"motion {number}" if labelled else "" for number, labelled in zip(motion, is_labelled, strict=True)]
    return table, pd.Series(labels, index)


def measure_catalogue(clips: int, folder: Path, with_ui: bool = True) -> dict[str, Any]:
    """Seconds of every stage at one size, and bytes of the records. folder: for the home."""
    stages = Stages()
    descriptors, labels = make_descriptors(clips)
    _measure_folder(stages, folder, list(descriptors.index))
    _measure_catalogue_table(stages, folder / "catalogue", labels)
    names = _measure_grouping(stages, descriptors, labels, folder)
    home = folder / "home"
    store = VersionStore(home / "store", home / "work")
    with dagster_instance(home) as instance:
        _measure_version(stages, store, list(descriptors.index))
        log_bytes = _measure_records(stages, store, instance, names)
        if with_ui:
            _measure_ui(stages, instance)
    return {"clips": clips, "motions": len(names), "seconds": stages.seconds, "log_megabytes": log_bytes / 1e6}


def _measure_folder(stages: Stages, folder: Path, names: Sequence[str]) -> None:
    """Files that stand for videos, each with masks beside it and a line of the manifest."""
    raw = folder / "raw"
    raw.mkdir(parents=True)
    for name in names:
        (raw / f"{name}.mp4").write_text(name)
        (raw / f"{name}.masks.npz").write_text(name)
    (raw / "manifest.csv").write_text("file,motion\n" + "".join(f"{name}.mp4,walk\n" for name in names))
    with stages.measure("hash the raw files"):
        raw_files.hash_files(raw, folder / "hashes.json")
    with stages.measure("look for changed files"):
        raw_files.stamp_files(raw)
    with stages.measure("find clips and their masks"):
        sources, unused = find_sources(raw)
    if len(sources) != len(names) or unused or not all(source.masks for source in sources):
        raise RuntimeError("the folder was not read as it was written")


def _measure_catalogue_table(stages: Stages, folder: Path, labels: pd.Series) -> None:
    defaults = {"str": "", "int64": 0, "float64": 24.0, "object": list(range(16))}
    columns = {name: [defaults[kind]] * len(labels) for name, kind in CATALOGUE_COLUMNS.items()}
    rows = pd.DataFrame({**columns, "clip": list(labels.index), "motion": list(labels)}).to_dict(orient="records")
    folder.mkdir()
    with stages.measure("write and read the catalogue"):
        write_catalogue(folder, rows, [])
        catalogue = Catalogue.load(folder)
        for clip in catalogue.clips:
            catalogue.row(clip)


def _measure_grouping(stages: Stages, descriptors: pd.DataFrame, labels: pd.Series, folder: Path) -> list[str]:
    """The names of the motions."""
    with stages.measure("group the clips, half of them labelled"):
        groups = group_clips(descriptors, labels)
    with stages.measure("group the clips without labels"):
        group_clips(descriptors, pd.Series("", labels.index))
    line = np.zeros((16, 2))
    with stages.measure("draw the map"):
        motion_map = MotionMap.from_groups(descriptors, dict.fromkeys(labels.index, line), groups.table)
        draw_overview(motion_map).save(folder / "groups.png")
    return sorted(groups.motions)


def _measure_version(stages: Stages, store: VersionStore, names: Sequence[str]) -> None:
    """A version with a file per clip, as masks have it."""
    work = store.work / "build"
    work.mkdir(parents=True)
    for name in names:
        (work / f"{name}.npz").write_text(name)
    with stages.measure("store a file per clip"):
        version = store.commit(work, asset="foreground_masks", partition=None, recipe=hash_value("masks"))
    time.sleep(3)  # files that changed a moment ago are hashed again
    store.open("foreground_masks", None, version.sha)
    with stages.measure("open that version again"):
        store.open("foreground_masks", None, version.sha)


def _measure_records(stages: Stages, store: VersionStore, instance: dg.DagsterInstance, names: Sequence[str]) -> int:
    """A version and a record of every asset of every motion; returns the bytes of the records."""
    history = Path(instance.storage_directory()).parent / "history"
    history = history if history.is_dir() else Path(os.environ["DAGSTER_HOME"])
    earlier_bytes = _count_bytes(history)
    with stages.measure("record the motions"):
        instance.add_dynamic_partitions(str(motions.name), list(names))
        for asset in MOTION_ASSETS:
            for name in names:
                instance.report_runless_asset_event(_materialization(store, asset, name))
    size = _count_bytes(history) - earlier_bytes
    with stages.measure("open the report of every motion"):
        for name in instance.get_dynamic_partitions(str(motions.name)):
            load_current(instance, store, "metric_report", name)
    return size


def _materialization(store: VersionStore, asset: str, partition: str) -> dg.AssetMaterialization:
    work = store.work / "build"
    work.mkdir(parents=True, exist_ok=True)
    write_json(work / "content.json", [asset, partition])
    version = store.commit(work, asset=asset, partition=partition, recipe=hash_value([asset, partition]))
    handle = Handle(
        asset, partition, version.sha, version.recipe, Path(str(store.path_of(asset, partition, version.sha)))
    )
    return dg.AssetMaterialization(
        asset,
        partition=partition,
        metadata=version_metadata(handle, version, True, 1.0, {}),
        tags={"dagster/data_version": version.sha},
    )


def _measure_ui(stages: Stages, instance: dg.DagsterInstance) -> None:
    """The second answer to each of `QUERIES`; the first loads the definitions."""
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import ModuleTarget
    from dagster_graphql.schema import create_schema

    target = ModuleTarget("pipelines.definitions", None, str(REPOSITORY), "mvmodel")
    schema = create_schema()
    with WorkspaceProcessContext(instance, target) as process:
        for name, query in QUERIES.items():
            for _ in range(2):
                with stages.measure(f"UI: {name}", time.perf_counter):
                    answer = asyncio.run(schema.execute_async(query, context_value=process.create_request_context()))
            if answer.errors or "PythonError" in str(answer.data):
                raise RuntimeError(f"the UI did not answer {name}: {answer.errors or answer.data}")


def _count_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def compare_sizes(sizes: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Stage -> how much longer it takes at the largest size than at the smallest, in units of the ratio of the clips:
    1 is growth in proportion."""
    small, large = sizes[0], sizes[-1]
    ratio = large["clips"] / small["clips"]
    growth = {name: large["seconds"][name] / max(small["seconds"][name], 1e-3) / ratio for name in large["seconds"]}
    return {**growth, "records": large["log_megabytes"] / small["log_megabytes"] / ratio}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks catalogue", description=__doc__)
    parser.add_argument("--clips", type=int, nargs="+", default=list(SIZES), help="sizes; default: 2000 20000")
    parser.add_argument("--without-ui", action="store_true", help="do not start Dagster's GraphQL server")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--out", type=Path, help="also write the JSON to this file")
    options = parser.parse_args(arguments)
    sizes, home = [], os.environ.get("DAGSTER_HOME")
    try:
        for clips in sorted(options.clips):
            folder = Path(tempfile.mkdtemp(prefix="mvmodel-catalogue-"))
            try:
                sizes.append(round_numbers(measure_catalogue(clips, folder, not options.without_ui)))
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    finally:
        os.environ.pop("DAGSTER_HOME", None)
        if home is not None:
            os.environ["DAGSTER_HOME"] = home
    tables = {f"{size['clips']} clips": size for size in sizes}
    report = {"sizes": sizes, "on": describe_machine()}
    if len(sizes) > 1:
        report["growth"] = tables["growth (1 is in proportion)"] = round_numbers(compare_sizes(sizes))
    publish_report(report, tables, options.out, options.json)


if __name__ == "__main__":
    main()
