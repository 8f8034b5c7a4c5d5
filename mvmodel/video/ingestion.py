"""Ingestion: any folder of clips becomes a catalogue of equal clips and a quarantine with reasons."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from mvmodel.errors import InputError
from mvmodel.files import atomic_folder
from mvmodel.progress import track
from mvmodel.text import slugify
from mvmodel.video.catalogue import CATALOGUE_COLUMNS, MASKS_FOLDER, Catalogue
from mvmodel.video.clips import Clip, find_clips, read_clip_frames
from mvmodel.video.config import IngestConfig
from mvmodel.video.containers import UnusableClip, VideoInfo, check_unchanged, holds_pictures, stamp_files
from mvmodel.video.guard import start_worker
from mvmodel.video.sources import VideoSource, find_sources


class ClipMasks(Protocol):
    """Masks of a clip that can be written to a file."""

    def save(self, path: Path) -> None:
        """Writes them to an .npz."""


Progress = Callable[[int, int, str], None]
"""Called with (files done, all files, name of the file that is read now)."""
MaskReader = Callable[[Path, Mapping[str, Any]], ClipMasks | None]
"""Called with the ingested folder and a clip's row of the catalogue. Raises InputError for masks that do not fit."""
NO_MASKS = "there are none for this clip"
_ALPHA_REASON = "the alpha channel of the clip"
_FRAME_FOLDER_NAMES = {"frames", "images", "jpegimages"}
"""Folder names that say nothing about the clip: it is named after the parent folder."""


@dataclass(frozen=True)
class _DecodedClip:
    """A usable clip.

    content: hash of its frames. masks: the user's, or None. masks_path: of their file, relative to the ingested folder.
    masks_note: why other masks or the alpha channel were not taken.
    """

    clip: Clip
    frames: np.ndarray
    content: str
    masks: ClipMasks | None = None
    masks_path: str = ""
    masks_note: str = ""


@dataclass(frozen=True)
class _RefusedClip:
    """A part of a source that cannot be used. file: the file, with a range of frames for a duplicate part."""

    file: str
    reason: str
    info: VideoInfo | None


def ingest(
    folder: Path,
    out: Path,
    config: IngestConfig = IngestConfig(),
    progress: Progress | None = None,
    read_masks: MaskReader | None = None,
) -> Catalogue:
    """Reads all clips under `folder`, and writes the catalogue, the quarantine, frames and supplied masks to `out`.

    `out` is written completely or not at all. A clip that cannot be used does not stop the others: it goes to the
    quarantine with a reason, and so does a clip whose masks `read_masks` refuses
    (`mvmodel.masks.clip_masks.load_clip_masks`; None: masks are not looked into). Raises InputError if `folder` does
    not exist or its manifest is not a table.
    """
    start_worker()
    sources, unknown_files = find_sources(Path(folder))
    rows: list[dict[str, Any]] = []
    quarantine = list(unknown_files)
    names: set[str] = set()
    files_by_content: dict[str, str] = {}
    add_masks = partial(_add_masks, Path(folder), read_masks)
    with atomic_folder(Path(out)) as temporary_folder:
        (temporary_folder / "frames").mkdir()
        for index, source in enumerate(track(sources, "read clips")):
            if progress:
                progress(index, len(sources), source.name)
            for result in _decode_clips(source, config, files_by_content, add_masks):
                if isinstance(result, _RefusedClip):
                    quarantine.append({"file": result.file, "reason": result.reason})
                    continue
                name = _choose_name(source, result.clip, names)
                names.add(name)
                np.save(temporary_folder / "frames" / f"{name}.npy", result.frames, allow_pickle=False)
                if result.masks is not None:
                    result.masks.save(temporary_folder / MASKS_FOLDER / f"{name}.npz")
                rows.append(_catalogue_row(name, Path(folder), source, result))
        if progress:
            progress(len(sources), len(sources), "")
        table = pd.DataFrame(rows, columns=list(CATALOGUE_COLUMNS)).astype(CATALOGUE_COLUMNS)
        table.to_parquet(temporary_folder / "catalogue.parquet", index=False)
        refused = pd.DataFrame(quarantine, columns=["file", "reason"]).astype(str)
        refused.to_parquet(temporary_folder / "quarantine.parquet", index=False)
    return Catalogue.load(Path(out))


def check_clips(
    path: Path, config: IngestConfig = IngestConfig(), read_masks: MaskReader | None = None
) -> Iterator[dict[str, Any]]:
    """What ingestion would do with a file or a folder: one dict per file, in order. Nothing is written.

    Keys: file, status ("clip" or "quarantined"), reason ("" for a clip), frames, height, width, fps of the source (None
    if it cannot be opened), clips (how many it would give), kept ([first frame, frame behind the last] of each),
    manifest_rows (how many lines of the manifest name it), caption, caption_from (the file it is from), caption_note
    (about one that is too long), motion (the manifest's label), all "" without a clip or a value; masks (those taken,
    or None), masks_reason (why none or others were not taken), note (what is odd about a clip that is used).

    `read_masks` as in `ingest`. Raises InputError if `path` does not exist.
    """
    start_worker()
    sources, unknown_files = find_sources(Path(path))
    files_by_content: dict[str, str] = {}
    add_masks = partial(_add_masks, Path(path), read_masks)
    for source in track(sources, "check clips"):
        reasons: list[str] = []
        info: VideoInfo | None = None
        usable: list[_DecodedClip] = []
        for result in _decode_clips(source, config, files_by_content, add_masks):
            if isinstance(result, _RefusedClip):
                info = result.info
                reasons.append(result.reason)
            else:
                info = result.clip.info
                usable.append(replace(result, frames=result.frames[:0]))
        yield {
            "file": source.name,
            "status": "clip" if usable else "quarantined",
            "reason": "; ".join(reasons),
            "frames": info.frames if info else None,
            "height": info.height if info else None,
            "width": info.width if info else None,
            "fps": round(info.fps, 4) if info else None,
            "clips": len(usable),
            "kept": [[result.clip.start, result.clip.end] for result in usable],
            "manifest_rows": len(source.entries),
            **_describe_labels([result.clip for result in usable]),
            **_describe_masks(source, usable, reasons),
            "note": info.note if info and usable else "",
        }
    nothing = {**dict.fromkeys(("frames", "height", "width", "fps", "masks")), "masks_reason": "", "note": ""}
    nothing |= {"clips": 0, "kept": [], "manifest_rows": 0}
    for entry in unknown_files:
        yield {**nothing, **entry, "status": "quarantined", **_describe_labels([])}


