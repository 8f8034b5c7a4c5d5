"""Checks a machine: Python, libraries, video encoder, accelerator, memory, disk and the model pack."""

from __future__ import annotations

import importlib
import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.backends.training_config import TrainConfig
from mvmodel.errors import MvmodelError
from mvmodel.packs.device import resolve_device
from mvmodel.packs.info import find_pack_folder, get_default_pack_name, has_large_unet, read_pack_info
from mvmodel.segmentation.downloads import SEGMENTER_SOURCES, find_segmenter

LIBRARIES = {
    "torch": True,
    "diffusers": True,
    "transformers": True,
    "open_clip": True,
    "segment_anything": True,
    "cv2": True,
    "av": True,
    "decord": False,
    "dagster": True,
}
"""Modules to import, and whether mvmodel requires them."""

GIB = 2**30


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    detail: the version, size or error. fix: what to do, "" if all is well. required: nothing works without it.
    """

    name: str
    ok: bool
    detail: str
    fix: str = ""
    required: bool = True

    @property
    def status(self) -> str:
        """ "ok", "missing" (required) or "absent" (optional)."""
        return "ok" if self.ok else "missing" if self.required else "absent"


def run_checks() -> list[Finding]:
    """Run every check, in the order of the report. Never raises."""
    checks: list[Callable[[], Finding]] = [check_python, check_processor, check_memory, check_disk, check_accelerator]
    findings = [check() for check in checks]
    findings += [check_library(name, required) for name, required in LIBRARIES.items()]
    findings += [check_video_encoder(), check_pack(), *check_speed()]
    return [*findings, check_photograph_masks(), check_studio(), check_browser()]


def check_python() -> Finding:
    """Python 3.11 or newer."""
    ok = sys.version_info >= (3, 11)
    return Finding("Python", ok, platform.python_version(), "" if ok else "Install Python 3.11 or newer.")


def check_processor() -> Finding:
    """Operating system, architecture and number of cores. Always ok."""
    return Finding("processor", True, f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores")


def check_memory() -> Finding:
    """Enough memory for the demo."""
    memory = psutil.virtual_memory()
    ok = memory.total > 3.5 * GIB
    detail = f"{memory.total / GIB:.1f} GiB, {memory.available / GIB:.1f} GiB free"
    return Finding("memory", ok, detail, "" if ok else "Use a machine with 4 GiB for the demo.", required=False)


def check_disk() -> Finding:
    """Enough free disk space in the current folder."""
    free = shutil.disk_usage(Path.cwd()).free / GIB
    ok = free > 2
    return Finding("disk", ok, f"{free:.1f} GiB free here", "" if ok else "Free 2 GiB of disk space.", required=False)


def check_accelerator() -> Finding:
    """A CUDA GPU."""
    try:
        torch = importlib.import_module("torch")  # inside the function: a broken torch must not stop the report
    except (ImportError, OSError):
        return Finding("accelerator", False, "torch is missing", "Run `make venv`.", required=False)
    if torch.cuda.is_available():
        memory = torch.cuda.get_device_properties(0).total_memory / GIB
        precision = "bf16" if torch.cuda.is_bf16_supported() else "fp16"
        detail = f"{torch.cuda.get_device_name(0)}, {memory:.0f} GiB, {precision}"
        return Finding("accelerator", True, detail, required=False)
    fix = "Only for sd15: use a machine with a CUDA GPU. The tiny pack runs on the CPU."
    return Finding("accelerator", False, "no CUDA GPU", fix, required=False)


def check_library(name: str, required: bool) -> Finding:
    """A library that can be imported."""
    try:
        module = importlib.import_module(name)
    except (ImportError, OSError) as error:
        fix = "Run `make venv`." if required else "Nothing to do: PyAV decodes videos instead."
        return Finding(name, False, (str(error).splitlines() or [type(error).__name__])[0], fix, required)
    return Finding(name, True, str(getattr(module, "__version__", "installed")), required=required)


def check_video_encoder() -> Finding:
    """PyAV with an H.264 encoder."""
    try:
        importlib.import_module("av").codec.Codec("libx264", "w")
    except Exception as error:  # PyAV raises several kinds
        return Finding("H.264 encoder", False, str(error), "Run `make venv`; PyAV's wheel has libx264.")
    return Finding("H.264 encoder", True, "libx264 in PyAV")


def check_pack() -> Finding:
    """The default model pack."""
    try:
        info = read_pack_info(find_pack_folder(get_default_pack_name()))
    except MvmodelError as error:
        return Finding("model pack", False, get_default_pack_name(), str(error))
    detail = f"{info.name}, {info.size}, {info.frames} frames"
    limits = "" if info.min_reconstruction is None else ", draws its own kind of pictures only: no photographs"
    return Finding("model pack", True, f"{detail}{', random weights' if info.random else ''}{limits}")


def check_speed() -> list[Finding]:
    """How long the default pack takes on this machine; nothing on a GPU or for small models, which are fast."""
    try:
        folder = find_pack_folder(get_default_pack_name())
        if not has_large_unet(folder):
            return []
        cpu_time = importlib.import_module("mvmodel.packs.cpu_time")  # imports torch, which may be missing or broken
        info, device = read_pack_info(folder), resolve_device("auto")
        sentence = cpu_time.describe_slow_stages(
            *(folder, info, device),
            training_steps=TrainConfig().for_pack(info).steps,
            denoising_steps=GenerationConfig().for_pack(info).steps,
            judge=True,
        )
    except (ImportError, OSError, MvmodelError):
        return []  # another check says so
    return [Finding("speed", False, sentence, "Use a machine with a CUDA GPU.", required=False)] if sentence else []


def check_photograph_masks() -> Finding:
    """The segmenters on this machine that know photographs."""
    names = [name for name in SEGMENTER_SOURCES if find_segmenter(name) is not None]
    if names:
        return Finding("masks of photographs", True, ", ".join(names), required=False)
    fix = (
        "Without one, bring masks of your own for photographs: run `make venv` with Python 3.11 or 3.12, or "
        "`mvmodel packs pull u2netp`."
    )
    return Finding("masks of photographs", False, "no segmenter", fix, required=False)


def check_studio() -> Finding:
    """The packages of `mvmodel studio`."""
    missing = [name for name in ("starlette", "uvicorn") if importlib.util.find_spec(name) is None]
    fix = "Only for `mvmodel studio`: pip install 'mvmodel[studio]'." if missing else ""
    detail = f"{' and '.join(missing)} missing" if missing else "mvmodel studio"
    return Finding("studio", not missing, detail, fix, required=False)


def check_browser() -> Finding:
    """Chromium, for the browser tests."""
    name = next((n for n in ("chromium", "chromium-browser", "google-chrome") if shutil.which(n)), None)
    fix = "" if name else "Only for the browser tests: apt-get install chromium."
    return Finding("Chromium", name is not None, name or "not found", fix, required=False)
