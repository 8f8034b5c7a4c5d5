"""Guides that change what the UNet predicts of the clean latents, for any prediction type and scheduler."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from diffusers.schedulers import KarrasDiffusionSchedulers

MIN_NOISE_RATE = 1e-4
"""Lower bound of the noise's share, so that the last step of a long schedule does not divide by zero."""


class CleanLatentGuide(Protocol):
    """Changes the prediction of the clean latents at every step."""

    def __call__(self, clean: torch.Tensor, progress: float) -> torch.Tensor:
        """clean: float32 (B, F, C, h, w) of the new frames. progress: share of the steps that are done, 0..1."""


def compute_signal_rate(scheduler: KarrasDiffusionSchedulers, t: torch.Tensor) -> float:
    """The share of the clean latents in the UNet's input at timestep `t`, sqrt(alpha_bar), 0..1.

    Schedulers whose samples are not of unit variance (Euler, Heun) scale the UNet's input by exactly this number.
    """
    scale = float(scheduler.scale_model_input(torch.ones(1, dtype=torch.float64, device=t.device), t))
    if scale != 1:
        return scale
    return float(scheduler.alphas_cumprod[int(t)].double().sqrt())


def guide_prediction(
    prediction: torch.Tensor,
    model_input: torch.Tensor,
    signal_rate: float,
    prediction_type: str,
    guides: Sequence[CleanLatentGuide],
    progress: float,
) -> torch.Tensor:
    """The prediction whose clean latents are those that the guides make of it; shaped and typed as `prediction`.

    Args:
        prediction: The UNet's output, (B, F, C, h, w).
        model_input: What the UNet was given, after the scheduler's scale.
        signal_rate: See `compute_signal_rate`.
        prediction_type: epsilon, v_prediction or sample.
        guides: Applied in this order.
        progress: Share of the steps that are done.
    """
    noise_rate = max(MIN_NOISE_RATE, (1 - signal_rate**2) ** 0.5)
    out = prediction.float()
    clean = predict_clean(out, model_input, signal_rate, prediction_type)
    change = {"epsilon": -signal_rate / noise_rate, "v_prediction": -1 / noise_rate, "sample": 1.0}[prediction_type]
    guided = clean
    for guide in guides:
        guided = guide(guided, progress)
    return (out + change * (guided - clean)).to(prediction.dtype)


def predict_clean(
    prediction: torch.Tensor, model_input: torch.Tensor, signal_rate: float, prediction_type: str
) -> torch.Tensor:
    """The clean latents that a prediction stands for, float32; arguments as in `guide_prediction`."""
    noise_rate = max(MIN_NOISE_RATE, (1 - signal_rate**2) ** 0.5)
    sample, out = model_input.float(), prediction.float()
    if prediction_type == "epsilon":
        return (sample - noise_rate * out) / max(signal_rate, MIN_NOISE_RATE)
    if prediction_type == "v_prediction":
        return signal_rate * sample - noise_rate * out
    if prediction_type == "sample":
        return out
    raise ValueError(f"prediction type {prediction_type!r}: use epsilon, v_prediction or sample")
