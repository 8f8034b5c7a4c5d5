"""A first frame that the user gave has to show the object where mask 1 is."""

from __future__ import annotations

import numpy as np
import pytest

from mvmodel.generation.first_frame_fit import check_first_frame_fit
from mvmodel.world.render import random_clip


@pytest.mark.slow
def test_a_given_first_frame_has_to_fit_its_mask(tiny_pack):
    clip = random_clip((2, 3), frames=1, motion="glide", objects=("horse",), background="snow", pan=0)
    mask = clip.masks[0]
    assert check_first_frame_fit(tiny_pack, clip.frames[0], mask, clip.caption, 0.3)[0] > 0.6
    elsewhere = np.zeros_like(mask)
    rows, columns = np.nonzero(mask)
    elsewhere[:30, :30] = rows.mean() > 64 or columns.mean() > 64
    elsewhere[-30:, -30:] |= not elsewhere.any()
    overlap, remark = check_first_frame_fit(tiny_pack, clip.frames[0], elsewhere, clip.caption, 0.3)
    assert overlap < 0.3 and remark.startswith("the first frame shows horse elsewhere than mask 1 says")
    assert check_first_frame_fit(tiny_pack, clip.frames[0], elsewhere, clip.caption, 0.0) == (None, "")
