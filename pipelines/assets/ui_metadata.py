"""Metadata for Dagster's UI: inline images, tables, and numbers that the UI plots over time.

The event log stores metadata several times, so images stay below `MAX_IMAGE_BYTES` and tables below `MAX_TABLE_ROWS`.
Anything larger is a file in the store, and metadata gives its path.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from PIL import Image

MAX_IMAGE_BYTES = 100_000
"""Largest size of an inline JPEG. Base64 adds a third."""
MAX_TABLE_ROWS = 30


def listing(values: Mapping[str, Any] | Iterable[str]) -> dg.TextMetadataValue:
    """Names, or names with what belongs to each, as text that the UI shows at once; JSON would open in a dialog."""
    return dg.MetadataValue.text(_join(values) or "none")


def _join(values: Any) -> str:
    if isinstance(values, Mapping):
        return "; ".join(f"{name}: {_join(value)}" for name, value in values.items())
    if isinstance(values, str) or not isinstance(values, Iterable):
        return str(values)
    return ", ".join(map(str, values))


def inline_image(image: Image.Image, title: str = "") -> dg.MarkdownMetadataValue:
    """An image inside a markdown entry under its title, compressed and scaled down to at most `MAX_IMAGE_BYTES`."""
    from mvmodel.reports.media import data_url

    image = image.convert("RGB")
    quality = 85
    while True:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality, optimize=True)
        if buffer.tell() <= MAX_IMAGE_BYTES or min(image.size) < 16:
            break
        if quality > 60:
            quality -= 15
        else:
            image = image.resize((max(1, image.width * 3 // 4), max(1, image.height * 3 // 4)))
    heading = f"{title}\n\n" if title else ""
    return dg.MetadataValue.md(f"{heading}![{title}]({data_url(buffer.getvalue(), 'image/jpeg')})")


def contact_sheet(frames: Sequence[np.ndarray], title: str, columns: int = 8) -> dg.MarkdownMetadataValue:
    """Frames of one size, uint8 (height, width, 3), side by side in one inline image."""
    from mvmodel.video.contact_sheet import contact_sheet as draw

    return inline_image(draw(frames, columns=columns), title)


def video_rows(videos: Iterable[np.ndarray], title: str, columns: int = 8) -> dg.MarkdownMetadataValue:
    """One row of `columns` evenly spaced frames per video. videos: uint8 (frames, height, width, 3)."""
    from mvmodel.video.sampling import evenly_spaced_indices

    frames = [frame for video in videos for frame in video[evenly_spaced_indices(columns, len(video), repeat=True)]]
    return contact_sheet(frames, title, columns)


def dim_background(frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A copy of a frame, uint8 (height, width, 3), that is darker outside of the mask, bool (height, width)."""
    import numpy as np

    return np.where(mask[..., None], frame, (frame * 0.35 + 20).astype(np.uint8))


def table(data: pd.DataFrame, rows: int = MAX_TABLE_ROWS) -> dg.TableMetadataValue:
    """The first rows of a table, with column types. Values that Dagster's tables cannot hold become text."""
    kinds = {"b": "bool", "i": "int", "u": "int", "f": "float"}
    columns = [dg.TableColumn(str(name), kinds.get(data[name].dtype.kind, "string")) for name in data.columns]
    records = [
        dg.TableRecord({str(name): _cell(value) for name, value in row.items()})
        for row in data.head(rows).to_dict(orient="records")
    ]
    if not columns:
        columns, records = [dg.TableColumn("empty", "string")], []
    return dg.MetadataValue.table(records, dg.TableSchema(columns))


def finite_numbers(values: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """The entries that are finite numbers, rounded. The UI plots numbers over time."""
    finite = {}
    for name, value in values.items():
        try:
            number = float(value)
        except (TypeError, ValueError):
            continue
        if math.isfinite(number):
            finite[f"{prefix}{name}"] = round(number, 6)
    return finite


def _cell(value: Any) -> str | int | float | bool | None:
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple, set)) else str(value)
