"""The catalogue of an ingested folder: clips of one length, frame rate and size, and a quarantine with reasons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mvmodel.errors import InputError
from mvmodel.files import hash_value

CATALOGUE_COLUMNS = {
    "clip": "str", "file": "str", "content": "str", "caption": "str", "motion": "str", "start": "int64",
    "end": "int64", "frames": "int64", "height": "int64", "width": "int64", "fps": "float64", "source_fps": "float64",
    "source_frames": "int64", "source_width": "int64", "source_height": "int64", "source_pixel_aspect": "float64",
    "source_rotation": "int64", "source_path": "str", "masks": "str", "sampled": "object", "caption_from": "str",
    "caption_note": "str", "scaled_width": "int64", "scaled_height": "int64", "crop_left": "int64", "crop_top": "int64",
    "crop_follows": "str", "crop_note": "str", "mask_fit": "str",
}  # fmt: skip
"""Columns of a catalogue and their types. start, end: frame numbers in the source, end exclusive. masks: the user's
masks for the file, relative to the folder; the clip itself if they are its alpha channel; or "". sampled: the frame
numbers of the source that were taken. source_path: as file, or frames/%d.jpg for some of a folder's pictures. motion:
the label as the manifest spells it. caption_from: the file that the caption is from. caption_note: about a caption that
is too long. scaled_width to crop_follows: which window of the picture the clip shows (`mvmodel.video.crop.Crop`).
crop_note: about a window that does not show all that moves, or "". mask_fit: `IngestConfig.mask_fit`, or ""."""

MASKS_FOLDER = "masks"
"""Folder of a catalogue with the user's masks of its clips, CLIP.npz each."""


class Catalogue:
    """An ingested folder.

    Attributes:
        folder: Where it is stored.
        table: One row per clip, with `CATALOGUE_COLUMNS`.
        quarantine: One row per refused file or part of a file: file, reason.
    """

    def __init__(self, folder: Path, table: pd.DataFrame, quarantine: pd.DataFrame) -> None:
        self.folder, self.table, self.quarantine = Path(folder), table, quarantine

    @classmethod
    def load(cls, folder: Path) -> Catalogue:
        """Opens what `ingest` wrote. Raises InputError if the folder holds no catalogue."""
        folder = Path(folder)
        try:
            table = pd.read_parquet(folder / "catalogue.parquet")
            return cls(folder, table, pd.read_parquet(folder / "quarantine.parquet"))
        except (OSError, ValueError) as error:
            raise InputError(
                f"{folder} holds no catalogue of clips ({error}); ingest a folder of clips first"
            ) from error

    @property
    def clips(self) -> list[str]:
        """The clips' names."""
        return list(self.table["clip"])

    @cached_property
    def _by_clip(self) -> pd.DataFrame:
        return self.table.set_index("clip", drop=False)

    def row(self, clip: str) -> dict[str, Any]:
        """The row of a clip. Raises InputError for an unknown one."""
        if clip not in self._by_clip.index:
            raise InputError(f"there is no clip {clip!r} in {self.folder}")
        return dict(self._by_clip.loc[clip])

    def frames(self, clip: str) -> np.ndarray:
        """A clip's frames, uint8 RGB (frames, height, width, 3). Raises InputError for an unknown clip."""
        self.row(clip)
        frames: np.ndarray = np.load(self.folder / "frames" / f"{clip}.npy", allow_pickle=False)
        return frames

    def masks_file(self, clip: str) -> Path | None:
        """The user's masks of a clip, read when it was ingested; None if there are none."""
        file = self.folder / MASKS_FOLDER / f"{clip}.npz"
        return file if file.is_file() else None

    def content_hash(self) -> str:
        """Hash of everything a later stage depends on: the clips' frames, their descriptions and the quarantine."""
        content = self.table[["clip", "content", "caption", "motion", "fps", "masks"]]
        return hash_value([content.values.tolist(), self.quarantine.values.tolist()])


def write_catalogue(folder: Path, rows: Sequence[Mapping[str, Any]], quarantine: Sequence[Mapping[str, Any]]) -> None:
    """Write the tables of a catalogue into an existing folder.

    rows: one per clip, with `CATALOGUE_COLUMNS`. quarantine: file and reason of everything that was refused.
    """
    table = pd.DataFrame(rows, columns=list(CATALOGUE_COLUMNS)).astype(CATALOGUE_COLUMNS)
    table.to_parquet(folder / "catalogue.parquet", index=False)
    refused = pd.DataFrame(quarantine, columns=["file", "reason"]).astype(str)
    refused.to_parquet(folder / "quarantine.parquet", index=False)
