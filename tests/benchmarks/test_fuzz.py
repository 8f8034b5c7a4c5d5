"""A small sample of the fuzz: damaged files end in clips or in the quarantine, and the mutations are repeatable."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from benchmarks.fuzz import MUTATIONS, list_seeds, mutate, try_file


def test_sixty_damaged_files_are_clips_or_quarantined(tmp_path: Path) -> None:
    (tmp_path / "seeds").mkdir()
    (tmp_path / "files").mkdir()
    own = [path for path in list_seeds(tmp_path / "seeds", None) if path.parent == tmp_path / "seeds"]
    results = {path.name: try_file(path) for path, _ in mutate(own, 60, 1, tmp_path / "files")}
    problems = {name: result for name, result in results.items() if result[0] in ("wrong", "error")}
    assert len(results) == 60
    assert not problems
    assert {result for result, _ in results.values()} == {"clip", "masks", "quarantined"}
    assert all(reason for result, reason in results.values() if result == "quarantined")


def test_mutations_are_repeatable() -> None:
    content = bytes(range(256)) * 4
    for mutation in MUTATIONS:
        once, again = (mutation(content, np.random.default_rng(3)) for _ in range(2))
        assert once == again
