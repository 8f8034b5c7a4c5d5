"""What a video file or a folder of frames holds, found without trusting its header."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from mvmodel.errors import InputError

if TYPE_CHECKING:
    import av
    import av.container

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"})
FOLDER_FPS = 24.0
"""Rate that a folder of frames is taken to have, since nothing in it tells."""

_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,gif,apng,mpegts,mpeg,mpegvideo,ogg,flv,asf,h264,hevc,m4v,ivf,obu,dv,"
    "mjpeg,mxf,nut,rm,wtv,vob,y4m,yuv4mpegpipe,webp_pipe"
)
"""Containers that FFmpeg may recognise. Playlists are not among them: they could make it open other files."""


class UnusableClip(InputError):
    """A clip that cannot be used. `reason` is the sentence without the file's name; `info` what is known of it."""

    def __init__(self, path: Path, reason: str, info: VideoInfo | None = None) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason, self.info = Path(path), reason, info


class VideoInfo(BaseModel):
    """What a video file or a folder of frames holds.

    width, height: pixels as shown, so after rotation. rotation: clockwise degrees that a player turns the coded
    picture by (0, 90, 180, 270). pixel_aspect: width of a pixel over its height. frames: pictures counted in the
    file, not the header's claim. times: when each is shown, in seconds from the first one. pixels: FFmpeg's name of
    the pixel format, such as yuv420p; "" for pictures. An alpha channel is left out: colours are taken as stored.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    frames: int
    fps: float
    width: int
    height: int
    codec: str
    duration_s: float
    rotation: int = 0
    pixel_aspect: float = 1.0
    header_frames: int = 0
    pixels: str = ""
    times: tuple[float, ...] = ()


def natural_key(path: Path) -> list[Any]:
    """Sorting key under which frame_2 comes before frame_10."""
    return [int(part) if part.isdigit() else part.lower() for part in re.split(r"(\d+)", path.name)]


def image_files(folder: Path) -> list[Path]:
    """The pictures directly inside `folder`, in frame order."""
    found = (p for p in Path(folder).iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith("."))
    return sorted((p for p in found if p.is_file()), key=natural_key)


def open_video(path: Path) -> av.container.InputContainer:
    """Open a file with PyAV. Raises UnusableClip when it is no video file."""
    import av

    path = Path(path)
    if not path.is_file():
        raise UnusableClip(path, "there is no such file; check the name")
    if path.stat().st_size == 0:
        raise UnusableClip(path, "the file is empty (zero bytes); copy it again")
    try:
        container = av.open(str(path.absolute()), options={"format_whitelist": _CONTAINERS})
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise UnusableClip(path, f"not a video file, or its header is damaged ({_words(error)})") from error
    if not container.streams.video:
        container.close()
        raise UnusableClip(path, "it has no video track, only sound or data; give a file with pictures")
    return container


def probe_video(path: Path) -> VideoInfo:
    """Probe a video file or a folder of frames.

    The first picture is decoded and the others are counted, so what is said here was seen, except that a picture
    further on may still turn out to be damaged. Raises UnusableClip when nothing can be shown.
    """
    path = Path(path)
    if path.is_dir():
        return _probe_folder(path)
    import av

    with open_video(path) as container:
        stream = container.streams.video[0]
        header_frames = int(stream.frames or 0)
        try:
            first = next(container.decode(stream), None)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise UnusableClip(
                path, f"its pictures cannot be decoded: encrypted, damaged or of an unknown kind ({_words(error)})"
            ) from error
        if first is None:
            raise UnusableClip(path, "it has a video track without a single picture; it may be a cut-off fragment")
        rotation = _clockwise(path, first)
        width, height = (first.height, first.width) if rotation in (90, 270) else (first.width, first.height)
        aspect = float(stream.sample_aspect_ratio or 1) or 1.0
        codec, pixels = stream.codec_context.name, first.format.name
        rate = float(stream.average_rate or 0)
    times = _times(path)
    frames = max(len(times), 1)
    fps = _rate(times, rate)
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
    )


def _words(error: Exception) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return str(text).split(":")[0].strip().rstrip(".") or type(error).__name__


def _clockwise(path: Path, frame: av.VideoFrame) -> int:
    """Clockwise degrees, a multiple of 90, that the file's display matrix turns the picture by.

    Raises UnusableClip for a matrix that does anything else to it; a damaged one without an inverse counts as none.
    """
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return 0
    a, b, _, c, d = struct.unpack("=5i", bytes(data)[:20])
    if a * d == b * c:
        return 0
    if a * d < b * c:
        does = "mirrors the picture"
    elif frame.rotation % 90:
        does = f"turns the picture by {abs(frame.rotation)} degrees"
    else:
        return int(-frame.rotation) % 360
    raise UnusableClip(
        path, f"its display matrix {does}; write it as it is shown, as with ffmpeg -i {path.name} new.mp4"
    )


def _times(path: Path) -> list[float]:
    """When each picture is shown, by the packets' time stamps, without decoding; seconds from the first."""
    import av

    stamps: list[float] = []
    unstamped = 0
    with open_video(path) as container:
        stream = container.streams.video[0]
        try:
            for packet in container.demux(stream):
                if packet.size == 0 or packet.is_discard:
                    continue
                if packet.pts is None or packet.time_base is None:
                    unstamped += 1
                else:
                    stamps.append(float(packet.pts * packet.time_base))
        except (av.error.FFmpegError, OSError, ValueError):
            pass  # a damaged tail: decoding will name it
        rate = float(stream.average_rate or 25)
    if unstamped > len(stamps) // 10:
        return [index / rate for index in range(unstamped + len(stamps))]
    stamps.sort()
    return [round(stamp - stamps[0], 6) for stamp in stamps]


def _rate(times: list[float], claimed: float) -> float:
    """Frames per second: the claimed rate when the time stamps bear it out, what they show otherwise."""
    if len(times) > 1 and times[-1] > 0:
        seen = (len(times) - 1) / times[-1]
        return claimed if abs(claimed - seen) < 0.03 * seen else round(seen, 4)
    return claimed if 0 < claimed <= 1000 else FOLDER_FPS


def _probe_folder(folder: Path) -> VideoInfo:
    from PIL import Image, ImageOps

    files = image_files(folder)
    if not files:
        raise UnusableClip(folder, "the folder holds no pictures (png, jpg, bmp, webp, tif)")
    try:
        with Image.open(files[0]) as first:
            width, height = ImageOps.exif_transpose(first).size
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise UnusableClip(folder, f"its first picture {files[0].name} cannot be read ({_words(error)})") from error
    return VideoInfo(
        frames=len(files),
        fps=FOLDER_FPS,
        width=width,
        height=height,
        codec="images",
        duration_s=round(len(files) / FOLDER_FPS, 6),
        header_frames=len(files),
        times=tuple(index / FOLDER_FPS for index in range(len(files))),
    )
