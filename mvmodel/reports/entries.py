"""What a report shows: videos with their masks and figures, and the settings they are compared under."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from mvmodel.errors import InputError


@dataclass(frozen=True)
class Setting:
    """One way of making the same video. colour: CSS variable that draws it in every plot."""

    label: str
    words: str
    colour: str


SETTINGS: dict[str, Setting] = {
    "full": Setting("Full method", "the motion's adapter with everything on", "--full"),
    "no_mask": Setting("Mask term off", "the same adapter with its mask term switched off", "--no-mask"),
    "scratch": Setting("From scratch", "an adapter trained on this motion's clips alone, everything on", "--scratch"),
    "ddim_50": Setting("DDIM at 50", "the full method sampled by DDIM in 50 steps, as the paper does", "--other"),
    "multistep_20": Setting("DPM++ at 20", "the full method sampled by a multistep solver in 20 steps", "--second"),
}
"""Setting -> how a report names it, in the order of its columns."""


def setting(name: str) -> Setting:
    """A known setting, or one made up from its name: experiments bring their own."""
    return SETTINGS.get(name, Setting(name.replace("_", " ").capitalize(), name.replace("_", " "), "--other"))


@dataclass(frozen=True)
class VideoEntry:
    """A generated video beside its control masks.

    name: the request's name, the same in every setting. frames: uint8 RGB (frames, height, width, 3). masks: control
    masks, bool (frames, height, width). found: what the judge took for the object, bool, same shape, or None.
    Raises InputError when the shapes do not fit.
    """

    name: str
    prompt: str
    setting: str
    frames: np.ndarray
    masks: np.ndarray
    fps: float
    metrics: Mapping[str, float]
    found: np.ndarray | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        for what in (self.masks, self.found):
            if what is not None and what.shape != self.frames.shape[:3]:
                raise InputError(f"video {self.name}: masks {what.shape} do not fit frames {self.frames.shape}")
