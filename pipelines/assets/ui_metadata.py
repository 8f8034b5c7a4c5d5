"""Metadata that makes the UI worth opening: small inline pictures, tables, numbers that plot over time.

Metadata is stored in the event log several times over, so a picture is kept under `PICTURE_BYTES` and a table under
`TABLE_ROWS`; whatever is larger is a file in the store, and metadata gives its path.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dagster as dg

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from PIL import Image

MAX_IMAGE_BYTES = 100_000
"""Of the JPEG; base64 makes a third more of it."""
MAX_TABLE_ROWS = 30


def inline_image(image: Image.Image, title: str = "") -> dg.MarkdownMetadataValue:
    """A picture inside a markdown entry under its title, made smaller until it fits `PICTURE_BYTES`."""
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
    said = f"{title}\n\n" if title else ""
    return dg.MetadataValue.md(f"{said}![{title}]({data_url(buffer.getvalue(), 'image/jpeg')})")


def image_grid(frames: Sequence[np.ndarray], columns: int = 8) -> Image.Image:
    """A contact sheet of uint8 frames (height, width, 3) of one size."""
    from mvmodel.video.contact_sheet import contact_sheet

    return contact_sheet(frames, columns=columns)


def masks_and_frames_grid(rows: Sequence[tuple[np.ndarray, np.ndarray]], columns: int = 8) -> Image.Image:
    """Two lines a video: control masks, then frames. rows: masks bool (F, H, W) with frames uint8 (F, H, W, 3)."""
    import numpy as np

    from mvmodel.video.contact_sheet import mask_to_picture
    from mvmodel.video.sampling import evenly_spaced_indices

    pictures: list[np.ndarray] = []
    for masks, frames in rows:
        indices = evenly_spaced_indices(columns, len(frames), repeat=True)
        pictures += [*mask_to_picture(masks[indices]), *frames[indices]]
    return image_grid(pictures or [np.full((16, 16, 3), 255, np.uint8)], columns)


def dim_background(frame: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A copy of `frame` (H, W, 3) uint8 with what lies outside `mask` (H, W) bool dimmed."""
    import numpy as np

    return np.where(mask[..., None], frame, (frame * 0.35 + 20).astype(np.uint8))


def table(data: pd.DataFrame, rows: int = MAX_TABLE_ROWS) -> dg.TableMetadataValue:
    """The first rows of a table, typed; cells that a table cannot hold are written as text."""
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
    """Those entries that are finite numbers, under stable names, so that the UI plots them over time."""
    found = {}
    for name, value in values.items():
        try:
            number = float(value)
        except (TypeError, ValueError):
            continue
        if math.isfinite(number):
            found[f"{prefix}{name}"] = round(number, 6)
    return found


def _cell(value: Any) -> str | int | float | bool | None:
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    if isinstance(value, float):
        return round(value, 4) if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int, str)):
        return value
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple, set)) else str(value)
