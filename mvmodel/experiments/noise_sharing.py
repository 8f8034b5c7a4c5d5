"""Shared noise: alpha from 0 upwards in each way of mixing; drift against motion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mvmodel.experiments.config import ExperimentsConfig
from mvmodel.experiments.grid import Cell, Measured
from mvmodel.experiments.subject import Maker, Subject, identity, together
from mvmodel.experiments.texts import Difference, paired

if TYPE_CHECKING:
    import pandas as pd

STILLER = 0.9
"""An alpha that keeps less than this share of the motion at alpha 0 is freezing the video, not steadying it."""


def cells(subject: Subject, config: ExperimentsConfig, maker: Maker) -> list[Cell]:
    from mvmodel.masks import MaskSequence

    requests = subject.asked(config.noise_sharing.videos)
    out = []
    for mode in config.noise_sharing.modes:
        for alpha in config.noise_sharing.alphas:
            generation = config.generation.model_copy(update={"alpha": alpha, "sharing": mode})

            def one(request: Any, generation: Any = generation) -> Measured:
                sequence = MaskSequence.load(request.masks)
                first = maker.first_frame(
                    request.prompt, sequence.masks[0], request.seed, generation, request.negative_prompt
                )
                frames = maker.video(subject.adapter, request, sequence.masks, first, generation, fps=sequence.fps)
                maker.strip(frames, f"{generation.sharing}-{generation.alpha:g}-{request.name}")
                return maker.measure(frames, sequence.masks, request)

            parts = {"requests": [identity(subject.adapter, subject.pack, r, generation) for r in requests]}
            levels = {"sharing": mode, "alpha": alpha}
            out.append(Cell(levels, lambda one=one: together([one(r) for r in requests]), parts))  # type: ignore[misc]
    return out


def conclude(table: pd.DataFrame, frames: pd.DataFrame) -> list[str]:
    """The best alpha of every mode: the least colour drift among those that keep the motion; is it inside the range?"""
    said = []
    for mode, group in table.groupby("sharing", sort=False):
        means = group.groupby("alpha")[["colour_drift", "motion", "consistency_adjacent"]].mean()
        lowest, highest = float(means.index.min()), float(means.index.max())
        moving = means[means["motion"] >= STILLER * means["motion"].iloc[0]]
        best = float(moving.index[int(moving["colour_drift"].argmin())])
        at = means.loc[best]
        text = (
            f"{str(mode).replace('_', ' ').capitalize()}: of the alphas that keep {STILLER:.0%} of the motion at "
            f"{lowest:g}, {best:g} has the least colour drift, {at['colour_drift']:.2f} (motion {at['motion']:.2f} "
            f"pixels a frame, distance of neighbouring frames {1 - at['consistency_adjacent']:.4f}). "
        )
        if best in (lowest, highest):
            text += f"That is an end of the range {lowest:g} to {highest:g}: no best alpha lies strictly inside."
        else:
            ends = [_drift(group, best, end) for end in (lowest, highest)]
            sure = all(end is not None and end.certain and end.mean < 0 for end in ends)
            text += "It lies strictly inside the range; " + (
                "both ends are worse and the intervals leave 0 out."
                if sure
                else f"against its ends the drift changes by {ends[0]} and {ends[1]}, which does not settle it."
            )
        said.append(text)
    return said


def _drift(group: pd.DataFrame, alpha: float, other: float) -> Difference | None:
    return paired(group[group["alpha"] == alpha], group[group["alpha"] == other], "colour_drift")
