"""`MotionMaskAdapter`: every trainable weight of the method, in diffusers' saving form.

`mvmodel.model.attachment` attaches one or several to an unforked UNet2DConditionModel, and detaches without a trace. A
fresh adapter changes nothing but where self-attention's keys and values come from (frame 1).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin, UNet2DConditionModel
from diffusers.configuration_utils import register_to_config

from mvmodel.errors import PackError
from mvmodel.model.attachment import attach
from mvmodel.model.attention import MaskPart, QueryChange
from mvmodel.model.context import DEFAULT, FrameContext, MaskTerm
from mvmodel.model.layers import architecture, transformers_of
from mvmodel.model.mask_projection import MaskPyramid
from mvmodel.model.temporal import TemporalAttention


def _described(layers: dict[str, list[int]]) -> str:
    widths = "/".join(str(width) for width in sorted({shape[0] for shape in layers.values()}))
    text = "/".join(str(width) for width in sorted({s[2] for name, s in layers.items() if name.endswith("attn2")}))
    return f"{len(layers)} attention layers of widths {widths} and text width {text}"


def _key(name: str) -> str:
    """A module's name as a key of a ParameterDict or ModuleDict, which allow no dots."""
    return name.replace(".", "-")


class MotionMaskAdapter(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """A motion pattern, learned from a few clips.

    layers, transformers: what `architecture` and `transformers_of` say of the UNet it is made for. levels: the UNet's
    resolutions. patch: pixels a latent cell covers (the autoencoder's factor). mask_encoder: "linear" is the paper's
    projection of the mask's coverage, "conv" a small convolutional encoder of `mask_width` features. foreground_tokens:
    learned keys and values of the foreground beside the text's, a layer; 0 for none. trained_frames: set by training.
    """

    _supports_gradient_checkpointing = True

    @register_to_config
    def __init__(
        self,
        layers: dict[str, list[int]],
        transformers: dict[str, int],
        levels: int = 4,
        patch: int = 8,
        mask_encoder: str = "conv",
        mask_width: int = 32,
        foreground_tokens: int = 0,
        temporal_width: int = 0,
        temporal_share: float = 0.25,
        temporal_heads: int = 2,
        trained_frames: int = 0,
    ) -> None:
        super().__init__()
        self.gradient_checkpointing = False
        self.pyramid = MaskPyramid(mask_encoder, mask_width, patch)
        self.query = torch.nn.ParameterDict()
        self.to_m = torch.nn.ModuleDict()
        self.foreground = torch.nn.ParameterDict()
        for name, (width, inputs, _) in layers.items():
            if name.endswith(".attn1"):
                self.query[_key(name)] = torch.nn.Parameter(torch.zeros(width, inputs))
            else:
                projection = torch.nn.Linear(self.pyramid.width, width, bias=False)
                torch.nn.init.zeros_(projection.weight)
                self.to_m[_key(name)] = projection
                if foreground_tokens:
                    learned = torch.randn(2, foreground_tokens, width)
                    learned[1] = 0  # values from nothing: the layer begins as it was
                    self.foreground[_key(name)] = torch.nn.Parameter(learned)
        self.temporal = torch.nn.ModuleDict()
        for name, channels in transformers.items():
            narrow = temporal_width or max(
                16, int(channels * temporal_share) // (2 * temporal_heads) * 2 * temporal_heads
            )
            self.temporal[_key(name)] = TemporalAttention(channels, narrow, temporal_heads)

    @classmethod
    def for_unet(cls, unet: UNet2DConditionModel, patch: int = 8, **options: Any) -> MotionMaskAdapter:
        """A fresh adapter that fits `unet`; it changes nothing until it is trained."""
        return cls(
            layers=architecture(unet),
            transformers=transformers_of(unet),
            levels=len(unet.config.block_out_channels),
            patch=patch,
            **options,
        )

    def check_fits(self, unet: UNet2DConditionModel) -> None:
        """Raise PackError, naming both, when the adapter was made for another architecture."""
        wanted = {name: list(shape) for name, shape in self.config.layers.items()}
        given = architecture(unet)
        if wanted != given:
            raise PackError(
                f"the adapter was made for a UNet with {_described(wanted)}, this one has {_described(given)}; use the "
                f"pack that the adapter was trained with"
            )

    def mask_term(self, masks: torch.Tensor, words: torch.Tensor | None = None) -> MaskTerm:
        """One term of `FrameContext.terms`; masks float 0..1 (B * F, height, width), words as in `MaskTerm`."""
        term: MaskTerm = self.pyramid(masks, self.config.levels, words)
        return term

    @contextmanager
    def attached(
        self, unet: UNet2DConditionModel, scale: float = 1.0, first_frame: bool = True
    ) -> Iterator[UNet2DConditionModel]:
        """Attach this adapter alone, under the name "default", for the length of a `with` block; see `attach`."""
        with attach(unet, {DEFAULT: (self, scale)}, first_frame):
            yield unet

    def cross_part(self, name: str, adapter: str, scale: float) -> MaskPart:
        """What the adapter brings to the cross-attention layer `name`."""
        projection = self.to_m[_key(name)]
        assert isinstance(projection, torch.nn.Linear)
        foreground = self.foreground[_key(name)] if self.config.foreground_tokens else None
        return MaskPart(adapter, projection, foreground, scale)

    def query_change(self, name: str, scale: float) -> QueryChange:
        """What the adapter brings to the self-attention layer `name`."""
        return QueryChange(self.query[_key(name)], scale)

    def temporal_hook(self, name: str, adapter: str, scale: float) -> Any:
        """A forward hook for the spatial transformer `name`, or None for one that the adapter does not know."""
        if _key(name) not in self.temporal:
            return None
        block = self.temporal[_key(name)]

        def run(module: Any, inputs: Any, options: dict[str, Any], output: Any) -> Any:
            context = (options.get("cross_attention_kwargs") or {}).get("context")
            if context is None:
                return output
            hidden = output[0] if isinstance(output, tuple) else output.sample
            changed = self._run_block(block, hidden, context, f"{adapter}:{name}", scale)
            if isinstance(output, tuple):
                return (changed, *output[1:])
            output.sample = changed
            return output

        return run

    def _run_block(
        self, block: torch.nn.Module, hidden: torch.Tensor, context: FrameContext, name: str, scale: float
    ) -> torch.Tensor:
        if self.gradient_checkpointing and torch.is_grad_enabled():
            out: torch.Tensor = self._gradient_checkpointing_func(block, hidden, context, name, scale)
            return out
        plain: torch.Tensor = block(hidden, context, name, scale)
        return plain

    def parameter_counts(self) -> dict[str, int]:
        """Number of trainable weights by part, and `total`."""
        counts = {part: sum(p.numel() for p in weights) for part, weights in self.parameter_groups().items()}
        return {**counts, "total": sum(counts.values())}

    def parameter_groups(self) -> dict[str, list[torch.nn.Parameter]]:
        """Trainable weights by part: `query`, `mask`, `temporal`."""
        return {
            "query": list(self.query.parameters()),
            "mask": [*self.pyramid.parameters(), *self.to_m.parameters(), *self.foreground.parameters()],
            "temporal": list(self.temporal.parameters()),
        }