def _describe_labels(clips: list[Clip]) -> dict[str, str]:
    """Caption, where it is from, and motion of a source's first clip."""
    names = ("caption", "caption_from", "caption_note", "motion")
    return {name: str(getattr(clips[0], name)) if clips else "" for name in names}


def _describe_masks(source: VideoSource, usable: list[_DecodedClip], reasons: list[str]) -> dict[str, str | None]:
    """Which masks of a source are taken, and why others are not."""
    if usable and usable[0].masks_path:
        return {"masks": usable[0].masks_path, "masks_reason": usable[0].masks_note}
    if usable and usable[0].masks_note:
        return {"masks": None, "masks_reason": usable[0].masks_note}
    if not source.masks:
        return {"masks": None, "masks_reason": NO_MASKS}
    return {"masks": None, "masks_reason": "; ".join(reasons)}


def _add_masks(folder: Path, read_masks: MaskReader | None, source: VideoSource, decoded: _DecodedClip) -> _DecodedClip:
    """A clip with its masks: those of the user, or else its alpha channel. Raises InputError for masks that do not fit.

    An alpha channel that is no mask, because it is soft all over for example, is only noted.
    """
    if source.masks:
        decoded = replace(decoded, masks_path=source.masks, masks_note=source.masks_note)
    elif decoded.clip.info.alpha:
        own_path = _catalogue_row("", folder, source, decoded)["source_path"]
        decoded = replace(decoded, masks_path=own_path, masks_note=_ALPHA_REASON)
    if read_masks is None or not decoded.masks_path:
        return decoded
    try:
        return replace(decoded, masks=read_masks(folder, _catalogue_row("", folder, source, decoded)))
    except (InputError, OSError, ValueError, MemoryError) as error:
        base = folder if folder.is_dir() else folder.parent
        reason = str(error).replace(f"{base}/", "")
        if source.masks:
            raise InputError(f"its masks cannot be used: {reason}") from error
        return replace(decoded, masks_path="", masks_note=f"its alpha channel is no mask: {reason}")


def _decode_clips(
    source: VideoSource,
    config: IngestConfig,
    files_by_content: dict[str, str],
    add_masks: Callable[[VideoSource, _DecodedClip], _DecodedClip],
) -> Iterator[_DecodedClip | _RefusedClip]:
    """The clips of one source, decoded one at a time. Records each content in `files_by_content` to find duplicates."""
    stamp = stamp_files(source.path)
    for clip in find_clips(source, config):
        if isinstance(clip, UnusableClip):
            yield _RefusedClip(source.name, clip.reason, clip.info)
            continue
        try:
            frames = read_clip_frames(source, clip, config)
            check_unchanged(source.path, stamp)
        except UnusableClip as error:
            yield _RefusedClip(source.name, error.reason, clip.info)
            continue
        content = hashlib.sha256(f"{frames.shape}".encode() + frames.tobytes()).hexdigest()
        file = f"{source.name} frames {clip.start}-{clip.end}" if clip.part else source.name
        if content in files_by_content:
            reason = f"a duplicate: the same pictures as {files_by_content[content]}"
            yield _RefusedClip(file, reason, clip.info)
            continue
        try:
            decoded = add_masks(source, _DecodedClip(clip, frames, content))
        except InputError as error:
            yield _RefusedClip(file, str(error), clip.info)
            continue
        files_by_content[content] = file
        yield decoded


def _choose_name(source: VideoSource, clip: Clip, names: set[str]) -> str:
    """A slug that is not among `names`: the file's name, with a number for the parts of one file."""
    path = Path(source.name)
    holds_frames = holds_pictures(source.path)
    stem = path.stem.replace("%d", "") if "%d" in path.name or not holds_frames else path.name
    if holds_frames and stem.lower() in _FRAME_FOLDER_NAMES and path.parent.name:
        stem = path.parent.name
    slug = slugify(stem, max_length=48, keep_underscores=False) or "clip"
    base = slug + (f"-{clip.part:02d}" if clip.part else "")
    name, number = base, 2
    while name in names:
        name, number = f"{base}-{number}", number + 1
    return name


def _catalogue_row(name: str, folder: Path, source: VideoSource, decoded: _DecodedClip) -> dict[str, Any]:
    clip, frames = decoded.clip, decoded.frames
    return {
        "clip": name,
        "file": source.name,
        "content": decoded.content,
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
        "source_pixel_aspect": clip.info.pixel_aspect,
        "source_rotation": clip.info.rotation,
        "source_path": source.path.relative_to(folder if folder.is_dir() else folder.parent).as_posix(),
        "masks": decoded.masks_path,
        "sampled": [int(index) for index in clip.indices],
        "caption_from": clip.caption_from,
        "caption_note": clip.caption_note,
    }
