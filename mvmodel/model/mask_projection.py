"""From mask pictures to mask features at each of the UNet's resolutions."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from mvmodel.model.context import MaskTerm


class MaskPyramid(torch.nn.Module):
    """Mask features by token count.

    Masks are soft coverage shrunk by area, never by nearest neighbour, so that a small object survives to the lowest
    resolution. mode "linear" hands that coverage on as one channel (the paper's projection); "conv" reads the mask
    inside each latent cell (pixel unshuffle) with a small convolutional encoder and averages its features.
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

    def forward(self, masks: torch.Tensor, levels: int, words: torch.Tensor | None = None) -> MaskTerm:
        """masks: float 0..1 (batch, height, width), sides divisible by `patch`. words: as in `MaskTerm`.

        The term has `levels` resolutions, beginning at height / patch and halving (rounding up, as the UNet's own
        strided convolutions do); features are (batch, tokens, width).
        """
        cover = F.avg_pool2d(masks[:, None], self.patch)
        if self.mode == "linear":
            features = cover
        else:
            cells = F.pixel_unshuffle(masks[:, None] * 2 - 1, self.patch)
            features = self.around(F.silu(self.inside(cells)))
        term = MaskTerm({}, {}, words)
        height, width = features.shape[-2:]
        for _ in range(levels):
            for found, picture in ((term.features, features), (term.coverage, cover)):
                level = F.adaptive_avg_pool2d(picture, (height, width))
                found[height * width] = level.flatten(2).transpose(1, 2)
            height, width = -(-height // 2), -(-width // 2)
        return term
