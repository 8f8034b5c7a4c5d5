"""The whole pipeline at the size of Stable Diffusion 1.5, with random weights: seconds and peak memory of every stage.

Runs `mvmodel-pipeline run --quick` in a process of its own on a few clips, with one training step, one motion and one
video of each kind, while this process samples its memory, and the GPU's. It shows what only full size shows: what does
not fit, and where the time goes. The videos are noise. On two cores it takes tens of minutes.
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

from benchmarks.gpu_tables import format_table
from benchmarks.machine import describe_machine, publish_report, round_numbers
from mvmodel.files import write_json
from mvmodel.packs.device import resolve_device

RANDOM_PACK = Path(".mvmodel/benchmarks/sd15-rehearsal")
MOTION = "rehearsal"
SAMPLE_SECONDS = 0.25
SETTINGS: dict[str, Any] = {
    "training": {"steps": 1, "warmup": 0},
    "training_set": {"min_clips": 1, "max_clips": 2, "held_out": 1},
    "groups": {"min_clips": 1},
    "ingest": {"overflow": "letterbox"},
    "requests": {"file": "", "count": 1},
    "comparison": {"scratch": False, "no_mask": True, "scheduler_requests": 0},
}


@dataclass(frozen=True)
class MemorySample:
    """Memory in GiB at a time in seconds since 1970.

    gib: resident memory of the pipeline and its workers. gpu_gib: what the GPU holds more than before they began; 0 on
    a CPU.
    """

    time: float
    gib: float
    gpu_gib: float = 0.0


CPU_DETECTION_FRAMES = 2
"""Frames of every video in which the judge looks for the object on a CPU, where SAM ViT-B takes a minute for each."""


def run_rehearsal(
    pack: str,
    clips: Path,
    count: int,
    segmenter: str,
    memory: str,
    home: Path,
    masks: Path | None = None,
    device: str = "cpu",
    size: str = "",
) -> dict[str, Any]:
    """Run the pipeline in `home` on the first `count` clips of a folder, as one motion.

    masks: folder with a file of masks for each clip, of the clip's name; None lets the segmenter find them. size: of
    clips and videos, such as 512x320; "" is the pack's.

    Returns `stages` (name -> seconds, peak_gib, peak_gpu_gib), `seconds`, `peak_gib`, `peak_gpu_gib`, `exit_code` and
    `failures`.
    """
    folder = home / "clips"
    link_clips(clips, count, folder, masks)
    settings = home / "settings.json"
    judge = {} if device.startswith("cuda") else {"judge": {"detection_frames": CPU_DETECTION_FRAMES}}
    write_json(settings, {**SETTINGS, **judge, "memory": memory, "device": device})
    command = [sys.executable, "-m", "pipelines", "run", "--quick", "--pack", pack, "--clips", str(folder)]
    command += ["--config", str(settings), "--home", str(home / "home")]
    command += ["--segmenter", segmenter] if segmenter else []
    command += ["--size", size] if size else []
    began = time.time()
    process = subprocess.Popen(command, stdout=sys.stderr)
    samples = sample_memory(process, device)
    summary_file = home / "home" / "summary.json"
    summary = json.loads(summary_file.read_text()) if summary_file.exists() else {}
    return {
        "stages": measure_stages(summary.get("stages", []), samples),
        "seconds": time.time() - began,
        **find_peaks(samples),
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


def sample_memory(process: subprocess.Popen[bytes], device: str = "cpu") -> list[MemorySample]:
    """The memory of a process and its children until it ends, and of the GPU if that is the device."""
    samples = []
    watched = psutil.Process(process.pid)
    free_before = measure_free_gpu_gib(device)
    while process.poll() is None:
        try:
            family = [watched, *watched.children(recursive=True)]
            used = sum(member.memory_info().rss for member in family if member.is_running())
        except psutil.Error:  # one of them ended meanwhile
            used = 0
        samples.append(MemorySample(time.time(), used / 2**30, free_before - measure_free_gpu_gib(device)))
        time.sleep(SAMPLE_SECONDS)
    return samples


def measure_free_gpu_gib(device: str) -> float:
    """Memory of a GPU in GiB that no process uses; 0 for a CPU."""
    if not device.startswith("cuda"):
        return 0.0
    import torch  # the CPU's rehearsal does without

    return float(torch.cuda.mem_get_info(device)[0]) / 2**30


def find_peaks(samples: list[MemorySample]) -> dict[str, float]:
    """The highest of the samples: `peak_gib` and `peak_gpu_gib`, 0 if there are none."""
    return {
        "peak_gib": max((sample.gib for sample in samples), default=0.0),
        "peak_gpu_gib": max((sample.gpu_gib for sample in samples), default=0.0),
    }


def measure_stages(stages: list[dict[str, Any]], samples: list[MemorySample]) -> dict[str, dict[str, float]]:
    """Stage -> its seconds, and the highest samples between its begin and its end."""
    figures = {}
    for stage in stages:
        end = stage.get("ended") or 0.0
        own = [sample for sample in samples if end - stage["seconds"] - SAMPLE_SECONDS <= sample.time <= end]
        figures[stage["name"]] = {"seconds": stage["seconds"], **find_peaks(own)}
    return figures


def format_stages(figures: dict[str, Any]) -> str:
    """A Markdown table of a rehearsal, for docs/sd15.md; the last line is the whole run."""
    names = ("seconds", "peak_gib", "peak_gpu_gib")
    rows = [(stage, *(row[name] for name in names)) for stage, row in figures["stages"].items()]
    total = [("all", *(figures[name] for name in names))]
    return "\n".join(format_table(("stage", "seconds", "peak memory, GiB", "of the GPU, GiB"), rows + total))


def merge_report(file: Path | None, name: str, report: dict[str, Any]) -> dict[str, Any]:
    """What a file of reports holds, with the report of this device in place of an earlier one."""
    stored = json.loads(file.read_text()) if file and file.exists() else {}
    return {**stored, name: report}


def main(arguments: list[str] | None = None) -> None:
    options = _parse(arguments)
    device = resolve_device(options.device)
    if options.pack is None and not RANDOM_PACK.exists():
        from mvmodel.packs.random_pack import write_random_pack

        write_random_pack("sd15", RANDOM_PACK, device=device)
    pack = options.pack or str(RANDOM_PACK.resolve())
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder).resolve()
        figures = run_rehearsal(
            *(pack, options.clips, options.count, options.segmenter, options.memory, home),
            *(options.masks, device, options.size),
        )
    machine = describe_machine()
    report = {**round_numbers(figures), "size": options.size or "the pack's", "device": device}
    report |= {"memory": options.memory, "on": machine}
    name = str(machine["card"]) if device.startswith("cuda") else "CPU"
    publish_report(merge_report(options.out, name, report), {name: report}, options.out, options.json)
    if not options.json:
        print(format_stages(report))
    sys.exit(figures["exit_code"])


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks rehearsal", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=Path, default=Path("datasets/samples"), help="folder with real clips")
    parser.add_argument("--masks", type=Path, help="folder with a file of masks for each clip, of the clip's name")
    parser.add_argument("--count", type=int, default=2, help="clips to use")
    parser.add_argument("--pack", help=f"name or folder of a pack; without it {RANDOM_PACK}, written if it is missing")
    parser.add_argument("--segmenter", default="", help="what makes the masks; the default is the pipeline's")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--memory", default="auto")
    parser.add_argument("--size", default="", help="of clips and videos, such as 512x320; the default is the pack's")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--out", type=Path, help="also write the JSON to this file, beside what it has of other devices"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
