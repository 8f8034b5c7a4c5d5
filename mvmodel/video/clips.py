"""From a folder to clips: which files are sources, where each is cut, and which frames are taken."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mvmodel.errors import InputError
from mvmodel.video import manifest
from mvmodel.video.config import IngestConfig
from mvmodel.video.containers import UnusableClip, VideoInfo, image_files
from mvmodel.video.decode import check_frame_range, check_limits, iterate_frames
from mvmodel.video.manifest import ManifestEntry
from mvmodel.video.probe import probe_video
from mvmodel.video.sampling import crop_to_square, nearest_frame_indices
from mvmodel.video.shots import (
    Thumbnails,
    detect_shots,
    find_active_ranges,
    find_liveliest_window,
    read_thumbnails,
)

_NO_CLIPS = frozenset(
    {".csv", ".txt", ".md", ".json", ".jsonl", ".npz", ".npy", ".parquet", ".html", ".pdf", ".xml", ".yaml", ".yml"}
    | {".toml", ".ini", ".py", ".log", ".srt", ".vtt", ".zip", ".tar", ".gz", ".7z", ".db", ".part", ".crdownload"}
    | {".wav", ".mp3", ".flac", ".m4a", ".aac"}
)
"""Endings of files that are silently no clips: tables, texts, archives, unfinished downloads, sound."""
_NO_CLIP_FOLDERS = frozenset({"masks", "ground_truth", "__macosx"})
_MASK_ENDINGS = (".masks.npz", ".masks.gif", ".masks.mp4", ".masks")


@dataclass(frozen=True)
class VideoSource:
    """A file or a folder of frames: `name` relative to the ingested folder, and what the manifest says about it."""

    path: Path
    name: str
    entries: tuple[ManifestEntry, ...] = ()
    masks: str = ""


@dataclass(frozen=True)
class Clip:
    """A range of a source's frames. part: 1, 2, .. when one source gives several, else 0. indices: frames taken."""

    info: VideoInfo
    start: int
    end: int
    caption: str = ""
    motion: str = ""
    part: int = 0
    fps: float = 0.0
    indices: np.ndarray = field(default_factory=lambda: np.zeros(0, int))


def find_sources(folder: Path) -> tuple[list[VideoSource], list[dict[str, str]]]:
    """The sources under `folder` (or the one file it is), sorted by name, and manifest lines that lead nowhere.

    A folder holding pictures and no video is one source. Hidden files, tables, texts, sound and masks are no sources.
    Raises InputError when `folder` does not exist or its manifest is no table.
    """
    if not folder.exists():
        raise InputError(f"{folder} does not exist; give a folder of clips or a video file")
    if folder.is_file():
        return [VideoSource(folder, folder.name)], []
    listed = manifest.read_manifest(folder)
    entries: dict[str, list[ManifestEntry]] = {}
    lost: list[dict[str, str]] = []
    for entry in listed or []:
        try:
            path = manifest.resolve_inside(folder, entry.file)
            key = path.relative_to(folder).as_posix()
            if path.exists():
                entries.setdefault(key, []).append(entry)
            else:
                lost.append({"file": entry.file, "reason": "the manifest names it, but there is no such file"})
        except InputError as error:
            lost.append({"file": entry.file, "reason": str(error)})
    found = [] if entries.keys() == {"."} else _walk(folder)
    names = sorted({path.relative_to(folder).as_posix() for path in found} | entries.keys())
    sources = [
        VideoSource(
            folder / name, name if name != "." else folder.name, tuple(entries.get(name, ())), _masks(folder, name)
        )
        for name in names
    ]
    return sources, lost


def _walk(folder: Path) -> list[Path]:
    found: list[Path] = []
    for current, folders, files in os.walk(folder):
        here = Path(current)
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".") and name.lower() not in _NO_CLIP_FOLDERS and not name.endswith(".masks")
        )
        videos = [
            here / name
            for name in files
            if not name.startswith(".")
            and Path(name).suffix.lower() not in _NO_CLIPS
            and not name.lower().endswith(_MASK_ENDINGS)
            and (here / name).is_file()
        ]
        pictures = set(image_files(here))
        moving = [path for path in videos if path not in pictures]
        found += moving
        if pictures and not moving:
            found.append(here)
    return found


def _masks(folder: Path, name: str) -> str:
    """The user's masks of a source: clip.masks/ (PNG), clip.masks.npz, .gif or .mp4, or masks/ beside frames/."""
    path = folder / name
    stem = path if path.is_dir() else path.with_suffix("")
    for ending in _MASK_ENDINGS:
        beside = stem.with_name(stem.name + ending)
        if beside.exists():
            return beside.relative_to(folder).as_posix()
    if path.is_dir() and path != folder and path.name.lower() == "frames" and (path.parent / "masks").is_dir():
        return (path.parent / "masks").relative_to(folder).as_posix()
    return ""


