"""Ingestion: any folder of clips becomes a catalogue of equal clips and a quarantine with reasons."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from mvmodel.errors import InputError
from mvmodel.files import atomic_folder
from mvmodel.progress import track
from mvmodel.video.catalogue import MASKS_FOLDER, Catalogue, write_catalogue
from mvmodel.video.clip_frames import SaliencyFinder, crop_to_masks, read_clip_frames
from mvmodel.video.clip_names import choose_clip_name
from mvmodel.video.clips import Clip, find_clips
from mvmodel.video.config import IngestConfig
from mvmodel.video.containers import UnusableClip, VideoInfo, check_unchanged, stamp_files
from mvmodel.video.crop import Box, Crop
from mvmodel.video.guard import start_worker
from mvmodel.video.pictures import ALPHA_BACKGROUND
from mvmodel.video.sources import VideoSource, find_sources


class ClipMasks(Protocol):
    """Masks of a clip that can be written to a file."""

    def save(self, path: Path) -> None:
        """Writes them to an .npz."""


class FootageMasks(Protocol):
    """A clip's own masks before cropping; `mvmodel.masks.clip_masks.FootageMasks` implements it."""

    @property
    def foreground(self) -> Box | None:
        """Where the foreground is in all frames together; None if the masks say nothing about the window."""

    def crop(self, crop: Crop) -> ClipMasks:
        """The masks of the clip. Raises InputError if they cannot be used."""


Progress = Callable[[int, int, str], None]
"""Called with (files done, all files, name of the file that is read now)."""
MaskReader = Callable[[Path, Mapping[str, Any]], FootageMasks | None]
"""Called with the ingested folder and a clip's row, which has no window yet. Raises InputError for unusable masks."""
NO_MASKS = "there are none for this clip"
_NO_FRAMES = np.zeros((0, 0, 0, 3), np.uint8)
_ALPHA_REASON = "the alpha channel of the clip"


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
    find_saliency: SaliencyFinder | None = None,
) -> Catalogue:
    """Reads all clips under `folder`, and writes the catalogue, the quarantine, frames and supplied masks to `out`.

    `out` is written completely or not at all. A clip that cannot be used does not stop the others: it goes to the
    quarantine with a reason, and so does a clip whose masks `read_masks` refuses.

    Args:
        folder: The footage.
        out: The folder to write.
        config: Settings.
        progress: Called before each file.
        read_masks: `mvmodel.masks.clip_masks.load_footage_masks`. None: masks are not looked into.
        find_saliency: `mvmodel.segmentation.saliency.find_moving_areas`; the windows of clips without masks follow what
            moves. None: they are in the middle.

    Raises:
        InputError: `folder` does not exist or its manifest is not a table.
    """
    start_worker()
    sources, unknown_files = find_sources(Path(folder))
    rows: list[dict[str, Any]] = []
    quarantine = list(unknown_files)
    names: set[str] = set()
    files_by_content: dict[str, str] = {}
    read_clip = partial(_read_clip, Path(folder), config, read_masks, find_saliency)
    with atomic_folder(Path(out)) as temporary_folder:
        (temporary_folder / "frames").mkdir()
        for index, source in enumerate(track(sources, "read clips")):
            if progress:
                progress(index, len(sources), source.name)
            for result in _decode_clips(source, config, files_by_content, read_clip):
                if isinstance(result, _RefusedClip):
                    quarantine.append({"file": result.file, "reason": result.reason})
                    continue
                name = choose_clip_name(source, result.clip, names)
                names.add(name)
                np.save(temporary_folder / "frames" / f"{name}.npy", result.frames, allow_pickle=False)
                if result.masks is not None:
                    result.masks.save(temporary_folder / MASKS_FOLDER / f"{name}.npz")
                rows.append(_catalogue_row(name, Path(folder), source, result, config))
        if progress:
            progress(len(sources), len(sources), "")
        write_catalogue(temporary_folder, rows, quarantine)
    return Catalogue.load(Path(out))


def check_clips(
    path: Path,
    config: IngestConfig = IngestConfig(),
    read_masks: MaskReader | None = None,
    find_saliency: SaliencyFinder | None = None,
) -> Iterator[dict[str, Any]]:
    """What ingestion would do with a file or a folder: one dict per file, in order. Nothing is written.

    Keys: file, status ("clip" or "quarantined"), reason ("" for a clip), frames, height, width, fps of the source (None
    if it cannot be opened), clips (how many it would give), kept ([first frame, frame behind the last] of each),
    manifest_rows (how many lines of the manifest name it), caption, caption_from (the file it is from), caption_note
    (about one that is too long), motion (the manifest's label), all "" without a clip or a value; masks (those taken,
    or None), masks_reason (why none or others were not taken), size (of the clips, "128x128"), crop (the first clip's
    window: left, top, width and height in pixels of the source, follows; None without a clip), note (what is odd about
    a clip that is used).

    `read_masks` and `find_saliency` as in `ingest`. Raises InputError if `path` does not exist.
    """
    start_worker()
    sources, unknown_files = find_sources(Path(path))
    files_by_content: dict[str, str] = {}
    read_clip = partial(_read_clip, Path(path), config, read_masks, find_saliency)
    for source in track(sources, "check clips"):
        reasons: list[str] = []
        info: VideoInfo | None = None
        usable: list[_DecodedClip] = []
        for result in _decode_clips(source, config, files_by_content, read_clip):
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
            **_describe_windows([result.clip for result in usable], config),
        }
    names = ("frames", "height", "width", "fps", "masks", "size", "crop")
    nothing = {**dict.fromkeys(names), "masks_reason": "", "note": ""}
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


