"""`MotionMaskAdapter`: every trainable weight of the method, in diffusers' saving form.

It attaches to an unforked UNet2DConditionModel by attention processors and forward hooks, and detaches without a
trace. At initialisation, and at scale 0, the UNet with the adapter computes what the UNet alone would compute with
first-frame keys and values.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin, UNet2DConditionModel
from diffusers.configuration_utils import register_to_config

from mvmodel.errors import PackError
from mvmodel.model.attention import FirstFrameAttention, MaskCrossAttention
from mvmodel.model.context import FrameContext
from mvmodel.model.mask_projection import MaskPyramid
from mvmodel.model.temporal import TemporalAttention


def architecture(unet: UNet2DConditionModel) -> dict[str, list[int]]:
    """Name of every attention layer -> [query width, query input width, text width]: what an adapter must fit."""
    layers = {}
    for name, module in unet.named_modules():
        if name.endswith((".attn1", ".attn2")):
            layers[name] = [module.to_q.out_features, module.to_q.in_features, module.to_k.in_features]
    return layers


def transformers_of(unet: UNet2DConditionModel) -> dict[str, int]:
    """Name of every spatial transformer -> its channels."""
    out = {}
    for name, module in unet.named_modules():
        if type(module).__name__ == "Transformer2DModel":
            out[name] = int(module.config.in_channels)  # type: ignore[union-attr]
    return out


def _key(name: str) -> str:
    """A module's name as a key of a ParameterDict or ModuleDict, which allow no dots."""
    return name.replace(".", "-")


class MotionMaskAdapter(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """A motion pattern, learned from a few clips.

    layers, transformers: what `architecture` and `transformers_of` say of the UNet it is made for. levels: the UNet's
    resolutions. patch: pixels a latent cell covers (the autoencoder's factor).
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
        for name, (width, inputs, _) in layers.items():
            if name.endswith(".attn1"):
                self.query[_key(name)] = torch.nn.Parameter(torch.zeros(width, inputs))
            else:
                projection = torch.nn.Linear(self.pyramid.width, width, bias=False)
                torch.nn.init.zeros_(projection.weight)
                self.to_m[_key(name)] = projection
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
                f"the adapter was made for a UNet with {len(wanted)} attention layers of widths "
                f"{sorted({shape[0] for shape in wanted.values()})}, this one has {len(given)} of widths "
                f"{sorted({shape[0] for shape in given.values()})}; use the pack that the adapter was trained with"
            )

    def mask_features(self, masks: torch.Tensor) -> dict[int, torch.Tensor]:
        """Mask features for `FrameContext.masks`; masks float 0..1 (B * F, height, width)."""
        features: dict[int, torch.Tensor] = self.pyramid(masks, self.config.levels)
        return features

    @contextmanager
    def attached(self, unet: UNet2DConditionModel, scale: float = 1.0) -> Iterator[UNet2DConditionModel]:
        """Attach for the length of a `with` block; the UNet leaves it exactly as it came in.

        Inside, call the UNet with `cross_attention_kwargs={"context": FrameContext(...)}`. With gradient checkpointing
        the backward pass belongs inside too, since it runs the layers again.
        """
        self.check_fits(unet)
        before = dict(unet.attn_processors)
        processors: dict[str, Any] = {}
        for name in architecture(unet):
            if name.endswith(".attn1"):
                processors[f"{name}.processor"] = FirstFrameAttention(name, self.query[_key(name)], scale)
            else:
                projection = self.to_m[_key(name)]
                assert isinstance(projection, torch.nn.Linear)
                processors[f"{name}.processor"] = MaskCrossAttention(name, projection, scale)
        hooks = []
        try:
            unet.set_attn_processor(dict(processors))
            for name, module in unet.named_modules():
                if _key(name) in self.temporal and type(module).__name__ == "Transformer2DModel":
                    hooks.append(module.register_forward_hook(self._hook(name, scale), with_kwargs=True))
            yield unet
        finally:
            for hook in hooks:
                hook.remove()
            unet.set_attn_processor(before)

    def _hook(self, name: str, scale: float) -> Any:
        block = self.temporal[_key(name)]

        def run(module: Any, inputs: Any, options: dict[str, Any], output: Any) -> Any:
            context = (options.get("cross_attention_kwargs") or {}).get("context")
            if context is None or not scale:
                return output
            hidden = output[0] if isinstance(output, tuple) else output.sample
            changed = self._run_block(block, hidden, context, name, scale)
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

    def parameter_groups(self) -> dict[str, list[torch.nn.Parameter]]:
        """Trainable weights by part: `query`, `mask`, `temporal`."""
        return {
            "query": list(self.query.parameters()),
            "mask": [*self.pyramid.parameters(), *self.to_m.parameters()],
            "temporal": list(self.temporal.parameters()),
        }
