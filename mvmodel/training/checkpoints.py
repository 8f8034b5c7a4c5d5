"""Two checkpoint folders that are written in turn, so that a kill while one is written leaves the other whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mvmodel.files import atomic_write


class CheckpointSlots:
    """`folder`/checkpoint and `folder`/checkpoint-2; a file `complete` in each holds its step."""

    def __init__(self, folder: Path) -> None:
        self.slots = [folder / "checkpoint", folder / "checkpoint-2"]

    def newest(self) -> Path | None:
        """The newest complete checkpoint, or None."""
        newest = max(self.slots, key=self._read_step)
        return newest if self._read_step(newest) >= 0 else None

    @contextmanager
    def write(self, step: int) -> Iterator[Path]:
        """The folder to write the checkpoint of `step` to; it is complete when the block ends without an error."""
        slot = next(slot for slot in self.slots if slot != self.newest())
        (slot / "complete").unlink(missing_ok=True)
        yield slot
        with atomic_write(slot / "complete") as temporary:
            temporary.write_text(str(step))

    @staticmethod
    def _read_step(slot: Path) -> int:
        """The slot's step, or -1 if it holds no complete checkpoint."""
        marker = slot / "complete"
        return int(marker.read_text() or 0) if marker.exists() else -1
