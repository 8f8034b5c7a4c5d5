"""Two checkpoint folders that are written in turn, so that a kill while one is written leaves the other whole."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mvmodel.errors import InputError
from mvmodel.files import atomic_write
from mvmodel.training.checkpoint_events import notify_checkpoint
from mvmodel.training.checkpoint_state import read_state

logger = logging.getLogger(__name__)


class CheckpointSlots:
    """`folder`/checkpoint and `folder`/checkpoint-2; a file `complete` in each holds its step."""

    def __init__(self, folder: Path) -> None:
        self.slots = [folder / "checkpoint", folder / "checkpoint-2"]

    def newest(self) -> Path | None:
        """The newest complete checkpoint, or None."""
        newest = max(self.slots, key=self._read_step)
        return newest if self._read_step(newest) >= 0 else None

    def read(self) -> dict[str, Any] | None:
        """The state of the newest complete checkpoint, or None if there is none.

        A damaged one is logged, and the one before is read. Raises InputError if none can be read.
        """
        slots = sorted((slot for slot in self.slots if self._read_step(slot) >= 0), key=self._read_step)
        while slots:
            try:
                return read_state(slots.pop())
            except InputError as error:
                if not slots:
                    raise
                logger.warning("%s; going on from the checkpoint before it", error)
        return None

    @contextmanager
    def write(self, step: int) -> Iterator[Path]:
        """The folder to write the checkpoint of `step` to; it is complete when the block ends without an error."""
        slot = next(slot for slot in self.slots if slot != self.newest())
        (slot / "complete").unlink(missing_ok=True)
        yield slot
        with atomic_write(slot / "complete") as temporary:
            temporary.write_text(str(step))
        notify_checkpoint()

    @staticmethod
    def _read_step(slot: Path) -> int:
        """The slot's step, or -1 if it holds no complete checkpoint."""
        marker = slot / "complete"
        text = marker.read_text() if marker.exists() else ""
        return int(text) if text.isdecimal() else -1