def _describe_windows(clips: list[Clip], config: IngestConfig) -> dict[str, Any]:
    """Size of a source's clips, the window of its first one in pixels of the source, and what is odd about them."""
    if not clips:
        return {"size": None, "crop": None, "note": ""}
    info, crop = clips[0].info, clips[0].crop
    notes = dict.fromkeys(filter(None, [info.note, *(clip.crop_note for clip in clips)]))
    window = crop.describe(info.width, info.height, config.size) if crop else None
    return {"size": str(config.size), "crop": window, "note": "; ".join(notes)}


def _read_clip(
    folder: Path,
    config: IngestConfig,
    read_masks: MaskReader | None,
    find_saliency: SaliencyFinder | None,
    source: VideoSource,
    clip: Clip,
) -> _DecodedClip:
    """A clip's masks, and its frames through the window that the masks need, or that follows what moves.

    The masks are those of the user, or else the alpha channel; one that is no mask, because it is soft all over for
    example, is only noted. Raises UnusableClip if the frames or the masks cannot be used.
    """
    path, note = source.masks, source.masks_note
    if not path and clip.info.alpha:
        path, note = _source_path(folder, source), _ALPHA_REASON
    masks: ClipMasks | None = None
    if read_masks is not None and path:
        try:
            row = _catalogue_row("", folder, source, _DecodedClip(clip, _NO_FRAMES, "", masks_path=path), config)
            if (footage_masks := read_masks(folder, row)) is not None:
                clip = replace(clip, crop=crop_to_masks(source, clip, footage_masks.foreground, config))
                masks = footage_masks.crop(clip.crop) if clip.crop else None
        except UnusableClip:
            raise
        except (InputError, OSError, ValueError, MemoryError) as error:
            base = folder if folder.is_dir() else folder.parent
            reason = str(error).replace(f"{base}/", "")
            if source.masks:
                raise UnusableClip(source.path, f"its masks cannot be used: {reason}", clip.info) from error
            path, note = "", f"its alpha channel is no mask: {reason}"
    clip, frames = read_clip_frames(source, clip, config, find_saliency)
    if clip.info.alpha and (frames == ALPHA_BACKGROUND).all():
        raise UnusableClip(source.path, "its pictures are transparent all over", clip.info)
    content = hashlib.sha256(f"{frames.shape}".encode() + frames.tobytes()).hexdigest()
    return _DecodedClip(clip, frames, content, masks, path, note)


def _decode_clips(
    source: VideoSource,
    config: IngestConfig,
    files_by_content: dict[str, str],
    read_clip: Callable[[VideoSource, Clip], _DecodedClip],
) -> Iterator[_DecodedClip | _RefusedClip]:
    """The clips of one source, decoded one at a time. Records each content in `files_by_content` to find duplicates."""
    stamp = stamp_files(source.path)
    for clip in find_clips(source, config):
        if isinstance(clip, UnusableClip):
            yield _RefusedClip(source.name, clip.reason, clip.info)
            continue
        file = f"{source.name} frames {clip.start}-{clip.end}" if clip.part else source.name
        try:
            decoded = read_clip(source, clip)
            check_unchanged(source.path, stamp)
        except UnusableClip as error:
            yield _RefusedClip(file, error.reason, clip.info)
            continue
        if decoded.content in files_by_content:
            reason = f"a duplicate: the same pictures as {files_by_content[decoded.content]}"
            yield _RefusedClip(file, reason, clip.info)
            continue
        files_by_content[decoded.content] = file
        yield decoded


def _source_path(folder: Path, source: VideoSource) -> str:
    """A source's path relative to the ingested folder, or to the folder of the ingested file."""
    return source.path.relative_to(folder if folder.is_dir() else folder.parent).as_posix()


def _catalogue_row(
    name: str, folder: Path, source: VideoSource, decoded: _DecodedClip, config: IngestConfig
) -> dict[str, Any]:
    clip = decoded.clip
    return {
        "clip": name,
        "file": source.name,
        "content": decoded.content,
        "caption": clip.caption,
        "motion": clip.motion,
        "start": clip.start,
        "end": clip.end,
        "frames": len(clip.indices),
        "height": config.size.height,
        "width": config.size.width,
        "fps": clip.fps,
        "source_fps": clip.info.fps,
        "source_frames": clip.info.frames,
        "source_width": clip.info.width,
        "source_height": clip.info.height,
        "source_pixel_aspect": clip.info.pixel_aspect,
        "source_rotation": clip.info.rotation,
        "source_path": _source_path(folder, source),
        "masks": decoded.masks_path,
        "sampled": [int(index) for index in clip.indices],
        "caption_from": clip.caption_from,
        "caption_note": clip.caption_note,
        "crop_note": clip.crop_note,
        "mask_fit": config.mask_fit or "",
        **(clip.crop.to_row() if clip.crop else {}),
    }
