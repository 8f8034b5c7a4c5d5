"""Labels of motions, which are shown as the manifest spells them."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pandas as pd

from pipelines.assets.motion import _update_partitions, read_motion_labels


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


def test_partitions_are_those_of_the_motions_that_exist() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert _update_partitions(instance, ["gallop", "hop"]) == (["gallop", "hop"], [])
        assert _update_partitions(instance, ["gallop"]) == ([], ["hop"])
        assert instance.get_dynamic_partitions("motion") == ["gallop"]
        assert _update_partitions(instance, ["gallop", "hop"]) == (["hop"], []), "its clips are back"
