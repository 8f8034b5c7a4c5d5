from __future__ import annotations

import pytest
import torch
from segment_anything.modeling.image_encoder import Attention

from mvmodel.segmentation import sam_attention
from mvmodel.segmentation.sam_attention import FusedAttention


@pytest.mark.parametrize("rows", [1, 3, 14])
def test_fused_attention_computes_what_the_published_one_does(rows, monkeypatch):
    torch.manual_seed(0)
    attention = Attention(48, num_heads=4, qkv_bias=True, use_rel_pos=True, input_size=(14, 10))
    torch.nn.init.normal_(attention.rel_pos_h)
    torch.nn.init.normal_(attention.rel_pos_w)
    tokens = torch.randn(3, 14, 10, 48)
    row_bytes = 3 * 4 * 10 * 140 * 4
    monkeypatch.setattr(sam_attention, "_BIAS_BYTES", rows * row_bytes)
    with torch.no_grad():
        torch.testing.assert_close(FusedAttention(attention)(tokens), attention(tokens), atol=1e-5, rtol=1e-5)


def test_the_weights_keep_their_names():
    attention = Attention(8, num_heads=2, use_rel_pos=True, input_size=(2, 2))
    assert FusedAttention(attention).state_dict().keys() == attention.state_dict().keys()
