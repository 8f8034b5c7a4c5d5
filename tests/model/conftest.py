"""A small UNet and adapter whose trainable weights have left zero."""

from __future__ import annotations

import pytest
import torch
from diffusers import UNet2DConditionModel

from mvmodel.model.adapter import MotionMaskAdapter


def small_unet(seed: int = 0) -> UNet2DConditionModel:
    torch.manual_seed(seed)
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=24,
        attention_head_dim=2,
        norm_num_groups=8,
    ).eval()


def shaped_as_sd15(seed: int = 0) -> UNet2DConditionModel:
    """Stable Diffusion 1.5's blocks, four levels of two layers with no attention at the lowest, in narrow widths."""
    torch.manual_seed(seed)
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(8, 16, 16, 16),
        cross_attention_dim=24,
        attention_head_dim=2,
        norm_num_groups=4,
    ).eval()


@pytest.fixture(params=[small_unet, shaped_as_sd15])
def unet(request: pytest.FixtureRequest) -> UNet2DConditionModel:
    model: UNet2DConditionModel = request.param()
    return model


@pytest.fixture
def fresh(unet: UNet2DConditionModel) -> MotionMaskAdapter:
    torch.manual_seed(1)
    return MotionMaskAdapter.for_unet(unet, patch=8, mask_width=6).eval()


@pytest.fixture
def trained(fresh: MotionMaskAdapter) -> MotionMaskAdapter:
    torch.manual_seed(2)
    for parameter in fresh.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return fresh
