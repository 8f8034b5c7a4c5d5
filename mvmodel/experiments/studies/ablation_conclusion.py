"""What an ablation's table says, in sentences: each part of the method, and why one of them may bring nothing."""

from __future__ import annotations

import math

from mvmodel.experiments.compare import (
    Difference,
    compute_difference,
    compute_group_means,
    describe_verdict,
    select_rows,
)
from mvmodel.experiments.experiment import Claim, Conclusion, Tables

PLACEMENT_IOU = 0.1
"""IoU of frame 1 with mask 1 from which the ControlNet is said to place the object."""
NEAR_CEILING = 0.02
"""Cosine below the alignment of true clips that counts as having reached it."""


def conclude_ablation(tables: Tables, least: float) -> Conclusion:
    """Sentences and the three claims that the method stands on; least: the IoU that the mask term ought to bring."""
    rows = tables.videos

    def against(condition: str, metric: str) -> Difference:
        return compute_difference(rows, {"condition": "full"}, {"condition": condition}, metric)

    drift, gained, control = (
        against("no_shared_noise", "colour_drift"),
        against("tuned_without_mask", "iou"),
        _aligned(tables),
    )
    sentences = [
        f"Shared noise changes colour drift by {drift}, and motion by {against('no_shared_noise', 'motion')}.",
        f"The mask term, against an adapter tuned without it, changes IoU by {gained}.",
        f"Switching the mask term off in the tuned adapter changes IoU by {_minus(against('no_mask', 'iou'))}; "
        f"doing without first-frame keys and values changes consistency by "
        f"{_minus(against('no_first_frame_attention', 'consistency'))} and motion by "
        f"{_minus(against('no_first_frame_attention', 'motion'))}.",
        *_first_frame(tables, control),
        _learned(tables),
        _seeds(tables),
    ]
    claims = [
        Claim.from_verdict("colour drift is lower with shared noise", describe_verdict(drift, -1)),
        Claim.from_verdict(f"the mask term brings an IoU of {least:g} or more", describe_verdict(gained, 1, least)),
        Claim.from_verdict("a ControlNet first frame aligns better with the prompt", describe_verdict(control, 1)),
    ]
    return Conclusion([sentence for sentence in sentences if sentence], claims)


def _aligned(tables: Tables, condition: str = "no_control") -> Difference:
    return compute_difference(tables.videos, {"condition": "full"}, {"condition": condition}, "alignment")


def _first_frame(tables: Tables, control: Difference) -> list[str]:
    """What a ControlNet first frame brings, and where it brings no alignment, what it brings instead and why."""
    if not control.pairs:
        return []
    blank = _aligned(tables, "blank_first")
    sentences = [
        f"A ControlNet first frame, against one from the text alone, changes alignment by {control}"
        + (f"; against no picture at all, even grey, by {blank}." if blank.pairs else ".")
    ]
    if "frame" not in tables.frames.columns:
        return sentences
    first = select_rows(tables.frames, {"frame": 1})
    at_1, placed = (
        compute_difference(first, {"condition": "full"}, {"condition": "no_control"}, metric)
        for metric in ("alignment", "iou")
    )
    followed = compute_difference(tables.videos, {"condition": "full"}, {"condition": "no_control"}, "iou")
    if not placed.pairs:
        return sentences
    sentences.append(
        f"In frame 1 alone the ControlNet changes alignment by {at_1} and the overlap with mask 1 by {placed}; over "
        f"the whole video it changes IoU by {followed}."
    )
    if control.mean > 0 and control.certain:
        return sentences
    reasons = []
    if placed.mean >= PLACEMENT_IOU and placed.certain:
        reasons.append("it decides where the object stands, which a cosine with the prompt does not see")
    ceiling = compute_group_means(tables.videos, "condition", "clips_alignment").get("full", math.nan)
    if math.isfinite(ceiling):
        gap = ceiling - control.second
        reach = "so there is no room above it" if gap <= NEAR_CEILING else f"{gap:.3f} above it, so there was room"
        reasons.append(
            f"without the ControlNet the videos reach {control.second:.3f}, and the training clips with their own "
            f"captions {ceiling:.3f}, {reach}"
        )
    if blank.pairs and blank.certain and blank.mean > 0:
        reasons.append("a picture of some kind is needed, but text alone gives one that fits the prompt as well")
    why = "; ".join(reasons) if reasons else "nothing in this table explains it"
    return [*sentences, f"Why no certain gain in alignment: {why}."]


def _learned(tables: Tables) -> str:
    """What static and shuffled masks say about learned motion."""
    rows = tables.videos
    static_motion = compute_difference(rows, {"condition": "static_mask"}, {"condition": "full"}, "motion")
    tuning_gain = compute_difference(rows, {"condition": "full"}, {"condition": "untrained"}, "iou")
    if not static_motion.pairs:
        return "How much of the motion is learned was not measured."
    remaining_share = static_motion.first / static_motion.second if static_motion.second else float("nan")
    source = (
        "mostly the mask moves the object"
        if remaining_share < 0.5
        else "the adapter moves the object by itself as well"
    )
    return (
        f"Under a mask that stands still, {remaining_share:.0%} of the foreground's motion remains "
        f"({static_motion.first:.2f} of {static_motion.second:.2f} pixels a frame): {source}. "
        f"Tuning on this motion changes IoU by {tuning_gain}."
    )


def _seeds(tables: Tables) -> str:
    """How alike videos of one prompt are."""
    mean_diversity = compute_group_means(tables.videos, "condition", "diversity")
    if "full" not in mean_diversity:
        return ""
    count = int(select_rows(tables.videos, {"condition": "full"})["diversity"].notna().sum())
    words = f"Videos of one prompt from other seeds have a mean cosine of {mean_diversity['full']:.3f} "
    words += f"({count} prompts; 1 is the same video again)"
    if "no_shared_noise" in mean_diversity:
        words += f", without shared noise {mean_diversity['no_shared_noise']:.3f}"
    return words + "."


def _minus(gap: Difference) -> str:
    """The change from full to the other condition."""
    return str(Difference(-gap.mean, -gap.high, -gap.low, gap.second, gap.first, gap.pairs))
