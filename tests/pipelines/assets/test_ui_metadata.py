"""Metadata that an operator reads in Dagster's UI."""

from __future__ import annotations

from typing import Any

import pytest

from pipelines.assets.ui_metadata import listing


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([], "none"),
        ({}, "none"),
        (["bounce", "gallop"], "bounce, gallop"),
        ({"pack": 21, "supplied": 2}, "pack: 21; supplied: 2"),
        ({"alignment": ["a", "b"], "iou": ["c"]}, "alignment: a, b; iou: c"),
        ({"hop": "Hop, twice"}, "hop: Hop, twice"),
    ],
)
def test_what_is_listed_is_text_and_nothing_is_none(values: Any, text: str) -> None:
    assert listing(values).text == text
