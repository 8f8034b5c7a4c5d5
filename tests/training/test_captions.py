"""Captions for clips that have none."""

from __future__ import annotations

import numpy as np

from mvmodel.text import with_article
from mvmodel.training.captions import OPEN_VOCABULARY, propose_caption


def test_a_pack_with_an_open_vocabulary_gets_a_caption_too(small_pack):
    frames = np.random.default_rng(0).integers(0, 255, (4, 64, 64, 3), dtype=np.uint8)
    assert propose_caption(small_pack, frames) in {with_article(word) for word in OPEN_VOCABULARY}
