"""What a user states about clips: `manifest.csv`, and a caption in `clip.txt` next to `clip.mp4`."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from pydantic import BaseModel, ConfigDict

from mvmodel.errors import InputError

MANIFEST_NAME = "manifest.csv"
MANIFEST_COLUMNS = ("file", "caption", "motion", "start", "end")


class ManifestEntry(BaseModel):
    """One line of the manifest.

    file: path relative to the folder. start, end: a frame number ("61") or a time ("2.5s", "1:02.5"), or "" for the
    clip's own. motion: the motion's name or "". table: name of the manifest's file.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    file: str
    caption: str = ""
    motion: str = ""
    start: str = ""
    end: str = ""
    table: str = ""


def read_manifest(folder: Path) -> list[ManifestEntry] | None:
    """The entries of `folder`/manifest.csv in order, or None if there is no manifest.

    Raises InputError naming the line if the table cannot be read. Single values are not checked here.
    """
    path = Path(folder) / MANIFEST_NAME
    if not path.is_file():
        return None
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
    columns = [column for column in MANIFEST_COLUMNS if column in table.columns]
    rows = table[columns].to_dict("records")
    entries = [ManifestEntry(**{str(key): str(value).strip() for key, value in row.items()}) for row in rows]
    return [entry for entry in entries if entry.file]


def resolve_inside(folder: Path, name: str) -> Path:
    """The path of a manifest's file name. Raises InputError if it leads out of `folder`."""
    if "\0" in name or Path(name).is_absolute() or ".." in Path(name.replace("\\", "/")).parts:
        raise InputError(f"the manifest names {name!r}, which is not inside the folder; give a path relative to it")
    return Path(folder) / name


def parse_moment(text: str, fps: float, times: Sequence[float] = ()) -> int | None:
    """A frame number from "61", "2.5s" or "1:02.5" (hours, minutes, seconds). None for "".

    Raises InputError for anything else.

    Args:
        text: The moment.
        fps: Frame rate, used without `times` and beyond the last of them.
        times: When each frame is displayed, in seconds. A time gives the nearest frame.
    """
    text = text.strip()
    if not text:
        return None
    if re.fullmatch(r"\d{1,9}(\.0+)?", text):
        return int(float(text))
    seconds = re.fullmatch(r"(\d{1,6}(?:\.\d+)?)\s*s", text)
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
