"""Settings of grouping clips into motions."""

from __future__ import annotations

from mvmodel.config import Config


class GroupConfig(Config):
    """How clips are grouped into motions. Distances are root mean squares over the descriptor's numbers."""

    min_clips: int = 5
    """Clips that a motion needs. A smaller group is not trained on until it has more."""
    max_clips: int = 8
    """Clips that a motion is trained on. Of a larger group, the most coherent and varied are selected."""
    join_distance: float = 1.6
    """Largest distance at which an unlabelled clip joins a labelled motion."""
    min_distance_ratio: float = 1.1
    """How many times as far the second nearest motion must be for a clip to belong clearly to the nearest one."""
    cluster_distance: float = 1.3
    """Mean distance (average linkage) from which two clusters of unlabelled clips are different motions."""
    neighbours: int = 3
    """A clip's distance to a motion is its mean distance to this many of the motion's clips, the nearest ones."""
