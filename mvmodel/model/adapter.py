"""`MotionMaskAdapter`: every trainable weight of the method, in diffusers' saving form.

`mvmodel.model.attachment` attaches one or several adapters to an unmodified UNet2DConditionModel and detaches them
without a trace. An untrained adapter changes only where the keys and values of self-attention come from (frame 1).
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers import ConfigMixin, ModelMixin, UNet2DConditionModel
from diffusers.configuration_utils import register_to_config

from mvmodel.errors import PackError
from mvmodel.model.context import FrameContext, MaskTerm
from mvmodel.model.first_frame_attention import QueryDelta
from mvmodel.model.mask_cross_attention import MaskProjection
from mvmodel.model.mask_pyramid import MaskPyramid
from mvmodel.model.temporal_attention import TemporalAttention
from mvmodel.model.unet_layers import get_attention_shapes, get_transformer_channels


def _describe_layers(layers: dict[str, list[int]]) -> str:
    widths = "/".join(str(width) for width in sorted({shape[0] for shape in layers.values()}))
    text = "/".join(str(width) for width in sorted({s[2] for name, s in layers.items() if name.endswith("attn2")}))
    return f"{len(layers)} attention layers of widths {widths} and text width {text}"


def _key(name: str) -> str:
    """Returns a module's name as a key of ParameterDict and ModuleDict, which allow no dots."""
    return name.replace(".", "-")


class MotionMaskAdapter(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """A motion, learned from a few clips.

    Args:
        layers: attention layers of the UNet, from `get_attention_shapes`.
        transformers: spatial transformers of the UNet, from `get_transformer_channels`.
        levels: number of resolutions in the UNet.
        patch: side of a latent cell in pixels (the autoencoder's downsampling factor).
        mask_encoder: "linear" is the paper's projection of the mask's coverage; "conv" is a small convolutional
            encoder with `mask_width` features.
        mask_width: number of features of the "conv" encoder.
        foreground_tokens: learned keys and values of the foreground in each cross-attention layer; 0 for none.
        temporal_width: inner width of temporal attention; 0 derives it from `temporal_share`.
        temporal_share: inner width of temporal attention as a share of the transformer's channels.
        temporal_heads: attention heads of temporal attention.
        trained_frames: clip length that the adapter was trained at. Training sets it.
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
                    learned[1] = 0  # zero values: the untrained layer is unchanged
                    self.foreground[_key(name)] = torch.nn.Parameter(learned)
        self.temporal = torch.nn.ModuleDict()
        for name, channels in transformers.items():
            narrow = temporal_width or max(
                16, int(channels * temporal_share) // (2 * temporal_heads) * 2 * temporal_heads
            )
            self.temporal[_key(name)] = TemporalAttention(channels, narrow, temporal_heads)

    @classmethod
    def for_unet(cls, unet: UNet2DConditionModel, patch: int = 8, **options: Any) -> MotionMaskAdapter:
        """Returns an untrained adapter that fits `unet`."""
        return cls(
            layers=get_attention_shapes(unet),
            transformers=get_transformer_channels(unet),
            levels=len(unet.config.block_out_channels),
            patch=patch,
            **options,
        )

    def check_fits(self, unet: UNet2DConditionModel) -> None:
        """Raises PackError, naming both, if the adapter was made for another architecture."""
        expected_layers = {name: list(shape) for name, shape in self.config.layers.items()}
        unet_layers = get_attention_shapes(unet)
        if expected_layers != unet_layers:
            raise PackError(
                f"the adapter was made for a UNet with {_describe_layers(expected_layers)}, this one has "
                f"{_describe_layers(unet_layers)}; use the pack that the adapter was trained with"
            )

    def mask_term(self, masks: torch.Tensor, token_weights: torch.Tensor | None = None) -> MaskTerm:
        """Encodes masks, float 0..1 (B * F, height, width), for `FrameContext.mask_terms`.

        `token_weights`: see `MaskTerm`.
        """
        term: MaskTerm = self.pyramid(masks, self.config.levels, token_weights)
        return term

    def get_mask_projection(self, layer: str, adapter: str, scale: float) -> MaskProjection:
        """Returns what the adapter adds to a cross-attention layer. `adapter`: the name it is attached under."""
        to_m = self.to_m[_key(layer)]
        assert isinstance(to_m, torch.nn.Linear)
        foreground = self.foreground[_key(layer)] if self.config.foreground_tokens else None
        return MaskProjection(adapter, to_m, foreground, scale)

    def get_query_delta(self, layer: str, scale: float) -> QueryDelta:
        """Returns what the adapter adds to the query projection of a self-attention layer."""
        return QueryDelta(self.query[_key(layer)], scale)

    def make_temporal_hook(self, transformer: str, adapter: str, scale: float) -> Any:
        """Returns a forward hook that runs temporal attention after a spatial transformer.

        None if the adapter has no temporal attention for it. `adapter`: the name it is attached under.
        """
        if _key(transformer) not in self.temporal:
            return None
        block = self.temporal[_key(transformer)]

        def apply_temporal_attention(module: Any, inputs: Any, options: dict[str, Any], output: Any) -> Any:
            context = (options.get("cross_attention_kwargs") or {}).get("context")
            if context is None or not context.uses_adapters:
                return output
            hidden = output[0] if isinstance(output, tuple) else output.sample
            changed = self._run_block(block, hidden, context, f"{adapter}:{transformer}", scale)
            if isinstance(output, tuple):
                return (changed, *output[1:])
            output.sample = changed
            return output

        return apply_temporal_attention

    def _run_block(
        self, block: torch.nn.Module, hidden: torch.Tensor, context: FrameContext, name: str, scale: float
    ) -> torch.Tensor:
        if self.gradient_checkpointing and torch.is_grad_enabled():
            out: torch.Tensor = self._gradient_checkpointing_func(block, hidden, context, name, scale)
            return out
        result: torch.Tensor = block(hidden, context, name, scale)
        return result

    def parameter_counts(self) -> dict[str, int]:
        """Returns the number of trainable weights by part, and their `total`."""
        counts = {part: sum(p.numel() for p in weights) for part, weights in self.parameter_groups().items()}
        return {**counts, "total": sum(counts.values())}

    def parameter_groups(self) -> dict[str, list[torch.nn.Parameter]]:
        """Returns the trainable weights by part: `query`, `mask`, `temporal`."""
        return {
            "query": list(self.query.parameters()),
            "mask": [*self.pyramid.parameters(), *self.to_m.parameters(), *self.foreground.parameters()],
            "temporal": list(self.temporal.parameters()),
        }
