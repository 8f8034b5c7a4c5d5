"""Encodes masks at every resolution of the UNet."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from mvmodel.model.context import MaskTerm


class MaskPyramid(torch.nn.Module):
    """Mask features by token count.

    Masks are downsampled by area, never by nearest neighbour, so that a small object survives to the lowest resolution.
    Mode "linear" returns this coverage as one channel (the paper's projection). Mode "conv" encodes the pixels of each
    latent cell (pixel unshuffle) with two convolutions and averages the features.
    """

    def __init__(self, mode: str, width: int, patch: int) -> None:
        super().__init__()
        if mode not in ("linear", "conv"):
            raise ValueError(f"mask encoder {mode!r}: use 'linear' or 'conv'")
        self.mode = mode
        self.patch = patch
        self.width = 1 if mode == "linear" else width
        if mode == "conv":
            self.inside = torch.nn.Conv2d(patch * patch, width, 3, padding=1)
            self.around = torch.nn.Conv2d(width, width, 3, padding=1)

    def forward(self, masks: torch.Tensor, levels: int, token_weights: torch.Tensor | None = None) -> MaskTerm:
        """Encodes masks, float 0..1 (batch, height, width), with sides divisible by `patch`.

        The result has `levels` resolutions. They begin at height / patch and halve, rounding up as the UNet's strided
        convolutions do. Features are (batch, tokens, width). `token_weights`: as in `MaskTerm`.
        """
        coverage = F.avg_pool2d(masks[:, None], self.patch)
        if self.mode == "linear":
            features = coverage
        else:
            cells = F.pixel_unshuffle(masks[:, None] * 2 - 1, self.patch)
            features = self.around(F.silu(self.inside(cells)))
        term = MaskTerm({}, {}, token_weights)
        height, width = features.shape[-2:]
        for _ in range(levels):
            for by_tokens, image in ((term.features, features), (term.coverage, coverage)):
                level = F.adaptive_avg_pool2d(image, (height, width))
                by_tokens[height * width] = level.flatten(2).transpose(1, 2)
            height, width = -(-height // 2), -(-width // 2)
        return term
