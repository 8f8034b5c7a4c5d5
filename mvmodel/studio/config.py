"""Settings of the studio's server. Imports nothing heavy."""

from __future__ import annotations

from pydantic import Field

from mvmodel.config import Config


class StudioConfig(Config):
    """Limits of the studio's server."""

    max_upload_mb: int = Field(256, ge=1)
    """Largest upload in megabytes."""
    max_frames: int = Field(400, ge=2)
    """Most frames of a video."""
    max_objects: int = Field(12, ge=1)
    """Most objects of a project."""
    max_size_factor: float = Field(4.0, ge=1)
    """Most pixels of a video's frame, as a multiple of those of the server's size."""
    max_clip_frames: int = Field(240, ge=2)
    """Frames that are kept of an uploaded clip; the rest is left out, and that is said."""
    max_waiting: int = Field(16, ge=1)
    """Most jobs of one person that wait or run."""
    preview_frames: int = Field(6, ge=1)
    """Frames that are decoded for the live preview after a denoising step."""
    preview_share: float = Field(0.1, ge=0, le=1)
    """Largest share of the time that live previews may take; steps in between are not shown."""