def find_clips(source: VideoSource, config: IngestConfig) -> list[Clip | UnusableClip]:
    """Where a source is cut and which frames are taken; a part that cannot be used stands there as its error."""
    try:
        info = probe_video(source.path)
        check_limits(source.path, info, config.limits)
        if min(info.width, info.height) < config.min_side:
            small = f"{info.width}x{info.height} pixels are too small; at least {config.min_side} a side are needed"
            raise UnusableClip(source.path, small, info)
        if info.frames < config.min_frames:
            few = "one frame" if info.frames == 1 else f"{info.frames} frames"
            raise UnusableClip(
                source.path, f"it has only {few}, so no motion to learn; at least {config.min_frames} are needed", info
            )
    except UnusableClip as error:
        return [error]
    clips: list[Clip | UnusableClip] = []
    for entry in source.entries or (ManifestEntry(file=source.name),):
        try:
            clips += _of_entry(source, entry, info, config)
        except UnusableClip as error:
            clips.append(UnusableClip(error.path, error.reason, info))
        except InputError as error:
            clips.append(UnusableClip(source.path, str(error), info))
    if len(clips) > 1:
        clips = [_numbered(clip, number) for number, clip in enumerate(clips, 1)]
    return clips


def _numbered(clip: Clip | UnusableClip, number: int) -> Clip | UnusableClip:
    return clip if isinstance(clip, UnusableClip) else Clip(**{**vars(clip), "part": number})


def _of_entry(source: VideoSource, entry: ManifestEntry, info: VideoInfo, config: IngestConfig) -> list[Clip]:
    start, end = (manifest.parse_moment(text, info.fps, info.times) for text in (entry.start, entry.end))
    first, last = check_frame_range(source.path, info, start, end)
    if last - first < config.min_frames:
        raise UnusableClip(
            source.path, f"frames {first} to {last} are too few; at least {config.min_frames} are needed", info
        )
    caption = entry.caption or manifest.sidecar_caption(source.path)
    seen = read_thumbnails(source.path, info, first, last, config.cut)
    ranges = [(first, last)]
    if start is None and end is None:
        ranges = _cut(seen, first, last, info, config)
    return [
        _sampling(Clip(info, a, b, caption, entry.motion), seen.between(a, b), config)
        for a, b in ranges
        if b - a >= config.min_frames
    ]


def _cut(seen: Thumbnails, first: int, last: int, info: VideoInfo, config: IngestConfig) -> list[tuple[int, int]]:
    """Cut footage nobody has cut: short files keep their longest shot, long ones give all active stretches."""
    pieces = detect_shots(seen, last, config.cut)
    if (last - first) / info.fps <= config.cut_longer_than_seconds:
        return [max(pieces, key=lambda piece: piece[1] - piece[0])]
    active = [part for a, b in pieces for part in find_active_ranges(seen.between(a, b), b, config.cut)]
    return active or [max(pieces, key=lambda piece: piece[1] - piece[0])]


def _sampling(clip: Clip, seen: Thumbnails, config: IngestConfig) -> Clip:
    """Choose the frames of a clip by its `tempo`."""
    times = np.asarray(clip.info.times or [index / clip.info.fps for index in range(clip.info.frames)])
    length = config.frames / config.fps
    first, step = clip.start, 1 / config.fps
    own = times[clip.end - 1] - times[clip.start] + 1 / clip.info.fps
    if config.tempo == "whole" or own < length - 1e-6:
        step = (times[clip.end - 1] - times[clip.start]) / max(config.frames - 1, 1)
    elif len(seen.indices):
        first = find_liveliest_window(seen, max(1, round(length * clip.info.fps)), clip.end)
    indices = nearest_frame_indices(times, clip.start, clip.end, times[first], config.frames, step)
    return Clip(**{**vars(clip), "indices": indices, "fps": config.fps})


def read_clip_frames(source: VideoSource, clip: Clip, config: IngestConfig) -> np.ndarray:
    """The clip's frames, uint8 RGB (frames, side, side, 3). Raises UnusableClip when they cannot be decoded."""
    wanted = sorted(set(clip.indices.tolist()))
    squares = {
        index: crop_to_square(frame, config.resolution, clip.info.pixel_aspect)
        for index, frame in iterate_frames(source.path, clip.info, wanted)
    }
    return np.stack([squares[index] for index in clip.indices.tolist()])
