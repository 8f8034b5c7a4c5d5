"""The listing of raw clips that the sensor and the first asset share."""

from __future__ import annotations

import os
from pathlib import Path

from pipelines.raw_files import hash_files, stamp_files


def test_links_hidden_files_and_names_that_are_not_utf8(tmp_path: Path) -> None:
    clips, elsewhere = tmp_path / "clips", tmp_path / "elsewhere"
    for folder in (clips, elsewhere):
        folder.mkdir()
    for path in (clips / "a.mp4", clips / ".hidden", clips / os.fsdecode(b"caf\xe9.mp4"), elsewhere / "b.mp4"):
        path.write_bytes(path.name[:1].encode())
    (clips / "linked").symlink_to(elsewhere)
    (elsewhere / "loop").symlink_to(clips)
    names = ["a.mp4", r"caf\xe9.mp4", "linked/b.mp4"]
    assert list(stamp_files(clips)) == names
    rows = hash_files(clips, tmp_path / "hashes.json")
    assert [(row["file"], row["bytes"]) for row in rows] == [(name, 1) for name in names]
    assert hash_files(clips, tmp_path / "hashes.json") == rows
