"""What the start adapter is trained on."""

from __future__ import annotations

import csv
import json

import pytest

from mvmodel.errors import InputError
from mvmodel.foundation.start_clips import StartAdapterData, render_clips
from mvmodel.world.motions import MOTIONS, VERBS


def test_no_training_clip_shows_an_excluded_motion():
    data = StartAdapterData()
    assert set(data.motions) == set(MOTIONS) - {"bounce", "gallop", "zigzag"}
    captions = " ".join(clip.caption for clip in render_clips(8, motions=data.motions[:2]))
    verbs = {VERBS[name] for name in data.motions[:2]}
    assert any(verb in captions for verb in verbs)
    assert not any(verb in captions.split() for verb in set(VERBS.values()) - verbs)


def test_clips_without_exclusions_are_what_they_were():
    assert StartAdapterData(exclude_motions=()).motions == MOTIONS


def test_the_demos_motions_are_excluded_as_in_the_shipped_pack(repository):
    made_by = json.loads((repository / "mvmodel/packs/tiny/pack.json").read_text())["made_by"]
    assert sorted(made_by["start_adapter"]["data"]["exclude_motions"]) == sorted(StartAdapterData().exclude_motions)
    samples = csv.DictReader((repository / "datasets/samples/manifest.csv").open())
    assert {row["motion"] for row in samples} == set(StartAdapterData().exclude_motions)


@pytest.mark.parametrize(
    ("motions", "message"), [(("bouncing",), "no motion bouncing to exclude"), (MOTIONS, "every motion is excluded")]
)
def test_exclusions_that_cannot_be_are_refused(motions, message):
    with pytest.raises(InputError, match=message):
        StartAdapterData(exclude_motions=motions).motions  # noqa: B018
