"""Settings of mask extraction: saliency, tracking, and the quality limits of a mask sequence."""

from __future__ import annotations

from pydantic import Field

from mvmodel.config import Config

SEGMENTER_NAMES = (
    "auto",
    "pack",
    "u2netp",
    "sam_vit_b",
    "sam_vit_l",
    "sam_vit_h",
    "sam2.1-tiny",
    "sam2.1-large",
    "edgetam",
)
"""Segmenters that can be named in settings; a path of weights is accepted as well."""


class SaliencyConfig(Config):
    """How saliency is computed."""

    max_side: int = Field(192, ge=16)
    """Long side, in pixels, of the downscaled frames on which saliency is computed."""
    motion_threshold: float = Field(14.0, ge=0)
    """Colour change, in grey levels, below which nothing in the clip counts as moving."""
    appearance_weight: float = Field(0.35, ge=0, le=1)
    """Weight of the appearance cue; the motion cue has the rest."""
    border_colour_distance: float = Field(30.0, gt=0)
    """CIELAB distance from the frame's border colours at which a pixel counts as entirely different from them."""


class QualityConfig(Config):
    """Limits beyond which a mask sequence is marked as weak."""

    min_coverage: float = Field(0.004, ge=0, le=1)
    """Lowest mean share of the frame that is foreground."""
    max_missing: float = Field(0.2, ge=0, le=1)
    """Highest share of frames without a mask."""
    max_jitter: float = Field(0.5, ge=0, le=1)
    """Highest jitter: 1 minus the mean IoU of neighbouring masks after centring."""
    min_confidence: float = Field(0.55, ge=0, le=1)
    """Lowest mean predicted IoU of the segmenter."""
    min_salience: float = Field(0.4, ge=0, le=1)
    """Lowest mean saliency inside the masks. It is 0.7 to 0.9 on rendered clips, and 0.2 for wrong masks on
    photographs."""


class ExtractConfig(Config):
    """How the foreground is found and tracked. Areas are shares of the frame."""

    segmenter: str = "auto"
    """pack (the pack's own), u2netp, sam_vit_b, sam_vit_l, sam_vit_h, sam2.1-tiny, sam2.1-large, edgetam, or a path of
    weights. auto takes the pack's own, and for clips whose masks it makes weak the best other one on this machine."""
    saliency: SaliencyConfig = SaliencyConfig()
    """How saliency is computed."""
    quality: QualityConfig = QualityConfig()
    """When a mask sequence is marked as weak."""
    seed_frames: int = Field(6, ge=1)
    """Frames, evenly spaced over the clip, in which a seed mask is searched."""
    points_per_seed_frame: int = Field(8, ge=1)
    """Largest number of prompt points in each of these frames."""
    min_area: float = Field(0.003, ge=0, le=1)
    """Smallest area of an object."""
    max_area: float = Field(0.6, ge=0, le=1)
    """Largest area of an object."""
    min_score: float = Field(0.5, ge=0, le=1)
    """Lowest predicted IoU at which a refined mask is accepted."""
    min_overlap: float = Field(0.35, ge=0, le=1)
    """Lowest IoU of a refined mask with the mask that optical flow propagated to its frame."""
    min_appearance_similarity: float = Field(0.25, ge=0, le=1)
    """Lowest colour similarity at which a refined mask still counts as the object."""
    min_recovery_similarity: float = Field(0.5, ge=0, le=1)
    """Lowest colour similarity at which a lost object counts as found again, or a propagated mask as the object."""
    confident_score: float = Field(0.8, ge=0, le=1)
    """Predicted IoU from which a mask updates the appearance model."""
    confident_overlap: float = Field(0.75, ge=0, le=1)
    """IoU with the propagated mask from which a confident mask is taken without trying further prompts."""
    max_propagated_frames: int = Field(3, ge=0)
    """Frames over which a mask is propagated by optical flow alone before the object counts as lost."""
    max_objects: int = Field(3, ge=1)
    """Largest number of tracked objects."""
    min_extra_saliency: float = Field(0.5, ge=0, le=1)
    """Saliency that a further object must explain at its seed, as a share of what the first object explains."""
    min_motion_ratio: float = Field(0.25, ge=0, le=1)
    """Motion against the camera that a further object must show over the clip, as a share of the first object's."""
