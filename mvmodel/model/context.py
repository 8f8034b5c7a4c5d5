"""What attention layers must know beside their hidden states, handed through `cross_attention_kwargs`."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch


@dataclass
class FrameContext:
    """One UNet call's view of a clip.

    frames: F, how many frames of each clip are in the batch. masks: token count N -> mask features (B * F, N, C), or
    None for no mask term. memory: with `remember` set, layers store what later frames read of frame 1 and the batch
    holds frame 1 alone; without it, and not empty, the batch holds frames 2..n and layers read frame 1 from here.
    first: index in the video of the batch's first frame.
    """

    frames: int
    masks: dict[int, torch.Tensor] | None = None
    memory: dict[str, tuple[torch.Tensor, ...]] = field(default_factory=dict)
    remember: bool = False
    first: int = 0

    @property
    def reads_memory(self) -> bool:
        return bool(self.memory) and not self.remember
