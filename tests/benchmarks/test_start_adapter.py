"""Which of two start adapters the comparison keeps."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.start_adapter import format_table, judge_candidate, render_motion_clips, render_requests

CHECK = {"few_shot_share": 0.90, "few_shot_share_without_mask": 0.31, "judge_ceiling": 0.92}


def _rows(gain: float = 0.05, **check: float):
    before = [{"iou": 0.70 + 0.01 * number, "motion_cosine": 0.8} for number in range(8)]
    after = [{"iou": video["iou"] + gain, "motion_cosine": 0.8} for video in before]
    cell = {"not tuned": before, "tuned": after}
    return {
        "shipped/check": CHECK,
        "candidate/check": {**CHECK, **check},
        "shipped/bounce": {"not tuned": before, "tuned": before},
        "candidate/bounce": cell,
    }


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        (_rows(), "Take the candidate"),
        (_rows(few_shot_share=0.895), "Take the candidate"),
        (_rows(few_shot_share=0.85), "share of the ceiling 0.850 instead of 0.900"),
        (_rows(few_shot_share_without_mask=0.4), "fails by few_shot_share_without_mask"),
        (_rows(gain=0.0), "no certain gain of tuning"),
        ({"shipped/check": CHECK}, "Not everything is measured"),
    ],
)
def test_the_candidate_has_to_be_as_good_and_to_leave_room_for_tuning(rows, sentence):
    assert sentence in judge_candidate(rows)


def test_the_table_shows_the_paired_gain():
    table = format_table(_rows()).splitlines()
    assert "| candidate | tuned | 8 | 0.785 |" in table[6]
    assert "+0.050 (+0.050 to +0.050)" in table[7]


def test_requests_show_other_objects_than_the_clips_to_tune_on():
    clips, requests = render_motion_clips("bounce", 2), render_requests("bounce", 2, 3)
    assert not {clip.name for clip in clips} & {request.objects[0] for request in requests}
    assert all("bounces" in item.caption for item in [*clips, *requests])
    assert np.array_equal(render_requests("bounce", 2, 1)[0].frames, requests[0].frames)
