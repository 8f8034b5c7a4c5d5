"""Probes a video file or a folder of frames without trusting the file's header."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import av

from mvmodel.text import printable_name
from mvmodel.video.animation import is_animated_format, probe_animation
from mvmodel.video.config import DecodeLimits
from mvmodel.video.containers import (
    AV_ERRORS,
    UnusableClip,
    VideoInfo,
    decode_stream,
    describe_error,
    has_alpha_channel,
    holds_pictures,
    image_files,
    open_video,
)
from mvmodel.video.guard import beat, run_guarded
from mvmodel.video.picture_sequences import describe_gaps, picture_moments
from mvmodel.video.pictures import ALPHA_NOTE, PICTURE_ERRORS, Picture, choose_levels, read_picture
from mvmodel.video.sampling import evenly_spaced_indices

FOLDER_FPS = 24.0
"""Frame rate assumed for a folder of frames and for the pages of a TIFF, which do not state one."""
_SAMPLES = 8
"""Pictures of a folder that are looked into before all are read."""


def probe_video(path: Path, limits: DecodeLimits = DecodeLimits()) -> VideoInfo:
    """Probes a video file or a folder of frames in the worker process of `mvmodel.video.guard`.

    The first frame is decoded and the others are counted, so the result does not depend on the header. A later frame
    may still turn out to be damaged. Raises UnusableClip if the first frame cannot be decoded, or if the header states
    a picture beyond `limits.pixels`.
    """
    path = Path(path)
    if printable_name(str(path.absolute())) != str(path.absolute()):
        raise UnusableClip(path, "its name, or that of a folder around it, is not UTF-8; rename it")
    return run_guarded(path, limits, _probe, path, limits)


def set_frame_rate(info: VideoInfo, fps: float) -> VideoInfo:
    """The probe of a clip that states no frame rate, with this one."""
    times = tuple(index / fps for index in range(info.frames))
    duration = round(info.frames / fps, 6)
    return info.model_copy(update={"fps": fps, "has_rate": True, "times": times, "duration_s": duration})


def _probe(path: Path, limits: DecodeLimits) -> VideoInfo:
    if holds_pictures(path):
        return _probe_folder(path)
    if is_animated_format(path):
        return _probe_animation(path, limits)
    with open_video(path) as container:
        stream = container.streams.video[0]
        header_frames = int(stream.frames or 0)
        check_pixels(path, stream.codec_context.width, stream.codec_context.height, limits)
        try:
            first = next(decode_stream(container), None)
        except AV_ERRORS as error:
            raise UnusableClip(
                path,
                f"its pictures cannot be decoded: encrypted, damaged or of an unknown kind ({describe_error(error)})",
            ) from error
        if first is None:
            raise UnusableClip(path, "it has a video track without a single picture; it may be a cut-off fragment")
        rotation = _clockwise_rotation(path, first)
        width, height = (first.height, first.width) if rotation in (90, 270) else (first.width, first.height)
        aspect = float(stream.sample_aspect_ratio or 1) or 1.0
        codec, pixels = stream.codec_context.name, first.format.name
        header_fps = float(stream.average_rate or 0)
        has_alpha = has_alpha_channel(first) and _lets_anything_through(path)
    times = _frame_times(path, limits.frames)
    frames = max(len(times), 1)
    fps = _frame_rate(times, header_fps)
    return VideoInfo(
        frames=frames,
        fps=fps,
        width=width,
        height=height,
        codec=codec,
        duration_s=round(frames / fps, 6),
        rotation=rotation,
        pixel_aspect=1 / aspect if rotation in (90, 270) else aspect,
        header_frames=header_frames,
        pixels=pixels,
        times=tuple(times),
        alpha=has_alpha,
        note=ALPHA_NOTE if has_alpha else "",
    )


def _clockwise_rotation(path: Path, frame: av.VideoFrame) -> int:
    """Clockwise rotation by the file's display matrix in degrees, a multiple of 90.

    Raises UnusableClip for a matrix that does anything else. A damaged matrix without an inverse counts as none.
    """
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return 0
    a, b, _, c, d = struct.unpack("=5i", bytes(data)[:20])
    if a * d == b * c:
        return 0
    if a * d < b * c:
        effect = "mirrors the picture"
    elif frame.rotation % 90:
        effect = f"turns the picture by {abs(frame.rotation)} degrees"
    else:
        return int(-frame.rotation) % 360
    raise UnusableClip(
        path, f"its display matrix {effect}; write it as it is shown, as with ffmpeg -i {path.name} new.mp4"
    )


def check_pixels(path: Path, width: int, height: int, limits: DecodeLimits) -> None:
    """Raises UnusableClip for a picture that is larger than the limit."""
    if width * height > limits.pixels:
        reason = f"{width}x{height} is more than the limit of {limits.pixels:,} pixels; scale it down"
        raise UnusableClip(path, reason)


def _frame_times(path: Path, most: int) -> list[float]:
    """When each frame is displayed, in seconds from the first, by the packets' time stamps and without decoding.

    Stops after `most` frames and one more.
    """
    stamps: list[float] = []
    packets_without_stamp = 0
    with open_video(path) as container:
        stream = container.streams.video[0]
        try:
            for packet in container.demux(stream):
                beat()
                if packet.size == 0 or packet.is_discard:
                    continue
                if len(stamps) + packets_without_stamp > most:
                    break
                if packet.pts is None or packet.time_base is None:
                    packets_without_stamp += 1
                else:
                    stamps.append(float(packet.pts * packet.time_base))
        except AV_ERRORS:
            pass  # a damaged tail: decoding reports it
        fps = float(stream.average_rate or 25)
    if packets_without_stamp > len(stamps) // 10:
        return [index / fps for index in range(packets_without_stamp + len(stamps))]
    stamps.sort()
    return [round(stamp - stamps[0], 6) for stamp in stamps]


def _frame_rate(times: list[float], header_fps: float) -> float:
    """Frames per second: the header's rate if the time stamps agree with it, else the rate of the time stamps."""
    if len(times) > 1 and times[-1] > 0:
        measured_fps = (len(times) - 1) / times[-1]
        return header_fps if abs(header_fps - measured_fps) < 0.03 * measured_fps else round(measured_fps, 4)
    return header_fps if 0 < header_fps <= 1000 else FOLDER_FPS


