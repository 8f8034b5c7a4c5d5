"""`python -m benchmarks orchestration`: what Dagster costs on top of the library.

Ingests the samples as Dagster's daemon does, in a new process that loads the definitions, twice: with everything to
compute, and with nothing. The overhead is the share of the wall time outside of the assets' own functions. Then, unless
--ingestion-only, `mvmodel-pipeline run --quick` twice; the second run computes nothing, and what it adds to Dagster's
records is measured. `reached` says which goals were reached: the overhead of the first ingestion, and the records of
the ingestion and the run that compute nothing.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg

from benchmarks.machine import describe_machine, publish_report, round_numbers
from mvmodel.errors import InputError
from pipelines.driver.home import dagster_instance
from pipelines.settings import REPOSITORY

SAMPLES = REPOSITORY / "datasets" / "samples"
INGESTION = ("-m", "dagster", "job", "execute", "-m", "pipelines.definitions", "-j", "ingest")
MAX_OVERHEAD, MAX_LOG_MEGABYTES = 0.4, 0.5
"""The goals: share of an ingestion outside of the library, and megabytes of records of a run that computes nothing."""


def measure_orchestration(clips: Path, folder: Path, with_motions: bool, pack: str = "") -> dict[str, Any]:
    """Seconds, overhead and records of an ingestion, of a second one, and of a second whole run.

    folder: for homes. pack: name or folder of the model pack.
    """
    home = folder / "ingestion"
    figures: dict[str, Any] = {"goals": {"overhead": MAX_OVERHEAD, "log_megabytes": MAX_LOG_MEGABYTES}}
    for name in ("ingestion", "ingestion_again"):
        figures[name] = _measure_run(home, clips, INGESTION)
    if with_motions:
        home = folder / "run"
        driver = ["-m", "pipelines", "run", "--quick", "--clips", str(clips), "--home", str(home)]
        driver += ["--pack", pack] if pack else []
        for name in ("run", "run_again"):
            figures[name] = _measure_run(home, clips, driver)
    repeated = [figures[name] for name in ("ingestion_again", "run_again") if name in figures]
    figures["reached"] = {
        "overhead": figures["ingestion"]["overhead"] <= MAX_OVERHEAD,
        "log_megabytes": max(run["log_megabytes"] for run in repeated) <= MAX_LOG_MEGABYTES,
    }
    return figures


def _measure_run(home: Path, clips: Path, arguments: Sequence[str]) -> dict[str, Any]:
    """Run Python with these arguments on a home: wall time, time inside the assets, and growth of the records.

    The time inside the assets is None if nothing was run in Dagster.
    """
    with dagster_instance(home) as instance:
        earlier = {record.dagster_run.run_id for record in instance.get_run_records()}
    earlier_bytes = _count_bytes(home)
    environment = {**os.environ, "MVMODEL_CLIPS": str(clips), "PYTHONPATH": str(REPOSITORY), "TQDM_DISABLE": "1"}
    started = time.perf_counter()
    process = subprocess.run(
        [sys.executable, *arguments], cwd=REPOSITORY, env=environment, capture_output=True, text=True
    )
    seconds = time.perf_counter() - started
    if process.returncode:
        raise InputError(f"the run failed: {(process.stderr or process.stdout)[-2000:]}")
    with dagster_instance(home) as instance:
        runs = [r.dagster_run.run_id for r in instance.get_run_records() if r.dagster_run.run_id not in earlier]
        stages = _read_stages(instance, runs)
    library_seconds = sum(stage["seconds"] for stage in stages)
    return {
        "seconds": seconds,
        "seconds_in_library": library_seconds if runs else None,
        "overhead": max(0.0, 1 - library_seconds / seconds) if runs else None,
        "steps": len(stages),
        "computed_steps": sum(stage["computed"] for stage in stages),
        "runs": len(runs),
        "log_megabytes": (_count_bytes(home) - earlier_bytes) / 1e6,
    }


def _read_stages(instance: dg.DagsterInstance, runs: Sequence[str]) -> list[dict[str, Any]]:
    """Seconds inside the function of every asset that the runs materialized, and whether anything was computed."""
    stages = []
    for run in runs:
        for entry in instance.all_logs(run, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
            event = entry.asset_materialization
            if event is not None and "step_seconds" in event.metadata:
                metadata = {name: value.value for name, value in event.metadata.items()}
                stages.append({"seconds": float(metadata["step_seconds"]), "computed": bool(metadata["computed"])})
    return stages


def _count_bytes(home: Path) -> int:
    """Bytes of Dagster's records of runs and events."""
    folder = home / "dagster" / "history"
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks orchestration", description=__doc__)
    parser.add_argument("--clips", type=Path, default=SAMPLES, help="a folder of videos; default: the samples")
    parser.add_argument("--pack", default="", help="the model pack of the whole runs; default: tiny")
    parser.add_argument("--ingestion-only", action="store_true", help="without the two whole runs")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--out", type=Path, help="also write the JSON to this file")
    options = parser.parse_args(arguments)
    folder = Path(tempfile.mkdtemp(prefix="mvmodel-orchestration-"))
    home = os.environ.get("DAGSTER_HOME")
    try:
        figures = round_numbers(
            measure_orchestration(options.clips.resolve(), folder, not options.ingestion_only, options.pack)
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.environ.pop("DAGSTER_HOME", None)
        if home is not None:
            os.environ["DAGSTER_HOME"] = home
    machine = describe_machine()
    figures["clips"] = options.clips.name
    publish_report({**figures, "on": machine}, {"orchestration": figures}, options.out, options.json)


if __name__ == "__main__":
    main()
