"""`python -m benchmarks ingestion --clips FOLDER`: ingestion against bare decoding of the same frames.

Ingestion probes, cuts, decodes in a process of its own, crops, hashes and writes. Bare decoding opens each file once
with PyAV, decodes as far as ingestion does, and converts the frames to RGB that ingestion looks at. Both are repeated
in turn, and the fastest time of each counts. The worker process is started before, as one serves all files.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import av
import psutil

from benchmarks.machine import describe_machine, publish_report, round_numbers
from mvmodel.video.clips import Clip, find_clips
from mvmodel.video.config import IngestConfig
from mvmodel.video.containers import AV_ERRORS, UnusableClip
from mvmodel.video.guard import start_worker
from mvmodel.video.ingestion import ingest
from mvmodel.video.probe import probe_video
from mvmodel.video.sources import find_sources

SAMPLES = Path(__file__).resolve().parents[1] / "datasets" / "samples"


def measure_ingestion(folder: Path = SAMPLES, repeats: int = 3) -> dict[str, Any]:
    """Seconds of ingestion and of bare decoding, of processor and of clock, and their ratios; per frame decoded."""
    config = IngestConfig()
    files = list_decoded_frames(folder, config)
    start_worker()
    times: dict[str, list[tuple[float, float]]] = {"ingestion": [], "bare": []}
    for _ in range(repeats):
        times["bare"].append(_measure(lambda: [decode_bare(file, frames) for file, frames in files.items()]))
        with tempfile.TemporaryDirectory() as work:
            times["ingestion"].append(_measure(lambda: ingest(folder, Path(work) / "clips", config)))
    clock = {name: min(seconds for seconds, _ in values) for name, values in times.items()}
    processor = {name: min(seconds for _, seconds in values) for name, values in times.items()}
    return {
        "files": len(files),
        "frames_decoded": sum(max(frames) + 1 for frames in files.values()),
        "frames_converted": sum(len(frames) for frames in files.values()),
        "repeats": repeats,
        "seconds": clock,
        "processor_seconds": processor,
        "ratio": clock["ingestion"] / clock["bare"],
        "processor_ratio": processor["ingestion"] / processor["bare"],
    }


def list_decoded_frames(folder: Path, config: IngestConfig) -> dict[Path, set[int]]:
    """Video file -> the frames that ingestion converts to RGB: those that it scans, and those of its clips."""
    files: dict[Path, set[int]] = {}
    for source in find_sources(folder)[0]:
        try:
            info = probe_video(source.path)
        except UnusableClip:
            continue
        clips = [clip for clip in find_clips(source, config) if isinstance(clip, Clip)]
        if not clips or info.codec == "images" or info.pictures:
            continue
        stride = max(1, round(info.fps / config.cut.scan_fps))
        taken = {int(index) for clip in clips for index in clip.indices}
        files[source.path] = set(range(0, info.frames, stride)) | taken
    return files


def decode_bare(path: Path, frames: set[int]) -> None:
    """Decodes a file up to the last of `frames` and converts these to RGB arrays, with PyAV alone."""
    last = max(frames)
    with av.open(str(path)) as container:
        try:
            for index, frame in enumerate(container.decode(video=0)):
                if index in frames:
                    frame.to_ndarray(format="rgb24")
                if index == last:
                    return
        except AV_ERRORS:
            return


def _measure(run: Any) -> tuple[float, float]:
    """Seconds of the clock, and of the processor in this process and the worker."""
    processes = [psutil.Process(), *psutil.Process().children()]
    start, before = time.perf_counter(), _processor_seconds(processes)
    run()
    return time.perf_counter() - start, _processor_seconds(processes) - before


def _processor_seconds(processes: list[psutil.Process]) -> float:
    times = [process.cpu_times() for process in processes if process.is_running()]
    return sum(process_times.user + process_times.system for process_times in times)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks ingestion", description=__doc__)
    parser.add_argument("--clips", type=Path, default=SAMPLES, help="a folder of videos; default: the samples")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--out", type=Path, help="also write the JSON to this file")
    options = parser.parse_args(arguments)
    machine = describe_machine()
    figures = {**round_numbers(measure_ingestion(options.clips, options.repeats)), "clips": options.clips.name}
    publish_report({**figures, "on": machine}, {"ingestion": figures}, options.out, options.json)
