"""What attention layers must know beside their hidden states, handed through `cross_attention_kwargs`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch

DEFAULT = "default"
"""The name under which an adapter is attached when it is the only one."""

Memory = dict[str, tuple[torch.Tensor, ...]]
"""Layer -> what later frames read there: keys and values of frame 1 or of the text, frames that went before."""


@dataclass(frozen=True)
class MaskTerm:
    """One mask of every frame, as one adapter encodes it.

    features: token count N -> mask features (B * F, N, C). coverage: the share of each token's area that is
    foreground, 0..1, (B * F, N, 1). words: float 0..1 (B or 1, L), which of the prompt's tokens the mask belongs
    to, or None for all of them (Eq. 7).
    """

    features: dict[int, torch.Tensor]
    coverage: dict[int, torch.Tensor]
    words: torch.Tensor | None = None

    def scaled(self, weights: torch.Tensor) -> MaskTerm:
        """The term with `weights`, (B * F,), on its rows; 0 drops it from a row."""
        column = weights[:, None, None]
        return MaskTerm(
            {tokens: value * column.to(value.dtype) for tokens, value in self.features.items()},
            {tokens: value * column.to(value.dtype) for tokens, value in self.coverage.items()},
            self.words,
        )


@dataclass
class FrameContext:
    """One UNet call's view of a clip.

    frames: F, how many frames of each clip are in the batch. terms: adapter name -> its mask terms; an adapter that
    is not named has none. memory: when not empty, the batch lacks the video's first frame (and whatever else stands
    in the memory), and layers read it from here. remember: a mapping that layers fill with the memory for later
    frames, or None. first: index of the batch's first frame, for its place in time.
    """

    frames: int
    terms: Mapping[str, Sequence[MaskTerm]] = field(default_factory=dict)
    memory: Memory = field(default_factory=dict)
    remember: Memory | None = None
    first: int = 0
