"""Motions without videos yet: their clips with masks, why they wait, and what to do next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mvmodel.masks import MaskSequence
from mvmodel.masks.preview import colour_masks
from mvmodel.reports.media import strip_url
from mvmodel.segmentation.catalogue_masks import read_mask_quality
from mvmodel.video.catalogue import Catalogue

MAX_CLIPS = 12
"""Clips that are shown of a motion."""
OWN_MASKS = (
    "Put masks of your own next to the weak clips, or choose another segmenter (masks.segmenter in docs/settings.md), "
    "and run again."
)


@dataclass(frozen=True)
class WaitingClip:
    """A clip of a motion that waits.

    strip: a data URL of a few frames with the masks in colour. masks: who made them, and why they are weak if they are.
    """

    clip: str
    strip: str
    masks: str


@dataclass(frozen=True)
class WaitingMotion:
    """A motion without videos. reason, next_step: a sentence each. count: of all its clips; clips: the first ones."""

    motion: str
    count: int
    reason: str
    next_step: str
    clips: Sequence[WaitingClip]


def read_waiting_motions(
    clips: Path, masks: Path, groups: Mapping[str, Mapping[str, Sequence[str]]], reported: Iterable[str], min_clips: int
) -> list[WaitingMotion]:
    """The motions that have no report, those that could be trained first.

    Args:
        clips: A `clips` version's folder.
        masks: A `foreground_masks` version's folder.
        groups: "motions" and "undersized" of a `motion_groups` version: motion -> names of clips.
        reported: Motions that have a report.
        min_clips: Clips with reliable masks that a motion needs.
    """
    catalogue, quality = Catalogue.load(clips), read_mask_quality(masks).set_index("clip")
    reported_motions, motions = set(reported), list[WaitingMotion]()
    for kind in ("motions", "undersized"):
        for motion, names in groups[kind].items():
            if motion in reported_motions:
                continue
            weak = int(quality.loc[list(names), "weak"].sum())
            reason, next_step = _explain(len(names), weak, kind == "motions", min_clips)
            pictures = [
                _describe_clip(catalogue, masks, quality.loc[name].to_dict(), name) for name in names[:MAX_CLIPS]
            ]
            motions.append(WaitingMotion(motion, len(names), reason, next_step, pictures))
    return motions


def _explain(count: int, weak: int, is_large_enough: bool, min_clips: int) -> tuple[str, str]:
    """Why a motion waits, and what to do."""
    if count - weak < min_clips and weak:
        reason = f"{count - weak} of its {count} clips have reliable masks, and {min_clips} are needed."
        missing = max(0, min_clips - count)
        return reason, OWN_MASKS + (f" {missing} more clips of this motion are needed as well." if missing else "")
    if not is_large_enough:
        reason = f"Clips: {count}; needed: {min_clips}."
        return reason, (
            "Add clips that move alike; or name one motion for clips of several groups in the column motion of "
            "manifest.csv, if they do move alike."
        )
    return (
        "It was not trained, or its adapter was not promoted.",
        "The output of the run, summary.json and Dagster's UI give the error, or the gate that did not pass.",
    )


def _describe_clip(catalogue: Catalogue, masks: Path, quality: Mapping[Any, Any], name: str) -> WaitingClip:
    overlay = colour_masks(MaskSequence.load(masks / f"{name}.npz"), catalogue.frames(name))
    maker = f"masks by {quality['segmenter']}" if quality["segmenter"] else "your masks"
    weak = f"weak: {quality['reasons']}" if quality["weak"] else "good"
    return WaitingClip(name, strip_url(overlay), f"{maker}, {weak}")
