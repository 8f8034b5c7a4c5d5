"""The conditions that a report compares: the same request, generated in different ways."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Condition:
    """One way to generate the same video.

    label, description: the name in headings and the sentence in legends. colour: CSS variable that draws it in every
    plot. adapter: `tuned` is the motion's adapter, `start` the pack's start adapter, from which it was tuned, and
    `scratch` the one trained without it.
    mask_term: whether the mask's cross-attention term is added. generation: `GenerationConfig` fields that differ.
    """

    label: str
    description: str = ""
    colour: str = "--other"
    adapter: Literal["tuned", "start", "scratch"] = "tuned"
    mask_term: bool = True
    generation: Mapping[str, Any] = field(default_factory=dict)


CONDITIONS: dict[str, Condition] = {
    "full": Condition("Full method", "the motion's adapter with everything on", "--full"),
    "not_tuned": Condition(
        "Not tuned", "the pack's start adapter, which saw none of this motion's clips", "--start", adapter="start"
    ),
    "no_mask": Condition(
        "Mask term off", "the same adapter with its mask term switched off", "--no-mask", mask_term=False
    ),
    "scratch": Condition(
        "From scratch",
        "an adapter trained on this motion's clips alone, everything on",
        "--scratch",
        adapter="scratch",
    ),
    "ddim_50": Condition(
        "DDIM at 50",
        "the full method sampled by DDIM in 50 steps, as the paper does",
        generation={"scheduler": "ddim", "steps": 50},
    ),
    "multistep_20": Condition(
        "DPM++ at 20",
        "the full method sampled by a multistep solver in 20 steps",
        "--second",
        generation={"scheduler": "dpm++", "steps": 20},
    ),
}
"""Condition name -> definition, in the order of a report's columns. Experiments extend it."""


def get_condition(name: str) -> Condition:
    """The condition of that name in `CONDITIONS`; for any other name, one labelled after it."""
    return CONDITIONS.get(name, Condition(name.replace("_", " ").capitalize(), name.replace("_", " ")))
