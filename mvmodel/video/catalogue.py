"""Ingestion: any folder of clips becomes a catalogue of equal clips and a quarantine with reasons."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mvmodel.errors import InputError
from mvmodel.files import atomic_folder, hash_value
from mvmodel.text import slugify
from mvmodel.video.clips import Clip, VideoSource, find_clips, find_sources, read_clip_frames
from mvmodel.video.config import IngestConfig
from mvmodel.video.containers import UnusableClip, VideoInfo

if TYPE_CHECKING:
    import pandas as pd

CATALOGUE_COLUMNS = {
    "clip": "str", "file": "str", "content": "str", "caption": "str", "motion": "str", "start": "int64",
    "end": "int64", "frames": "int64", "height": "int64", "width": "int64", "fps": "float64", "source_fps": "float64",
    "source_frames": "int64", "source_width": "int64", "source_height": "int64", "masks": "str", "sampled": "object",
}  # fmt: skip
"""Columns of a catalogue and their kinds. start, end: frame numbers in the source, end exclusive. masks: the user's
own masks for the file, relative to the folder, or "". sampled: the source's frame numbers that were taken."""

Progress = Callable[[int, int, str], None]
"""Called with (files done, files in all, name of the file now read)."""


class Catalogue:
    """An ingested folder: `table` and `quarantine` (DataFrames), and the frames of each clip."""

    def __init__(self, folder: Path, table: pd.DataFrame, quarantine: pd.DataFrame) -> None:
        self.folder, self.table, self.quarantine = Path(folder), table, quarantine

    @classmethod
    def load(cls, folder: Path) -> Catalogue:
        """Open what `ingest` wrote. Raises InputError when the folder holds no catalogue."""
        import pandas as pd

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
        return list(self.table["clip"])

    @cached_property
    def _by_clip(self) -> pd.DataFrame:
        return self.table.set_index("clip", drop=False)

    def row(self, clip: str) -> dict[str, Any]:
        """The catalogue's row of a clip. Raises InputError for an unknown one."""
        if clip not in self._by_clip.index:
            raise InputError(f"there is no clip {clip!r} in {self.folder}")
        return dict(self._by_clip.loc[clip])

    def frames(self, clip: str) -> np.ndarray:
        """A clip's frames, uint8 RGB (frames, side, side, 3)."""
        self.row(clip)
        frames: np.ndarray = np.load(self.folder / "frames" / f"{clip}.npy", allow_pickle=False)
        return frames

    def content_hash(self) -> str:
        """Hash of everything a later stage can see: the clips' pictures and what is said about them."""
        shown = self.table[["clip", "content", "caption", "motion", "fps", "masks"]]
        return hash_value([shown.values.tolist(), self.quarantine.values.tolist()])


def _slug(text: str) -> str:
    return slugify(text, max_length=48, keep_underscores=False) or "clip"


def _name(source: VideoSource, clip: Clip, taken: set[str]) -> str:
    """A unique slug: the file's name, its folder's where that says more, a number for the parts of one file."""
    relative = Path(source.name)
    stem = relative.name if source.path.is_dir() else relative.stem
    if source.path.is_dir() and stem.lower() in {"frames", "images", "jpegimages"} and relative.parent.name:
        stem = relative.parent.name
    base = _slug(stem) + (f"-{clip.part:02d}" if clip.part else "")
    name, number = base, 2
    while name in taken:
        name, number = f"{base}-{number}", number + 1
    taken.add(name)
    return name


def _content(frames: np.ndarray) -> str:
    import hashlib

    return hashlib.sha256(f"{frames.shape}".encode() + frames.tobytes()).hexdigest()


