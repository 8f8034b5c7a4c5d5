"""Video files and folders of frames: opening them, and the error for those that cannot be used."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import av
import av.container
from pydantic import BaseModel, ConfigDict

from mvmodel.errors import InputError
from mvmodel.video.picture_sequences import is_sequence_path, select_sequence, sort_pictures

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".exr"})
AV_ERRORS = (av.error.FFmpegError, OSError, ValueError)
"""What PyAV raises for a damaged file."""
_ALPHA_DECODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9"}
_SINGLE_THREAD_CODECS = ("vp9",)
"""With several threads, what FFmpeg makes of a damaged file may differ from run to run."""
_CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,gif,apng,mpegts,mpeg,mpegvideo,ogg,flv,asf,h264,hevc,m4v,ivf,obu,dv,"
    "mjpeg,mxf,nut,rm,wtv,vob,y4m,yuv4mpegpipe,webp_pipe"
)
"""Containers that FFmpeg may recognise. Playlists are excluded: they could make it open other files."""


class VideoInfo(BaseModel):
    """What a video file or a folder of frames holds."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    frames: int
    """Frames counted in the file, not the header's claim."""
    fps: float
    """Frames per second."""
    has_rate: bool = True
    """Whether the clip states its frame rate; folders of frames and TIFFs do not."""
    width: int
    """Displayed width in pixels, after rotation."""
    height: int
    """Displayed height in pixels, after rotation."""
    codec: str
    """FFmpeg's name of the codec; "images" for a folder; Pillow's name of the format for an animated picture."""
    duration_s: float
    """Duration in seconds."""
    rotation: int = 0
    """Clockwise degrees by which a player turns the coded picture: 0, 90, 180 or 270."""
    pixel_aspect: float = 1.0
    """Width of a pixel divided by its height."""
    header_frames: int = 0
    """The header's frame count, 0 if it has none."""
    pixels: str = ""
    """FFmpeg's name of the pixel format, such as yuv420p; empty for a folder."""
    times: tuple[float, ...] = ()
    """When each frame is displayed, in seconds from the first one."""
    pictures: tuple[int, ...] = ()
    """For each frame of an animated picture, which of its pictures it shows. A held picture is several frames."""
    levels: tuple[float, float] | None = None
    """Values that become black and white, for pictures of more than 8 bits a channel."""
    alpha: bool = False
    """Whether the alpha channel lets anything through. Colours are composed on mid grey."""
    note: str = ""
    """What is odd about it, such as missing numbers in a folder of frames, but no reason to refuse it."""


class UnusableClip(InputError):
    """A clip that cannot be used.

    Attributes:
        path: The clip.
        reason: The message without the file's name.
        info: What the clip holds, where it could be probed.
    """

    def __init__(self, path: Path, reason: str, info: VideoInfo | None = None) -> None:
        super().__init__(f"{path}: {reason}")
        self.path, self.reason, self.info = Path(path), reason, info


def image_files(path: Path) -> list[Path]:
    """The images directly inside a folder, in frame order. Hidden files are ignored.

    A path such as shots/a_%d.png stands for those of the folder `shots` with such names.
    """
    path = Path(path)
    folder = path.parent if is_sequence_path(path) else path
    images = (p for p in folder.iterdir() if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith("."))
    pictures = [image for image in images if image.is_file()]
    return sort_pictures(pictures if folder == path else select_sequence(path, pictures))


def stamp_files(path: Path) -> tuple[tuple[str, int, int, int], ...]:
    """Name, size, time of the last change and inode of a file, or of the pictures that a path stands for.

    Two stamps that are equal say that nothing was replaced, cut off or written in between.
    """
    try:
        files = image_files(path) if holds_pictures(path) else [Path(path)]
        statuses = [(file.name, file.stat()) for file in files]
    except OSError:
        return ()
    return tuple((name, status.st_size, status.st_mtime_ns, status.st_ino) for name, status in statuses)


def check_unchanged(path: Path, stamp: tuple[tuple[str, int, int, int], ...]) -> None:
    """Raises UnusableClip if a path has changed since its stamp was taken: what was read may be a mixture."""
    if stamp_files(path) != stamp:
        raise UnusableClip(path, "it was changed, replaced or removed while it was read; try again when it is complete")


def holds_pictures(path: Path) -> bool:
    """Whether a path is a folder of pictures, or stands for some of a folder's pictures."""
    return path.is_dir() or is_sequence_path(path)


def open_video(path: Path) -> av.container.InputContainer:
    """Opens a file with PyAV. Raises UnusableClip if it is not a video file."""
    path = Path(path)
    if not path.is_file():
        raise UnusableClip(path, "there is no such file; check the name")
    if path.stat().st_size == 0:
        raise UnusableClip(path, "the file is empty (zero bytes); copy it again")
    try:
        container = av.open(str(path.absolute()), options={"format_whitelist": _CONTAINERS})
    except AV_ERRORS as error:
        raise UnusableClip(path, f"not a video file, or its header is damaged ({describe_error(error)})") from error
    if not container.streams.video:
        container.close()
        raise UnusableClip(path, "it has no video track, only sound or data; give a file with pictures")
    codec = container.streams.video[0].codec_context
    if codec.name in _SINGLE_THREAD_CODECS:
        codec.thread_count = 1
    return container


def decode_stream(container: av.container.InputContainer) -> Iterator[av.VideoFrame]:
    """All frames of a container's first video track, with their alpha where they have any. Raises AV_ERRORS."""
    stream = container.streams.video[0]
    library = _ALPHA_DECODERS.get(stream.codec_context.name)
    if library is None or stream.metadata.get("alpha_mode") != "1":
        yield from container.decode(stream)
        return
    # FFmpeg's own decoders of VP8 and VP9 leave the alpha out.
    decoder = av.VideoCodecContext.create(library, "r")
    assert isinstance(decoder, av.VideoCodecContext)
    decoder.extradata = stream.codec_context.extradata
    decoder.thread_count = 1
    for packet in container.demux(stream):
        yield from decoder.decode(packet)


def has_alpha_channel(frame: av.VideoFrame) -> bool:
    """Whether a frame's pixel format has an alpha channel."""
    return any(component.is_alpha for component in frame.format.components) or frame.format.name == "pal8"


def describe_error(error: Exception) -> str:
    """A decoder's error message without file names and error codes."""
    text = getattr(error, "strerror", None) or str(error)
    return str(text).split(":")[0].strip().rstrip(".") or type(error).__name__
