"""`python -m benchmarks mask_steps`: how much sooner the masks are there if two steps compute them.

The clips of a folder are ingested once. Then the masks are computed from scratch, in turn by one step and by two
(`mask_steps`), each step in a process of its own and with as many processors as there are steps, as on nodes of one
processor each. The times are those from the start of the first step to the end of the last. The load of the machine
disturbs their ratio; the processor time depends on it less, and tells what the second step costs.

With --executor ray the steps run on the cluster of RAY_ADDRESS, on whatever nodes it has.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg

from benchmarks.machine import describe_machine, publish_report, round_numbers
from mvmodel.errors import InputError
from pipelines.definitions import build_defs
from pipelines.driver.home import dagster_instance
from pipelines.settings import REPOSITORY, write_settings
from pipelines.store.materializations import latest_materialization

COUNTS = (1, 2)
MERGED = "foreground_masks"


def measure_mask_steps(
    clips: Path, folder: Path, executor: str = "multiprocess", repeats: int = 2, pack: str = ""
) -> dict[str, Any]:
    """`compare_steps` of the medians over the repeats, and whether all masks were the same.

    clips: a folder of videos. folder: for homes. pack: name or folder of the model pack.
    """
    sections = {"clips": str(clips), "pack": pack, "device": "cpu"}
    _ingest(folder / "ingested", sections)
    runs: dict[int, list[dict[str, float]]] = {count: [] for count in COUNTS}
    hashes = set()
    for repeat in range(repeats):
        for count in COUNTS:
            home = shutil.copytree(folder / "ingested", folder / f"{count}-{repeat}")
            write_settings(home, {**sections, "executor": executor, "mask_steps": count})
            figures, masks_hash = _measure_run(home, count, counts_processors=executor == "multiprocess")
            runs[count].append(figures)
            hashes.add(masks_hash)
    one, two = (_median(runs[count]) for count in COUNTS)
    return {**compare_steps(one, two), "same_masks": len(hashes) == 1}


def _median(runs: list[dict[str, float]]) -> dict[str, float]:
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def compare_steps(one: Mapping[str, float], two: Mapping[str, float]) -> dict[str, Any]:
    """The figures of the stage by one step and by two, and what follows from them.

    Two steps are three processes, the last of which puts the masks together, and compute each clip once. Therefore the
    difference in processor time is that of two processes before their first clip, and the rest is that of the clips.
    """
    figures: dict[str, Any] = {"one_step": dict(one), "two_steps": dict(two)}
    figures["throughput_ratio"] = one["seconds"] / two["seconds"]
    figures["throughput_ratio_of_shares"] = one["seconds_of_masks"] / two["seconds_of_masks"]
    if "processor_seconds" in one:
        a_process = (two["processor_seconds"] - one["processor_seconds"]) / 2
        clips = one["clips_per_minute"] * one["seconds"] / 60
        figures["processor_ratio"] = two["processor_seconds"] / one["processor_seconds"]
        figures["processor_seconds_per_process"] = a_process
        figures["processor_seconds_per_clip"] = (one["processor_seconds"] - a_process) / clips
    return figures


def _ingest(home: Path, sections: Mapping[str, Any]) -> None:
    """Make a home with ingested clips and without masks."""
    with dagster_instance(home) as instance:
        defs = build_defs(home=home, sections=sections, executor=dg.in_process_executor)
        job = defs.resolve_implicit_global_asset_job_def()
        job.execute_in_process(instance=instance, asset_selection=[dg.AssetKey("raw_clips"), dg.AssetKey("clips")])


def _measure_run(home: Path, count: int, counts_processors: bool) -> tuple[dict[str, float], str]:
    """Materialize the masks of a home by `count` steps; (figures, hash of the masks).

    counts_processors: give the steps `count` processors and count their time.
    """
    shares = [f"mask_share_{number + 1}" for number in range(count)] if count > 1 else []
    command = [sys.executable, "-m", "dagster", "asset", "materialize", "-m", "pipelines.definitions"]
    command += ["--select", ",".join([*shares, MERGED])]
    if counts_processors and (taskset := shutil.which("taskset")):
        command = [taskset, "--cpu-list", f"0-{count - 1}", *command]
    variables = {"DAGSTER_HOME": str(home / "dagster"), "PYTHONPATH": str(REPOSITORY), "TQDM_DISABLE": "1"}
    variables |= {"OMP_NUM_THREADS": "1"}
    load, earlier_seconds = os.getloadavg()[0], _children_seconds()
    run = subprocess.run(command, cwd=REPOSITORY, env={**os.environ, **variables}, capture_output=True, text=True)
    if run.returncode:
        raise InputError(f"the run failed: {(run.stderr or run.stdout)[-2000:]}")
    figures = {"load_before": load}
    if counts_processors:
        figures["processor_seconds"] = _children_seconds() - earlier_seconds
    with dagster_instance(home) as instance:
        times = _step_times(instance)
        figures["seconds"] = max(end for _, end in times.values()) - min(start for start, _ in times.values())
        computing = [times[step] for step in shares or [MERGED]]
        figures["seconds_of_masks"] = max(end for _, end in computing) - min(start for start, _ in computing)
        materialization = latest_materialization(instance, dg.AssetKey(MERGED))
        assert materialization is not None
        metadata = materialization.metadata
        figures["clips_per_minute"] = 60 * int(str(metadata["clips"].value)) / figures["seconds"]
        return figures, str(metadata["sha256"].value)


def _step_times(instance: dg.DagsterInstance) -> dict[str, tuple[float, float]]:
    """Step -> when it started and ended, of the latest run."""
    run_id = instance.get_run_records(limit=1)[0].dagster_run.run_id
    kinds = dg.DagsterEventType
    ends: dict[dg.DagsterEventType, dict[str, float]] = {kinds.STEP_START: {}, kinds.STEP_SUCCESS: {}}
    for entry in instance.all_logs(run_id, of_type=set(ends)):
        assert entry.dagster_event is not None
        ends[entry.dagster_event.event_type][str(entry.dagster_event.step_key)] = entry.timestamp
    return {step: (start, ends[kinds.STEP_SUCCESS][step]) for step, start in ends[kinds.STEP_START].items()}


def _children_seconds() -> float:
    """Processor time of the child processes that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks mask_steps", description=__doc__)
    parser.add_argument("--clips", type=Path, default=REPOSITORY / "datasets" / "samples", help="a folder of videos")
    parser.add_argument("--pack", default="", help="the model pack; default: tiny")
    parser.add_argument("--executor", choices=["multiprocess", "ray"], default="multiprocess")
    parser.add_argument("--repeats", type=int, default=2, help="runs with one step and with two; default 2")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--out", type=Path, help="also write the JSON to this file")
    options = parser.parse_args(arguments)
    machine, home = describe_machine(), os.environ.get("DAGSTER_HOME")
    folder = Path(tempfile.mkdtemp(prefix="mvmodel-mask-steps-"))
    try:
        figures = round_numbers(
            measure_mask_steps(options.clips.resolve(), folder, options.executor, options.repeats, options.pack)
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.environ.pop("DAGSTER_HOME", None)
        if home is not None:
            os.environ["DAGSTER_HOME"] = home
    figures |= {"clips": options.clips.name, "executor": options.executor}
    publish_report({**figures, "on": machine}, {"mask_steps": figures}, options.out, options.json)