def ingest(
    folder: Path, out: Path, config: IngestConfig = IngestConfig(), progress: Progress | None = None
) -> Catalogue:
    """Read every clip under `folder`, write the catalogue, the quarantine and the frames to `out`, and open it.

    `out` appears whole or not at all. A clip that cannot be used never stops the others: it is in the quarantine
    with one reason. Raises InputError when `folder` does not exist or its manifest is no table.
    """
    import pandas as pd

    sources, lost = find_sources(Path(folder))
    rows: list[dict[str, Any]] = []
    refused: list[dict[str, str]] = list(lost)
    taken: set[str] = set()
    seen: dict[str, str] = {}
    with atomic_folder(Path(out)) as temporary_path:
        (temporary_path / "frames").mkdir()
        for done, source in enumerate(sources):
            if progress:
                progress(done, len(sources), source.name)
            for clip, frames in _usable(source, config, refused):
                content = _content(frames)
                where = f"{source.name} frames {clip.start}-{clip.end}" if clip.part else source.name
                if content in seen:
                    refused.append({"file": where, "reason": f"a duplicate: the same pictures as {seen[content]}"})
                    continue
                seen[content] = where
                name = _name(source, clip, taken)
                np.save(temporary_path / "frames" / f"{name}.npy", frames, allow_pickle=False)
                rows.append(_row(name, source, clip, frames, content))
        if progress:
            progress(len(sources), len(sources), "")
        table = pd.DataFrame(rows, columns=list(CATALOGUE_COLUMNS)).astype(CATALOGUE_COLUMNS)
        quarantine = pd.DataFrame(refused, columns=["file", "reason"]).astype(str)
        table.to_parquet(temporary_path / "catalogue.parquet", index=False)
        quarantine.to_parquet(temporary_path / "quarantine.parquet", index=False)
    return Catalogue.load(Path(out))


def _usable(
    source: VideoSource, config: IngestConfig, refused: list[dict[str, str]]
) -> Iterator[tuple[Clip, np.ndarray]]:
    """The clips of one source with their sampled frames; what fails goes to `refused`."""
    for clip in find_clips(source, config):
        if isinstance(clip, UnusableClip):
            refused.append({"file": source.name, "reason": clip.reason})
            continue
        try:
            yield clip, read_clip_frames(source, clip, config)
        except UnusableClip as error:
            refused.append({"file": source.name, "reason": error.reason})


def _row(name: str, source: VideoSource, clip: Clip, frames: np.ndarray, content: str) -> dict[str, Any]:
    return {
        "clip": name,
        "file": source.name,
        "content": content,
        "caption": clip.caption,
        "motion": clip.motion,
        "start": clip.start,
        "end": clip.end,
        "frames": len(frames),
        "height": frames.shape[1],
        "width": frames.shape[2],
        "fps": clip.fps,
        "source_fps": clip.info.fps,
        "source_frames": clip.info.frames,
        "source_width": clip.info.width,
        "source_height": clip.info.height,
        "masks": source.masks,
        "sampled": [int(index) for index in clip.indices],
    }


def check_clips(path: Path, config: IngestConfig = IngestConfig()) -> Iterator[dict[str, Any]]:
    """What ingestion would do with a file or a folder, one dict a file, in order.

    Keys: file, status ("clip" or "quarantined"), reason ("" for a clip), frames, height, width, fps of the source
    (None when it cannot be opened), clips (how many it would give). Everything is decoded, nothing is written.
    Raises InputError when `path` does not exist.
    """
    sources, lost = find_sources(Path(path))
    seen: dict[str, str] = {}
    for source in sources:
        refused: list[dict[str, str]] = []
        info: VideoInfo | None = None
        usable = 0
        for clip in find_clips(source, config):
            info = clip.info
            if isinstance(clip, UnusableClip):
                refused.append({"reason": clip.reason})
                continue
            try:
                content = _content(read_clip_frames(source, clip, config))
            except UnusableClip as error:
                refused.append({"reason": error.reason})
                continue
            if content in seen:
                refused.append({"reason": f"a duplicate: the same pictures as {seen[content]}"})
            else:
                seen[content] = source.name
                usable += 1
        yield {
            "file": source.name,
            "status": "clip" if usable else "quarantined",
            "reason": "; ".join(entry["reason"] for entry in refused),
            "frames": info.frames if info else None,
            "height": info.height if info else None,
            "width": info.width if info else None,
            "fps": round(info.fps, 4) if info else None,
            "clips": usable,
        }
    for entry in lost:
        yield {**dict.fromkeys(("frames", "height", "width", "fps")), **entry, "status": "quarantined", "clips": 0}
