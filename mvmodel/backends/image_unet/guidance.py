"""Guidance by prompt and by mask, as branches of one batch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Branches:
    """Which predictions a step needs and how they are added up; one entry a branch.

    prompted: does the branch see the prompt. masked: does it see the mask. weights: the guided prediction is the
    weighted sum of the branches' predictions; they sum to 1.
    """

    prompted: tuple[bool, ...]
    masked: tuple[bool, ...]
    weights: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.weights)


def guidance_branches(
    guidance_scale: float, mask_guidance: bool, mask_guidance_scale: float | None = None, mask_term: bool = True
) -> Branches:
    """Branches for prompt guidance g and mask guidance m, with e(prompt, mask) the UNet's prediction:

    - no mask guidance: e(0, M) + g (e(p, M) - e(0, M));
    - mask guidance with g: e(0, 0) + g (e(p, M) - e(0, 0));
    - mask guidance with m of its own: e(0, 0) + g (e(p, 0) - e(0, 0)) + m (e(p, M) - e(p, 0)).

    A branch that would count 0 times is left out. mask_term False leaves the mask out everywhere.
    """
    g, m = guidance_scale, mask_guidance_scale
    if not mask_term:
        rows = [(False, False, 1 - g), (True, False, g)]
    elif not mask_guidance:
        rows = [(False, True, 1 - g), (True, True, g)]
    elif m is None or m == g:
        rows = [(False, False, 1 - g), (True, True, g)] if g > 1 else [(True, True, 1.0)]
    else:
        rows = [(False, False, 1 - g), (True, False, g - m), (True, True, m)]
    kept = [row for row in rows if row[2]]
    prompted, masked, weights = zip(*kept, strict=True)
    return Branches(prompted, masked, weights)
