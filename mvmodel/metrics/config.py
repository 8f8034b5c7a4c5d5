"""Settings of the metrics."""

from __future__ import annotations

from pydantic import Field

from mvmodel.config import Config


class JudgeConfig(Config):
    """How the judge tells the object from everything else that the segmenter proposes."""

    min_area: float = Field(0.004, ge=0, le=1)
    """Share of the picture below which a candidate is ignored as noise."""
    max_area: float = Field(0.6, ge=0, le=1)
    """Share of the picture above which a candidate is taken for ground or sky."""
    crop_margin: float = Field(0.2, ge=0)
    """Margin around a candidate's bounding box, as a share of the box's longer side."""
    crop_size: int = Field(96, ge=16)
    """Side in pixels of the square crops that the scorer sees."""
    max_shared_area: float = Field(0.2, ge=0, le=1)
    """Two candidates are two objects when they share at most this part of the smaller one."""
    detection_frames: int | None = Field(None, ge=1)
    """Frames of a video in which the judge looks for the object, evenly spaced; null is all of them. A large segmenter
    takes about a minute a frame on a busy CPU. With fewer frames, metrics of the object are means over these frames,
    which metrics and reports say, and `motion` is measured inside the control masks."""
    independent_frames: int = Field(3, ge=0)
    """Frames of a video on which the independent judge looks for the object, evenly spaced; 0 leaves it out."""
    max_similarity_gap: float = Field(0.1, ge=0)
    """A further candidate counts as an object when its margin is at most this far below the best one's, in cosine."""


def describe_detection_frames(count: int) -> str:
    """A sentence for metrics whose judge looked for the object in `count` frames of a video only."""
    return (
        f"The judge looked for the object in {count} evenly spaced frames of each video (detection_frames), not in "
        f"all: metrics of the object are means over these frames, and motion is measured inside the control masks."
    )
