"""What a machine has to have, what it has, and how to mend what is missing."""

from __future__ import annotations

import importlib
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mvmodel.errors import MvmodelError


@dataclass(frozen=True)
class Finding:
    """One line of the examination. mend: what to do, "" when all is well. needed: nothing works without it."""

    what: str
    ok: bool
    found: str
    mend: str = ""
    needed: bool = True

    @property
    def mark(self) -> str:
        return "ok" if self.ok else "missing" if self.needed else "without"


def examine() -> list[Finding]:
    """Look at Python, libraries, encoders, accelerator, memory, disk and the pack in use. Never raises."""
    checks: list[Callable[[], Finding]] = [_python, _machine, _memory, _disk, _accelerator]
    found = [check() for check in checks]
    found += [_library(name, needed) for name, needed in _LIBRARIES.items()]
    return [*found, _encoder(), _pack(), _browser()]


_LIBRARIES = {
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


def _python() -> Finding:
    ok = sys.version_info >= (3, 11)
    return Finding("Python", ok, platform.python_version(), "" if ok else "install Python 3.11 or newer")


def _machine() -> Finding:
    return Finding("machine", True, f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors")


def _memory() -> Finding:
    import psutil

    memory = psutil.virtual_memory()
    ok = memory.total > 3.5 * 2**30
    text = f"{memory.total / 2**30:.1f} GiB, {memory.available / 2**30:.1f} GiB free"
    return Finding("memory", ok, text, "" if ok else "the demo wants about 4 GiB", needed=False)


def _disk() -> Finding:
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    ok = free > 2
    return Finding("disk", ok, f"{free:.1f} GiB free here", "" if ok else "make 2 GiB of room", needed=False)


def _accelerator() -> Finding:
    try:
        import torch
    except ImportError:
        return Finding("accelerator", False, "torch is missing", "make venv", needed=False)
    if torch.cuda.is_available():
        memory = torch.cuda.get_device_properties(0).total_memory / 2**30
        kind = "bf16" if torch.cuda.is_bf16_supported() else "fp16"
        return Finding("accelerator", True, f"{torch.cuda.get_device_name(0)}, {memory:.0f} GiB, {kind}", needed=False)
    text = "none; the tiny pack needs none, sd15 wants a CUDA GPU"
    return Finding("accelerator", False, text, needed=False)


def _library(name: str, needed: bool) -> Finding:
    try:
        module = importlib.import_module(name)
    except (ImportError, OSError) as error:
        mend = "make venv" if needed else "not needed: PyAV decodes instead"
        return Finding(name, False, str(error).splitlines()[0], mend, needed)
    return Finding(name, True, str(getattr(module, "__version__", "present")), needed=needed)


def _encoder() -> Finding:
    try:
        import av

        av.codec.Codec("libx264", "w")
    except Exception as error:  # PyAV raises several kinds
        return Finding("H.264 encoder", False, str(error), "reinstall av from its wheel: make venv")
    return Finding("H.264 encoder", True, "libx264 in PyAV")


def _pack() -> Finding:
    from mvmodel.packs.info import default_name, pack_folder, read_info

    try:
        folder = pack_folder(default_name())
        info = read_info(folder)
    except MvmodelError as error:
        return Finding("model pack", False, default_name(), str(error))
    text = f"{info.name}, {info.resolution}×{info.resolution}, {info.frames} frames"
    return Finding("model pack", True, f"{text}{', random weights' if info.random else ''}")


def _browser() -> Finding:
    name = next((n for n in ("chromium", "chromium-browser", "google-chrome") if shutil.which(n)), None)
    mend = "" if name else "only for the browser tests: apt-get install chromium"
    return Finding("Chromium", name is not None, name or "none", mend, needed=False)
