"""What the attention layers need besides their hidden states, passed through `cross_attention_kwargs`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch

DEFAULT = "default"
"""The name under which an adapter is attached when it is the only one."""

KVCache = dict[str, tuple[torch.Tensor, ...]]
"""Layer name -> cached tensors that later frames attend to.

Self-attention: keys and values of frame 1. Cross-attention: keys and values of the text. Temporal attention: features
of the earlier frames.
"""


@dataclass(frozen=True)
class MaskTerm:
    """One mask of every frame, as one adapter encodes it.

    Attributes:
        features: token count N -> mask features, (B * F, N, C).
        coverage: token count N -> share of each token's area that is foreground, 0..1, (B * F, N, 1).
        token_weights: how much the mask acts on each token of the prompt, float 0..1, (B or 1, L). None means that it
            acts on all of them (paper, Eq. 7).
    """

    features: dict[int, torch.Tensor]
    coverage: dict[int, torch.Tensor]
    token_weights: torch.Tensor | None = None

    def scale_rows(self, weights: torch.Tensor) -> MaskTerm:
        """Returns the term with its rows multiplied by `weights`, (B * F,). A weight of 0 drops the mask of a row."""
        column = weights[:, None, None]
        return MaskTerm(
            {tokens: value * column.to(value.dtype) for tokens, value in self.features.items()},
            {tokens: value * column.to(value.dtype) for tokens, value in self.coverage.items()},
            self.token_weights,
        )


@dataclass(frozen=True)
class ObjectAnchor:
    """One object, whose places in the frames read the object's own places in frame 1 alone.

    Attributes:
        first: token count N -> share of each token's area that the object covers in frame 1, 0..1, (B, N).
        frames: token count N -> how much each token reads the object in frame 1 instead of the whole of it, 0..1,
            (B, F, N).
    """

    first: dict[int, torch.Tensor]
    frames: dict[int, torch.Tensor]


@dataclass
class FrameContext:
    """The frames of one UNet call.

    Attributes:
        frames: number of frames F of each clip in the batch.
        mask_terms: adapter name -> its mask terms. An adapter that is missing here has no mask.
        kv_cache: what earlier calls cached. If it is not empty, the batch does not contain the video's first frame,
            and the layers read the first frame and all other cached frames from here.
        cache_out: a dictionary that the layers fill with what later calls need, or None to cache nothing.
        first_index: position of the batch's first frame in the video, for the codes of temporal attention.
        clean_frames: int (B,), how many frames of each clip, counted from frame 1, are inputs without noise and attend
            to one another only, as they do when they are cached; None if that is frame 1 alone.
        anchors: objects whose appearance is anchored to frame 1.
        uses_adapters: whether the attached adapters' weights act. Without them, the base model runs, with frame 1's
            keys and values in self-attention.
    """

    frames: int
    mask_terms: Mapping[str, Sequence[MaskTerm]] = field(default_factory=dict)
    kv_cache: KVCache = field(default_factory=dict)
    cache_out: KVCache | None = None
    first_index: int = 0
    clean_frames: torch.Tensor | None = None
    anchors: Sequence[ObjectAnchor] = ()
    uses_adapters: bool = True
