"""`python -m benchmarks studio`: how long a person waits in the studio.

Starts `mvmodel studio` on this machine and does over HTTP what the page does. Measured are the seconds from the start
to the page and to loaded models, the milliseconds from an edit of a mask to its decoded preview, and the seconds from
the click on Generate to the first picture, to the finished video and to its figures. On a machine with more
processors, `taskset -c 0,1 python -m benchmarks studio` measures two of them.
"""

from __future__ import annotations

import argparse
import base64
import http.cookiejar
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.machine import describe_machine, publish_report, round_numbers
from mvmodel.errors import InputError
from mvmodel.picture_size import parse_size

MAX_VIDEO_SECONDS, MAX_PREVIEW_MILLISECONDS = 20, 300
"""The goals: from the click to the video, and from an edit to its preview."""
POLL_SECONDS = 0.05


class StudioClient:
    """The studio's server in a process of its own, and one person who uses it.

    Args:
        arguments: Of `mvmodel studio`.
        folder: Where the work is kept.
    """

    def __init__(self, arguments: list[str], folder: Path) -> None:
        command = [sys.executable, "-m", "mvmodel.cli", "studio", "--no-open", "--port", "0", "--folder", str(folder)]
        self._process = subprocess.Popen([*command, *arguments], stdout=subprocess.PIPE, text=True)
        self.started = time.perf_counter()
        assert self._process.stdout is not None
        line = next((text for text in self._process.stdout if "http://" in text), "")
        if not line:
            raise InputError("mvmodel studio did not start; run it by hand to see why")
        self.address = line.split("http://")[1].split("/")[0]
        jar = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
        self.wait(lambda: self._is_open())

    def _is_open(self) -> bool:
        try:
            self._opener.open(f"http://{self.address}/", timeout=5).read()
        except OSError:
            return False
        return True

    def request(self, path: str, method: str = "GET", content: Any = None) -> Any:
        """The JSON that the server answers."""
        data = None if content is None else json.dumps(content).encode()
        headers = {"x-studio": "1", "content-type": "application/json"}
        request = urllib.request.Request(f"http://{self.address}/api/{path}", data, headers, method=method)
        with self._opener.open(request, timeout=60) as answer:
            return json.loads(answer.read())

    def wait(self, condition: Callable[[], Any], seconds: float = 600) -> float:
        """Wait for a condition; returns the seconds since the server's start. Raises InputError if it never holds."""
        end = time.perf_counter() + seconds
        while not condition():
            if time.perf_counter() > end:
                raise InputError(f"the studio did not do its work within {seconds:g} s")
            time.sleep(POLL_SECONDS)
        return time.perf_counter() - self.started

    def draw_disc(self, width: int, height: int) -> str:
        """Paint a disc; returns the file of its mask."""
        mask = np.zeros((height, width), np.uint8)
        cv2.circle(mask, (width // 4, height // 2), min(width, height) // 6, 255, -1)
        data = base64.b64encode(cv2.imencode(".png", mask)[1].tobytes()).decode()
        return str(self.request("keys", "POST", {"files": [{"name": "key.png", "data": data}]})["masks"])

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=30)


def build_project(frames: int, masks: str, objects: int, prompt: str, size: str | None) -> dict[str, Any]:
    """A project of discs that move across the picture."""
    entries = [
        {
            "id": f"o{number}",
            "masks": {"kind": "drawn", "keys": {"0": masks}},
            "motion": {"points": [[0.2, 0.3 + 0.3 * number], [0.5, 0.5], [0.8, 0.4]]},
        }
        for number in range(objects)
    ]
    project = {"frames": frames, "fps": 8.0, "objects": entries, "generation": {"prompt": prompt}}
    return project if size is None else project | {"size": size}


def measure_previews(client: StudioClient, project: dict[str, Any], edits: int) -> dict[str, float]:
    """Milliseconds from an edit of the path to decoded masks of all frames: median and worst."""
    times = []
    for number in range(edits):
        project["objects"][0]["motion"]["points"][1] = [0.5, 0.3 + 0.4 * number / edits]
        start = time.perf_counter()
        sheet = client.request("project", "PUT", project)["sheet"]
        cv2.imdecode(np.frombuffer(base64.b64decode(sheet.split(",", 1)[1]), np.uint8), cv2.IMREAD_GRAYSCALE)
        times.append(1000 * (time.perf_counter() - start))
    return {"median_ms": float(np.median(times)), "worst_ms": max(times)}


def measure_video(client: StudioClient, project: dict[str, Any], seed: int) -> dict[str, float]:
    """Seconds from the click to the first picture, to the video, and to its figures."""
    project["generation"]["seed"] = seed
    start, figures = time.perf_counter(), dict[str, float]()
    parameters = {"kind": "generate", "parameters": {"project": project}}
    (identifier,) = client.request("jobs", "POST", parameters)["jobs"]

    def is_measured() -> bool:
        state = client.request("state")
        now = time.perf_counter() - start
        job = next((job for job in state["jobs"] if job["id"] == identifier), None)
        video = next((video for video in state["videos"] if video["id"] == identifier), None)
        if job and job["state"] == "failed":
            raise InputError(f"the video was not made: {job['error']}")
        if job and job["preview"]:
            figures.setdefault("first_picture", now)
        if video:
            figures.setdefault("video", now)
        return bool(video and video["figures"])

    client.wait(is_measured)
    return figures | {"figures": time.perf_counter() - start}


def measure_studio(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """All figures. The first video is asked for as soon as the page is there, the others one after another."""
    arguments = ["--pack", options.pack] if options.pack else []
    client = StudioClient([*arguments, *(["--adapters", str(options.adapters)] if options.adapters else [])], folder)
    end = time.perf_counter() + 60 * options.minutes
    try:
        figures: dict[str, Any] = {"start": {"page": time.perf_counter() - client.started}}
        client.wait(lambda: client.request("state")["device"] != "starting")
        figures["start"]["models"] = time.perf_counter() - client.started
        pack = client.request("state")["pack"]
        masks = client.draw_disc(pack["width"], pack["height"])
        figures["preview"] = {}
        for objects in (1, 3):
            project = build_project(options.frames, masks, objects, "a", None)
            figures["preview"][f"{objects} object{'s' * (objects > 1)}"] = measure_previews(
                client, project, options.edits
            )
        for size in options.preview_size or []:
            sides = parse_size(size)
            project = build_project(options.frames, client.draw_disc(sides.width, sides.height), 1, "a", size)
            figures["preview"][size] = measure_previews(client, project, options.edits)
        project = build_project(options.frames, masks, 1, options.prompt, None)
        project["generation"] |= {"steps": options.steps, "adapter": options.adapter}
        figures["steps"] = options.steps or pack["steps"]
        figures["videos"] = {}
        for seed in range(options.videos):
            if seed and time.perf_counter() > end:
                break
            figures["videos"][f"video {seed + 1}"] = measure_video(client, project, seed)
        return figures
    finally:
        client.close()


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks studio", description=__doc__)
    parser.add_argument("--pack", help="name or folder of the model pack (default: the shipped one)")
    parser.add_argument("--adapters", type=Path, help="folder with adapters, for a pack without a start adapter")
    parser.add_argument("--adapter", default="", help="which of them")
    parser.add_argument("--prompt", default="a dog over a meadow")
    parser.add_argument("--frames", type=int, default=16)
    parser.add_argument("--steps", type=int, help="denoising steps (default: the pack's)")
    parser.add_argument("--edits", type=int, default=30, help="edits of a mask")
    parser.add_argument("--preview-size", action="append", help="also edit masks of this size; may be repeated")
    parser.add_argument("--videos", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=10, help="no further video begins after this time")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--out", type=Path, help="also write the JSON to this file")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        figures = round_numbers(measure_studio(options, Path(folder)))
    goals = {"video_seconds": MAX_VIDEO_SECONDS, "preview_ms": MAX_PREVIEW_MILLISECONDS}
    used = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    report = {"frames": options.frames, "goals": goals, **figures}
    report["on"] = describe_machine() | {"processors_used": used}
    publish_report(report, report, options.out, options.json)


if __name__ == "__main__":
    main()
