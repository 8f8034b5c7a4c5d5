from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mvmodel.experiments import compare


@pytest.fixture
def rows() -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"condition": condition, "slug": "gallop", "name": f"r{i}", "seed": 1, "iou": base + 0.1 * i}
            for condition, base in (("full", 0.5), ("off", 0.2))
            for i in range(4)
        ]
    )


def test_pairs_remove_what_requests_have_in_common(rows):
    gap = compare.compute_difference(rows, {"condition": "full"}, {"condition": "off"}, "iou")
    assert gap.mean == pytest.approx(0.3)
    assert (gap.low, gap.high) == pytest.approx((0.3, 0.3))  # the spread between requests is not in it
    assert gap.certain and gap.pairs == 4
    assert "over 4 pairs" in str(gap)


def test_only_pairs_count(rows):
    rows = rows[~((rows["condition"] == "off") & (rows["name"] == "r3"))]
    gap = compare.compute_difference(rows, {"condition": "full"}, {"condition": "off"}, "iou")
    assert gap.pairs == 3
    assert gap.first == pytest.approx(0.6)


@pytest.mark.parametrize("names", [("r0",), ("r0", "r1", "r2")])
def test_a_few_pairs_are_never_certain(rows, names):
    gap = compare.compute_difference(rows[rows["name"].isin(names)], {"condition": "full"}, {"condition": "off"}, "iou")
    assert not gap.certain
    assert compare.describe_verdict(gap, 1) == "holds here, but these few videos do not make it certain"


def test_verdicts_depend_on_direction_size_and_spread(rows):
    gap = compare.compute_difference(rows, {"condition": "full"}, {"condition": "off"}, "iou")
    assert compare.describe_verdict(gap, 1) == "holds"
    assert compare.describe_verdict(gap, -1) == "does not hold"
    assert compare.describe_verdict(gap, 1, least=0.31) == "does not hold"
    noisy = rows.assign(iou=rows["iou"].where(rows["condition"] == "full", [0, 0, 0, 0, 0.2, 1.3, 0.1, 0.2]))
    unsure = compare.compute_difference(noisy, {"condition": "full"}, {"condition": "off"}, "iou")
    assert unsure.mean > 0 and not unsure.certain
    assert "not make it certain" in compare.describe_verdict(unsure, 1)


def test_what_was_not_measured_is_said_so(rows):
    nothing = compare.compute_difference(rows, {"condition": "full"}, {"condition": "off"}, "flicker")
    assert (str(nothing), compare.describe_verdict(nothing, 1)) == ("not measured", "could not be measured")
    assert compare.compute_difference(rows, {"condition": "full"}, {"condition": "no such"}, "iou").pairs == 0


def test_slope_and_lists():
    assert compare.fit_slope([1, 2, 3], [2, 4, 6]) == pytest.approx(2)
    assert np.isnan(compare.fit_slope([1], [2]))
    assert compare.join_words(["a", "b", "c"]) == "a, b and c"
    assert compare.join_words([]) == "none"
