"""Settings of grouping clips into motions."""

from __future__ import annotations

from pydantic import Field

from mvmodel.config import Config


class GroupConfig(Config):
    """How clips are grouped into motions. Distances are root mean squares over the descriptor's numbers."""

    min_clips: int = Field(5, ge=1)
    """Clips that a motion needs. A smaller group is not trained on until it has more."""
    max_clips: int = Field(8, ge=1)
    """Clips that a motion is trained on. Of a larger group, the most coherent and varied are selected."""
    join_distance: float = Field(1.6, ge=0)
    """Largest distance at which an unlabelled clip joins a labelled motion."""
    min_distance_ratio: float = Field(1.1, ge=1)
    """How many times as far the second nearest motion must be for a clip to belong clearly to the nearest one."""
    cluster_distance: float = Field(1.3, ge=0)
    """Mean distance (average linkage) from which two clusters of unlabelled clips are different motions."""
    neighbours: int = Field(3, ge=1)
    """A clip's distance to a motion is its mean distance to this many of the motion's clips, the nearest ones."""
