"""Which clips of a large group to train on: coherent clips first, then as varied as coherence allows."""

from __future__ import annotations

import numpy as np

COHERENCE_LIMIT = 1.25
"""A clip is coherent if its mean distance to its group is at most this many times the median of its group."""


def select_clips(distances: np.ndarray, max_clips: int, preferred: list[bool], names: list[str]) -> dict[int, str]:
    """Select up to `max_clips` members of one group: {member: the reason for its selection}.

    distances: distances between members, float (members, members). preferred: which members are selected before the
    others (those the manifest labels). names: the members' names; they break ties, so the members' order is irrelevant.

    The most typical member comes first. After it comes, again and again, the coherent member farthest from those
    selected so far, since clips that are all alike teach only one way of moving. Incoherent members only fill up.
    """
    count = len(distances)
    mean_distances = np.array(
        [distances[i, [j for j in range(count) if j != i]].mean() if count > 1 else 0.0 for i in range(count)]
    )
    limit = COHERENCE_LIMIT * float(np.median(mean_distances))
    reasons: dict[int, str] = {}

    def by_typicality(member: int) -> tuple[float, str]:
        return mean_distances[member], names[member]

    def distance_to_selected(member: int) -> float:
        return min(float(distances[member, selected]) for selected in reasons)

    for is_preferred in (True, False):
        members = [i for i in range(count) if preferred[i] is is_preferred]
        coherent = [i for i in members if mean_distances[i] <= limit]
        while coherent and len(reasons) < max_clips:
            if reasons:
                member = min(coherent, key=lambda i: (-distance_to_selected(i), names[i]))
                nearest = distance_to_selected(member)
                reasons[member] = f"selected for variety: coherent, and {nearest:.2f} from the nearest selected clip"
            else:
                member = min(coherent, key=by_typicality)
                reasons[member] = f"selected as the most typical clip (mean distance {mean_distances[member]:.2f})"
            coherent.remove(member)
        remaining = sorted((i for i in members if i not in reasons), key=by_typicality)
        for member in remaining[: max_clips - len(reasons)]:
            mean = mean_distances[member]
            reasons[member] = f"selected to have enough clips (mean distance {mean:.2f}, above {limit:.2f})"
    return reasons
