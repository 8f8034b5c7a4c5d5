"""Guidance by prompt and by mask, as branches of one batch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Branches:
    """The predictions of one step and how they are combined; one entry per branch.

    prompted: whether the branch sees the prompt. masked: whether it sees the mask. weights: of the branches'
    predictions in the guided prediction; they sum to 1.
    """

    prompted: tuple[bool, ...]
    masked: tuple[bool, ...]
    weights: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.weights)

    def without_guidance(self) -> Branches:
        """The last branch alone: the prediction with the prompt and, where any branch sees it, the mask."""
        return Branches(self.prompted[-1:], self.masked[-1:], (1.0,))


def guidance_branches(
    guidance_scale: float, mask_guidance: bool, mask_guidance_scale: float | None = None, mask_term: bool = True
) -> Branches:
    """Branches for prompt guidance g and mask guidance m, with e(prompt, mask) the UNet's prediction:

    - without mask guidance: e(0, M) + g (e(p, M) - e(0, M));
    - mask guidance with the same scale g: e(0, 0) + g (e(p, M) - e(0, 0));
    - mask guidance with its own scale m: e(0, 0) + g (e(p, 0) - e(0, 0)) + m (e(p, M) - e(p, 0)).

    Leaves out branches with weight 0. mask_term False removes the mask from all branches.
    """
    g, m = guidance_scale, mask_guidance_scale
    if not mask_term:
        branches = [(False, False, 1 - g), (True, False, g)]
    elif not mask_guidance:
        branches = [(False, True, 1 - g), (True, True, g)]
    elif m is None or m == g:
        branches = [(False, False, 1 - g), (True, True, g)] if g > 1 else [(True, True, 1.0)]
    else:
        branches = [(False, False, 1 - g), (True, False, g - m), (True, True, m)]
    prompted, masked, weights = zip(*(branch for branch in branches if branch[2]), strict=True)
    return Branches(prompted, masked, weights)
