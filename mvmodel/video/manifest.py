"""What a user says about clips: `manifest.csv`, and a `clip.txt` caption beside `clip.mp4`."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from mvmodel.errors import InputError

MANIFEST_NAME = "manifest.csv"
MANIFEST_COLUMNS = ("file", "caption", "motion", "start", "end")


class ManifestEntry(BaseModel):
    """One line of the manifest.

    file: path relative to the folder. start, end: a frame number ("61") or a time ("2.5s", "1:02.5"); "" is the
    clip's own. motion: the motion's name or "".
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str
    caption: str = ""
    motion: str = ""
    start: str = ""
    end: str = ""


def read_manifest(folder: Path) -> list[ManifestEntry] | None:
    """The entries of `folder`/manifest.csv in order, None when there is none.

    Raises InputError naming the line when the table cannot be read; single bad values are left to whoever uses them.
    """
    path = Path(folder) / MANIFEST_NAME
    if not path.is_file():
        return None
    import pandas as pd

    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8-sig", skipinitialspace=True)
    except (ValueError, OSError) as error:  # ParserError and UnicodeDecodeError are ValueErrors
        if isinstance(error, pd.errors.EmptyDataError):
            return []
        reason = str(error).strip().splitlines()[-1]
        raise InputError(
            f"{path} is not a readable CSV table ({reason}); save it as UTF-8 with the columns "
            f"{', '.join(MANIFEST_COLUMNS)}, and put quotes around captions with commas"
        ) from error
    table.columns = [str(column).strip().lower() for column in table.columns]
    if "file" not in table.columns:
        raise InputError(f"{path} has no column 'file'; its first line should be {','.join(MANIFEST_COLUMNS)}")
    used = [column for column in MANIFEST_COLUMNS if column in table.columns]
    rows = table[used].to_dict("records")
    entries = [ManifestEntry(**{str(key): str(value).strip() for key, value in row.items()}) for row in rows]
    return [entry for entry in entries if entry.file]


def sidecar_caption(path: Path) -> str:
    """The caption in `clip.txt` beside `clip.mp4` (or beside a folder of frames), "" when there is none."""
    beside = path.with_name(path.name + ".txt") if path.is_dir() else path.with_suffix(".txt")
    if not beside.is_file() or beside.stat().st_size > 10_000:
        return ""
    return " ".join(beside.read_text(encoding="utf-8", errors="replace").split())


def resolve_inside(folder: Path, name: str) -> Path:
    """The path of a manifest's file name. Raises InputError when it leads out of `folder`."""
    if "\0" in name or Path(name).is_absolute() or ".." in Path(name.replace("\\", "/")).parts:
        raise InputError(f"the manifest names {name!r}, which is not inside the folder; give a path relative to it")
    return Path(folder) / name


def parse_moment(text: str, fps: float, times: Sequence[float] = ()) -> int | None:
    """A frame number from "61", "2.5s" or "1:02.5" (hours, minutes, seconds), None from "".

    times: when each frame is shown, in seconds; a time names the frame nearest to it. Without them, and beyond the last
    one, frames are `fps` a second. Raises InputError for anything else.
    """
    text = text.strip()
    if not text:
        return None
    if re.fullmatch(r"\d{1,9}(\.0+)?", text):
        return int(float(text))
    seconds = re.fullmatch(r"(\d{1,6}(?:\.\d+)?)\s*s", text)
    clock = re.fullmatch(r"(?:(\d{1,2}):)?(\d{1,2}):(\d{1,2}(?:\.\d+)?)", text)
    if seconds:
        at = float(seconds.group(1))
    elif clock:
        hours, minutes, rest = clock.groups()
        at = int(hours or 0) * 3600 + int(minutes) * 60 + float(rest)
    else:
        raise InputError(f"the moment {text!r} is neither a frame number (61) nor a time (2.5s, 1:02.5)")
    if not times or at >= times[-1]:
        first, start = (len(times) - 1, times[-1]) if times else (0, 0.0)
        return first + round((at - start) * fps)
    after = bisect_left(times, at)
    return after - 1 if after and at - times[after - 1] < times[after] - at else after
