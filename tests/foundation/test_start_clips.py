"""What the start adapter is trained on."""

from __future__ import annotations

import pytest

from mvmodel.errors import InputError
from mvmodel.foundation.start_clips import StartAdapterData, render_clips
from mvmodel.world.motions import MOTIONS, VERBS


def test_no_training_clip_shows_an_excluded_motion():
    data = StartAdapterData(exclude_motions=("bounce", "gallop", "zigzag"))
    assert set(data.motions) == set(MOTIONS) - {"bounce", "gallop", "zigzag"}
    captions = " ".join(clip.caption for clip in render_clips(8, motions=data.motions[:2]))
    verbs = {VERBS[name] for name in data.motions[:2]}
    assert any(verb in captions for verb in verbs)
    assert not any(verb in captions.split() for verb in set(VERBS.values()) - verbs)


def test_clips_without_exclusions_are_what_they_were():
    assert StartAdapterData().motions == MOTIONS


@pytest.mark.parametrize(
    ("motions", "message"), [(("bouncing",), "no motion bouncing to exclude"), (MOTIONS, "every motion is excluded")]
)
def test_exclusions_that_cannot_be_are_refused(motions, message):
    with pytest.raises(InputError, match=message):
        StartAdapterData(exclude_motions=motions).motions  # noqa: B018
