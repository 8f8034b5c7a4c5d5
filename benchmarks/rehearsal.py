"""The whole pipeline at the size of Stable Diffusion 1.5, with random weights: seconds and peak memory of every stage.

Runs `mvmodel-pipeline run --quick` in a process of its own on a few clips, with one training step, one motion and one
video of each kind, while this process samples its memory. It shows what only full size shows: what does not fit, and
where the time goes. The videos are noise. On two cores it takes tens of minutes.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.machine import describe_machine, publish_report, round_numbers
from mvmodel.files import write_json

RANDOM_PACK = Path(".mvmodel/benchmarks/sd15-rehearsal")
MOTION = "rehearsal"
SAMPLE_SECONDS = 0.25
SETTINGS: dict[str, Any] = {
    "training": {"steps": 1, "warmup": 0},
    "training_set": {"min_clips": 1, "max_clips": 2, "held_out": 1},
    "groups": {"min_clips": 1},
    "requests": {"file": "", "count": 1},
    "comparison": {"scratch": False, "no_mask": True, "scheduler_requests": 0},
}


@dataclass(frozen=True)
class MemorySample:
    """Resident memory in GiB of the pipeline and its workers, at a time in seconds since 1970."""

    time: float
    gib: float


def run_rehearsal(
    pack: str, clips: Path, count: int, segmenter: str, memory: str, home: Path, masks: Path | None = None
) -> dict[str, Any]:
    """Run the pipeline in `home` on the first `count` clips of a folder, as one motion.

    masks: folder with a file of masks for each clip, of the clip's name; None lets the segmenter find them.

    Returns `stages` (name -> seconds, peak_gib), `seconds`, `peak_gib`, `exit_code` and `failures`.
    """
    folder = home / "clips"
    link_clips(clips, count, folder, masks)
    settings = home / "settings.json"
    write_json(settings, {**SETTINGS, "memory": memory})
    command = [sys.executable, "-m", "pipelines", "run", "--quick", "--pack", pack, "--clips", str(folder)]
    command += ["--config", str(settings), "--home", str(home / "home")]
    command += ["--segmenter", segmenter] if segmenter else []
    began = time.time()
    process = subprocess.Popen(command, stdout=sys.stderr)
    samples = sample_memory(process)
    summary_file = home / "home" / "summary.json"
    summary = json.loads(summary_file.read_text()) if summary_file.exists() else {}
    return {
        "stages": measure_stages(summary.get("stages", []), samples),
        "seconds": time.time() - began,
        "peak_gib": max((sample.gib for sample in samples), default=0.0),
        "exit_code": process.returncode,
        "failures": summary.get("failures", ["the pipeline ended without a summary"]),
    }


def link_clips(clips: Path, count: int, folder: Path, masks: Path | None = None) -> None:
    """Link the first clips of a folder and their masks into another, with a manifest that gives them one motion."""
    files = sorted(path for path in clips.iterdir() if path.suffix.lower() in (".mp4", ".mov", ".webm", ".mkv"))[:count]
    if not files:
        sys.exit(f"{clips} has no videos; give a folder with some to --clips")
    folder.mkdir(parents=True)
    for file in files:
        (folder / file.name).symlink_to(file.resolve())
        for mask_file in masks.glob(f"{file.stem}.*") if masks else ():
            (folder / f"{file.stem}.masks{mask_file.suffix}").symlink_to(mask_file.resolve())
    with open(folder / "manifest.csv", "w", newline="") as manifest:
        rows = csv.writer(manifest)
        rows.writerow(["file", "motion"])
        rows.writerows([file.name, MOTION] for file in files)


def sample_memory(process: subprocess.Popen[bytes]) -> list[MemorySample]:
    """The memory of a process and its children until it ends."""
    samples = []
    watched = psutil.Process(process.pid)
    while process.poll() is None:
        try:
            family = [watched, *watched.children(recursive=True)]
            used = sum(member.memory_info().rss for member in family if member.is_running())
        except psutil.Error:  # one of them ended meanwhile
            used = 0
        samples.append(MemorySample(time.time(), used / 2**30))
        time.sleep(SAMPLE_SECONDS)
    return samples


def measure_stages(stages: list[dict[str, Any]], samples: list[MemorySample]) -> dict[str, dict[str, float]]:
    """Stage -> its seconds, and the highest sample between its begin and its end."""
    figures = {}
    for stage in stages:
        end = stage.get("ended") or 0.0
        peaks = [sample.gib for sample in samples if end - stage["seconds"] - SAMPLE_SECONDS <= sample.time <= end]
        figures[stage["name"]] = {"seconds": stage["seconds"], "peak_gib": max(peaks, default=0.0)}
    return figures


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks rehearsal", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=Path, default=Path("datasets/samples"), help="folder with real clips")
    parser.add_argument("--masks", type=Path, help="folder with a file of masks for each clip, of the clip's name")
    parser.add_argument("--count", type=int, default=2, help="clips to use")
    parser.add_argument("--pack", help=f"name or folder of a pack; without it {RANDOM_PACK}, written if it is missing")
    parser.add_argument("--segmenter", default="", help="what makes the masks; the default is the pipeline's")
    parser.add_argument("--memory", default="auto")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--out", type=Path, help="also write the JSON to this file")
    options = parser.parse_args(arguments)
    if options.pack is None and not RANDOM_PACK.exists():
        from mvmodel.packs.random_pack import write_random_pack

        write_random_pack("sd15", RANDOM_PACK)
    pack = options.pack or str(RANDOM_PACK.resolve())
    with tempfile.TemporaryDirectory() as folder:
        figures = run_rehearsal(
            pack, options.clips, options.count, options.segmenter, options.memory, Path(folder).resolve(), options.masks
        )
    report = {**round_numbers(figures), "memory": options.memory, "on": describe_machine()}
    publish_report(report, report, options.out, options.json)
    sys.exit(figures["exit_code"])


if __name__ == "__main__":
    main()