def _lets_anything_through(path: Path) -> bool:
    """Whether any pixel of a video with an alpha channel is not opaque. Damage is for the decoder to report."""
    with open_video(path) as container:
        try:
            for frame in decode_stream(container):
                beat()
                if (frame.to_ndarray(format="rgba")[..., 3] < 255).any():
                    return True
            return False
        except AV_ERRORS:
            return True


def _probe_animation(path: Path, limits: DecodeLimits) -> VideoInfo:
    """Probes an animated picture, or a picture alone. Held pictures are several frames, so that all are even."""
    try:
        animation = probe_animation(path, limits)
    except PICTURE_ERRORS as error:
        raise UnusableClip(path, f"its pictures cannot be read ({_reason(error)})") from error
    levels, note = choose_levels(animation.samples)
    fps, frames = animation.fps or FOLDER_FPS, len(animation.indices)
    return VideoInfo(
        frames=frames,
        fps=fps,
        has_rate=animation.fps is not None,
        width=animation.size[0],
        height=animation.size[1],
        codec=animation.format.lower(),
        duration_s=round(frames / fps, 6),
        header_frames=frames,
        times=tuple(index / fps for index in range(frames)),
        pictures=animation.indices,
        levels=levels,
        alpha=animation.alpha,
        note=join_notes(note, ALPHA_NOTE if animation.alpha else ""),
    )


def _probe_folder(folder: Path) -> VideoInfo:
    files = image_files(folder)
    if not files:
        raise UnusableClip(folder, "the folder holds no pictures (png, jpg, bmp, webp, tif, exr)")
    try:
        first = read_picture(files[0])
    except PICTURE_ERRORS as error:
        reason = f"its first picture {files[0].name} cannot be read ({_reason(error)})"
        raise UnusableClip(folder, reason) from error
    height, width = first.values.shape[:2]
    samples = _sample_pictures(files, first)
    levels, note = choose_levels(samples)
    alpha = any(picture.is_transparent for picture in samples)
    times = tuple(float(moment) for moment in picture_moments(files) or ())
    fps = round((len(times) - 1) / times[-1], 4) if len(times) > 1 else FOLDER_FPS
    return VideoInfo(
        frames=len(files),
        fps=fps,
        has_rate=bool(times),
        width=width,
        height=height,
        codec="images",
        duration_s=round(len(files) / fps, 6),
        header_frames=len(files),
        times=times or tuple(index / FOLDER_FPS for index in range(len(files))),
        levels=levels,
        alpha=alpha,
        note=join_notes(describe_gaps(files), note, ALPHA_NOTE if alpha else ""),
    )


def _sample_pictures(files: list[Path], first: Picture) -> list[Picture]:
    """Pictures of a folder that say what levels and alpha the others have: the first alone if it is plain."""
    if not first.is_deep and first.alpha is None:
        return [first]
    samples = [first]
    for index in evenly_spaced_indices(_SAMPLES, len(files))[1:].tolist():
        try:
            samples.append(read_picture(files[index]))
        except PICTURE_ERRORS:
            continue  # decoding reports it
    return samples


def join_notes(*notes: str) -> str:
    """Notes about a clip in one text; empty ones are left out."""
    return "; ".join(note for note in notes if note)


def _reason(error: Exception) -> str:
    """An error's message. Ours name what is wrong; those of libraries are cut to what is not a path or a code."""
    return str(error) if type(error) is ValueError else describe_error(error)
