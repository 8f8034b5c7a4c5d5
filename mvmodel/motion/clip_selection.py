"""Which clips of a large group to train on: coherent ones first, then as varied as coherence allows."""

from __future__ import annotations

import numpy as np

COHERENT = 1.25
"""A clip is coherent up to so many times the median of the members' mean distances to their group."""


def select_clips(apart: np.ndarray, most: int, preferred: list[bool], names: list[str]) -> dict[int, str]:
    """Pick `most` members of one group; member -> why it was taken.

    apart: distances between members, float (members, members), as in grouping. preferred: members taken before others
    (the manifest's own labels). The most typical member comes first; then, again and again, the coherent one farthest
    from those already taken, since clips that are all alike teach one way of moving. Members that are not coherent only
    fill up. Equal ones go by name, so the order of the members does not matter.
    """
    count = len(apart)
    typical = np.array(
        [apart[i, [j for j in range(count) if j != i]].mean() if count > 1 else 0.0 for i in range(count)]
    )
    limit = COHERENT * float(np.median(typical))
    taken: dict[int, str] = {}

    def best(candidates: list[int]) -> int:
        return min(candidates, key=lambda i: (-min(apart[i, j] for j in taken), names[i]))

    for own in (True, False):
        members = [i for i in range(count) if preferred[i] is own]
        coherent = [i for i in members if typical[i] <= limit]
        while coherent and len(taken) < most:
            if taken:
                i = best(coherent)
                nearest = min(float(apart[i, j]) for j in taken)
                taken[i] = f"taken for variety: {nearest:.2f} from the nearest one taken, and coherent"
            else:
                i = min(coherent, key=lambda i: (typical[i], names[i]))
                taken[i] = f"taken as the most typical clip (mean distance {typical[i]:.2f})"
            coherent.remove(i)
        rest = sorted((i for i in members if i not in taken), key=lambda i: (typical[i], names[i]))
        for i in rest[: most - len(taken)]:
            taken[i] = f"taken to have enough clips (mean distance {typical[i]:.2f}, over {limit:.2f})"
    return taken
