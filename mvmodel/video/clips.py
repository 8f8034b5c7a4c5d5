"""From a source to clips: where it is cut, and which frames are taken."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from mvmodel.errors import InputError
from mvmodel.text import motion_slug
from mvmodel.video.captions import CAPTION_SUFFIX, Caption, read_sidecar_caption, shorten_caption
from mvmodel.video.config import IngestConfig
from mvmodel.video.containers import UnusableClip, VideoInfo
from mvmodel.video.crop import Crop
from mvmodel.video.decode import check_frame_range, check_limits
from mvmodel.video.manifest import MANIFEST_NAME, ManifestEntry, parse_moment, parse_rate
from mvmodel.video.probe import join_notes, probe_video, set_frame_rate
from mvmodel.video.sampling import nearest_frame_indices
from mvmodel.video.shots import (
    Thumbnails,
    detect_shots,
    find_active_ranges,
    find_liveliest_window,
    read_thumbnails,
)
from mvmodel.video.sources import VideoSource


@dataclass(frozen=True)
class Clip:
    """A range of a source's frames.

    info: the source. start, end: frame numbers, end exclusive. part: 1, 2, ... if the source gives several clips, else
    0. fps: frame rate of the clip. indices: the frames taken, int (frames,). caption_from: the file that the caption is
    from. caption_note: a sentence about a caption that is too long, or "". crop: the window that is cut out of the
    frames, None until it is chosen. crop_note: a sentence about a window that does not show all that moves, or "".
    """

    info: VideoInfo
    start: int
    end: int
    caption: str = ""
    motion: str = ""
    part: int = 0
    fps: float = 0.0
    indices: np.ndarray = field(default_factory=lambda: np.zeros(0, int))
    caption_from: str = ""
    caption_note: str = ""
    crop: Crop | None = None
    crop_note: str = ""


def find_clips(source: VideoSource, config: IngestConfig) -> list[Clip | UnusableClip]:
    """The clips of a source. A part that cannot be used is represented by its error."""
    try:
        info = _probe_source(source, config)
    except UnusableClip as error:
        return [error]
    clips: list[Clip | UnusableClip] = []
    for entry in source.entries or (ManifestEntry(file=source.name),):
        try:
            clips += _cut_entry(source, entry, info, config)
        except UnusableClip as error:
            clips.append(UnusableClip(error.path, error.reason, info))
        except InputError as error:
            reason = str(error).replace(f"{source.path.parent}/", "")  # a caption beside the clip
            clips.append(UnusableClip(source.path, reason, info))
    if len(clips) == 1:
        return clips
    return [clip if isinstance(clip, UnusableClip) else replace(clip, part=part) for part, clip in enumerate(clips, 1)]


def _probe_source(source: VideoSource, config: IngestConfig) -> VideoInfo:
    """Probes a source. Raises UnusableClip if it is too large, too small or too short."""
    info = _apply_rate(source, probe_video(source.path, config.limits))
    check_limits(source.path, info, config.limits)
    if min(info.width, info.height) < config.min_side:
        reason = f"{info.width}x{info.height} pixels are too small; at least {config.min_side} a side are needed"
        raise UnusableClip(source.path, reason, info)
    if info.frames < config.min_frames:
        count = "one frame" if info.frames == 1 else f"{info.frames} frames"
        reason = f"it has only {count}, so no motion to learn; at least {config.min_frames} are needed"
        raise UnusableClip(source.path, reason, info)
    return info


def _apply_rate(source: VideoSource, info: VideoInfo) -> VideoInfo:
    """The probe with the manifest's frame rate, where the clip states none; a note says what was assumed."""
    try:
        rate = next((rate for rate in (parse_rate(entry.fps) for entry in source.entries) if rate), None)
    except InputError as error:
        raise UnusableClip(source.path, str(error), info) from error
    note = ""
    if not info.has_rate and rate:
        info = set_frame_rate(info, rate)
    elif not info.has_rate:
        note = f"it states no frame rate, so {info.fps:g} a second are assumed; the manifest may have a column fps"
    elif rate and abs(rate / info.fps - 1) > 0.03:
        note = f"the manifest says {rate:g} frames a second, the clip {info.fps:g}, which is used"
    return info.model_copy(update={"note": join_notes(info.note, note)})


def _cut_entry(source: VideoSource, entry: ManifestEntry, info: VideoInfo, config: IngestConfig) -> list[Clip]:
    """The clips of one line of the manifest."""
    if entry.motion:
        motion_slug(
            entry.motion
        )  # a label that gives no slug is refused here, so that it does not stop the others later
    start, end = (parse_moment(text, info.fps, info.times) for text in (entry.start, entry.end))
    first, last = check_frame_range(source.path, info, start, end)
    if last - first < config.min_frames:
        reason = f"frames {first} to {last} are too few; at least {config.min_frames} are needed"
        raise UnusableClip(source.path, reason, info)
    caption = _choose_caption(source, entry)
    clip = Clip(info, first, last, caption.text, entry.motion, caption_from=caption.origin, caption_note=caption.note)
    thumbnails = read_thumbnails(source.path, info, first, last, config)
    ranges = [(first, last)]
    if start is None and end is None:
        ranges = _cut_footage(thumbnails, first, last, info, config)
    return [
        _sample_clip(replace(clip, start=a, end=b), thumbnails.select(a, b), config)
        for a, b in ranges
        if b - a >= config.min_frames
    ]


def _choose_caption(source: VideoSource, entry: ManifestEntry) -> Caption:
    """The manifest's caption, or else the one beside the source. Raises InputError if that is no text."""
    if entry.caption:
        return shorten_caption(entry.caption, entry.table or MANIFEST_NAME)
    return read_sidecar_caption(source.path, entry.caption_suffix or CAPTION_SUFFIX)


def _cut_footage(
    thumbnails: Thumbnails, first: int, last: int, info: VideoInfo, config: IngestConfig
) -> list[tuple[int, int]]:
    """Frame ranges of footage without start and end: a short file's longest shot, a long one's active ranges."""
    shots = detect_shots(thumbnails, last, config.cut)
    longest = max(shots, key=lambda shot: shot[1] - shot[0])
    if (last - first) / info.fps <= config.cut_longer_than_seconds:
        return [longest]
    active = [part for a, b in shots for part in find_active_ranges(thumbnails.select(a, b), b, config.cut)]
    return active or [longest]


def _sample_clip(clip: Clip, thumbnails: Thumbnails, config: IngestConfig) -> Clip:
    """Chooses the frames of a clip according to `config.tempo`."""
    info = clip.info
    times = np.asarray(info.times or [index / info.fps for index in range(info.frames)])
    target_seconds = config.frames / config.fps
    clip_seconds = times[clip.end - 1] - times[clip.start] + 1 / info.fps
    first, step = clip.start, 1 / config.fps
    if config.tempo == "whole" or clip_seconds < target_seconds - 1e-6:
        step = (times[clip.end - 1] - times[clip.start]) / max(config.frames - 1, 1)
    elif len(thumbnails.indices):
        first = find_liveliest_window(thumbnails, max(1, round(target_seconds * info.fps)), clip.end)
    indices = nearest_frame_indices(times, clip.start, clip.end, times[first], config.frames, step)
    return replace(clip, indices=indices, fps=config.fps)
