"""Labels of motions, which are shown as the manifest spells them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from pipelines.assets.motion import read_motion_labels


def test_labels_that_are_no_slugs_are_kept_for_show(tmp_path: Path) -> None:
    rows = [
        ("a", "motion-d67469", "跑", "label"),
        ("b", "motion-d67469", "", "proposed"),
        ("c", "gallop", "gallop", "label"),
        ("d", "gallop-fast", "Gallop (fast)", "label"),
        ("e", "gallop-fast", "gallop FAST", "label"),
    ]
    table = pd.DataFrame(rows, columns=["clip", "motion", "label", "source"])
    table.to_parquet(tmp_path / "groups.parquet")
    assert read_motion_labels(tmp_path) == {"motion-d67469": "跑", "gallop-fast": "Gallop (fast)"}
