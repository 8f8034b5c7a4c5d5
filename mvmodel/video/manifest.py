"""One line of a manifest: which file it names, and which moments. `manifest_tables` reads whole manifests."""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from pydantic import BaseModel, ConfigDict

from mvmodel.errors import InputError

MANIFEST_NAME = "manifest.csv"


class ManifestEntry(BaseModel):
    """One line of the manifest.

    file: path relative to the folder. start, end: a frame number ("61") or a time ("2.5s", "1:02.5"), or "" for the
    clip's own. motion: the motion's name or "". table: name of the manifest's file. line: in it, 0 if it has no line.
    caption_suffix: of the files beside clips that hold captions, if it is not .txt. fps: frames per second or "".
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str
    caption: str = ""
    motion: str = ""
    start: str = ""
    end: str = ""
    table: str = ""
    line: int = 0
    caption_suffix: str = ""
    fps: str = ""


def resolve_inside(folder: Path, name: str) -> Path:
    """The path of a file that a table names, relative to the folder or absolute; it may not exist.

    Backslashes, another letter case and another Unicode form (NFC, NFD) are forgiven where there is only one such file.
    Raises InputError if it leads out of `folder`, or is the name of several files.
    """
    folder = Path(folder)
    if (folder / name).exists() and not Path(name).is_absolute() and ".." not in Path(name).parts:
        return folder / name
    slashed = name.replace("\\", "/")
    if Path(slashed).is_absolute():
        for root in (folder.absolute(), folder.resolve()):
            if Path(slashed).is_relative_to(root):
                slashed = Path(slashed).relative_to(root).as_posix()
                break
    parts = PurePosixPath(slashed).parts
    if "\0" in name or slashed.startswith("/") or re.match(r"[A-Za-z]:", slashed) or ".." in parts:
        raise InputError(f"the manifest names {name!r}, which is not inside the folder; give a path relative to it")
    path = folder
    for part in parts:
        path = _find_entry(path, part) or path / part
    return path


def _find_entry(folder: Path, name: str) -> Path | None:
    """The file of a folder that has this name, or else the only one whose name is alike."""
    if (folder / name).exists():
        return folder / name
    try:
        entries = sorted(entry.name for entry in folder.iterdir())
    except OSError:
        return None
    for normalize in (_compose, lambda text: _compose(text).casefold()):
        alike = [entry for entry in entries if normalize(entry) == normalize(name)]
        if len(alike) > 1:
            raise InputError(f"the manifest names {name!r}, which may be {' or '.join(alike)}; spell it as the file is")
        if alike:
            return folder / alike[0]
    return None


def _compose(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def parse_rate(text: str) -> float | None:
    """Frames per second from a manifest; None for "". Raises InputError for anything that is none."""
    text = text.strip().replace(",", ".")
    if not text:
        return None
    try:
        fps = float(text)
    except ValueError:
        fps = 0.0
    if not 0 < fps <= 1000:
        raise InputError(f"the manifest's fps {text!r} is no frame rate; write a number above 0, up to 1000")
    return fps


def parse_moment(text: str, fps: float, times: Sequence[float] = ()) -> int | None:
    """A frame number from "61", "2.5s" or "1:02.5" (hours, minutes, seconds). None for "".

    A decimal comma is a point. Raises InputError for anything else, "2.0" included: it may be a frame or seconds.

    Args:
        text: The moment.
        fps: Frame rate, used without `times` and beyond the last of them.
        times: When each frame is displayed, in seconds. A time gives the nearest frame.
    """
    text = text.strip().replace(",", ".")
    if not text:
        return None
    if re.fullmatch(r"\d{1,9}", text):
        return int(text)
    if re.fullmatch(r"\d*\.\d*", text):
        number = text.rstrip("0").rstrip(".") or "0"
        raise InputError(
            f"the moment {text!r} may be a frame or seconds; write {text}s for seconds or a whole number such as "
            f"{number.partition('.')[0] or '0'} for a frame"
        )
    seconds = re.fullmatch(r"(\d{1,6}(?:\.\d+)?)\s*(?:s|sec|seconds)", text)
    clock = re.fullmatch(r"(?:(\d{1,2}):)?(\d{1,2}):(\d{1,2}(?:\.\d+)?)", text)
    if seconds:
        time = float(seconds.group(1))
    elif clock:
        clock_hours, clock_minutes, clock_seconds = clock.groups()
        time = int(clock_hours or 0) * 3600 + int(clock_minutes) * 60 + float(clock_seconds)
    else:
        raise InputError(f"the moment {text!r} is neither a frame number (61) nor a time (2.5s, 1:02.5)")
    if not times or time >= times[-1]:
        last, last_time = (len(times) - 1, times[-1]) if times else (0, 0.0)
        return last + round((time - last_time) * fps)
    index = bisect_left(times, time)
    return index - 1 if index and time - times[index - 1] < times[index] - time else index
