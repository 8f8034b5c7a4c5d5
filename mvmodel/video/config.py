"""Settings of ingestion: what a decoder may be asked for, how footage is cut, and how clips are made equal."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import AliasChoices, Field, model_validator

from mvmodel.config import Config
from mvmodel.picture_size import PictureSize, Size


class DecodeLimits(Config):
    """Limits of decoding. A clip beyond one of them is refused, and the reason names the limit."""

    pixels: int = Field(36_000_000, gt=0)
    """Largest number of pixels of one frame."""
    frames: int = Field(110_000, gt=0)
    """Largest number of frames of one file."""
    seconds: float = Field(3600.0, gt=0)
    """Longest duration of one file."""
    bytes: int = Field(3 << 30, gt=0)
    """Largest size of the array of decoded frames."""
    timeout_s: float = Field(60.0, gt=0)
    """Longest wait in seconds for the next frame of a file; files of many megabytes get one second more for each. A
    decoder that takes longer is ended, and the file is refused."""
    memory_mb: int = Field(4096, ge=64)
    """Memory in megabytes that decoding one file may take. Counted on Linux only."""
    kept_mb: int = Field(768, ge=0)
    """Memory in megabytes for decoded frames that are kept until a clip is chosen from them. A file with more is
    decoded twice."""


class CutConfig(Config):
    """How footage is cut into shots and into stretches in which something moves."""

    scan_fps: float = Field(12.0, gt=0)
    """Thumbnails analysed per second."""
    thumbnail_width: int = Field(96, ge=8)
    """Width of a thumbnail in pixels."""
    min_shot_change: float = Field(28.0, ge=0)
    """Mean difference of neighbouring thumbnails, in grey levels, from which there may be a cut."""
    min_shot_ratio: float = Field(4.0, ge=0)
    """A cut's change must also be this many times the mean of the changes around it."""
    foreground_threshold: float = Field(20.0, ge=0)
    """Grey levels by which a pixel must differ from the background to count as foreground."""
    min_active_share: float = Field(0.01, ge=0, le=1)
    """Share of foreground pixels, above the quiet level, that makes a moment active."""
    max_gap_seconds: float = Field(1.0, ge=0)
    """Pauses up to this length do not end an active stretch."""
    min_seconds: float = Field(1.0, ge=0)
    """Shorter stretches are dropped."""
    max_seconds: float = Field(60.0, gt=0)
    """Longer stretches are divided."""
    pad_seconds: float = Field(0.1, ge=0)
    """Time added at both ends of a stretch."""


class IngestConfig(Config):
    """How clips are brought to one length, frame rate and size."""

    frames: int = Field(12, ge=1, le=10_000)
    """Frames of every clip."""
    fps: float = Field(8.0, gt=0, le=1000)
    """Frames per second of every clip."""
    size: Size = Field(PictureSize(128, 128), validation_alias=AliasChoices("size", "resolution"))
    """Width and height of every clip in pixels. In a settings file, `size` outside of sections sets it."""
    overflow: Literal["quarantine", "letterbox"] = "quarantine"
    """What happens to a clip whose own masks need more of the picture than a clip of this shape can show: it is
    refused, or scaled down with black bars until they fit. A clip without masks keeps what moves, as far as it fits."""
    mask_fit: Literal["crop", "pad", "stretch"] | None = None
    """How a clip's own masks of another shape lie on its frames: cropped to their shape from the middle, padded to it,
    or stretched. By default such clips are refused, because nothing says where the masks belong."""
    min_frames: int = Field(4, ge=1)
    """Sources with fewer frames are refused."""
    min_side: int = Field(16, ge=1)
    """Sources with a shorter side, in pixels, are refused."""
    tempo: Literal["keep", "whole"] = "keep"
    """`keep` takes the liveliest frames / fps seconds at their original speed; `whole` spreads the frames over the
    whole clip. A source that is shorter than frames / fps seconds is always spread."""
    cut_longer_than_seconds: float = Field(12.0, gt=0)
    """A longer file without start and end in the manifest is cut into shots and active stretches."""
    cut: CutConfig = CutConfig()
    """How it is cut."""
    limits: DecodeLimits = DecodeLimits()
    """Limits of decoding."""

    @model_validator(mode="after")
    def _check_clip_size(self) -> Self:
        size = self.frames * self.size.width * self.size.height * 3
        if size > self.limits.bytes:
            raise ValueError(
                f"clips of {self.frames} frames of {self.size} need {size / 2**30:.1f} GiB each, more than the limit "
                f"of {self.limits.bytes / 2**30:.1f} GiB; choose fewer frames or a smaller size"
            )
        return self
