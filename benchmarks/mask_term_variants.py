"""The settings that `benchmarks.mask_term` compares."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Variant:
    """Changes to the default configurations; `train` None takes the pack's start adapter as it is."""

    train: dict[str, Any] | None = field(default_factory=dict)
    generate: dict[str, Any] = field(default_factory=dict)
    mask_term: bool = True


_SCRATCH = {"init_from": None, "steps": 240, "lr": 3e-4, "foreground_weight": 0}
_CONV = {**_SCRATCH, "mask_lr": 3e-3}
_LINEAR = {**_SCRATCH, "mask_encoder": "linear"}
_UNGUIDED = {"mask_guidance": False}
DEFAULT = "from start (the default)"
VARIANTS = {
    DEFAULT: Variant(),
    "default, no mask term": Variant(mask_term=False),
    "paper: linear, one lr, no mask guidance": Variant({**_LINEAR, "mask_lr": 3e-4}, _UNGUIDED),
    "linear, lr of its own, mask guidance": Variant({**_LINEAR, "mask_lr": 4e-2}),
    "conv, no mask guidance": Variant(_CONV, _UNGUIDED),
    "conv, mask guidance": Variant(_CONV),
    "conv, mask guidance, 4 foreground keys": Variant({**_CONV, "foreground_tokens": 4}),
    "start adapter, not tuned": Variant(None),
    "from start, no mask guidance": Variant({}, _UNGUIDED),
    "from start, mask guidance 4": Variant({}, {"mask_guidance_scale": 4.0}),
    "from start, text dropout": Variant({"text_dropout": 0.1}),
    "from start, min-SNR 5": Variant({"min_snr_gamma": 5.0}),
    "from start, EMA": Variant({"ema": 0.98}),
    "from start, foreground not weighted": Variant({"foreground_weight": 0}),
    "from start, mask dropout": Variant({"mask_dropout": 0.1}),
    "from start, no dropout": Variant({"dropout": 0.0}),
}
"""What is compared unless more is asked for. "conv" and "linear" are tuned from nothing, in twice the steps."""
EXTRA_VARIANTS = {
    "conv, the default's rates": Variant({"init_from": None, "steps": 240}),
    "conv, the default's rates, 120 steps": Variant({"init_from": None}),
    "linear, lr of its own": Variant({**_LINEAR, "mask_lr": 4e-2}, _UNGUIDED),
    "from start, mask guidance 6": Variant({}, {"mask_guidance_scale": 6.0}),
    "from start, both guidances 4": Variant({}, {"guidance_scale": 4.0}),
}
"""Neighbours of those, measured with --all or --only."""
