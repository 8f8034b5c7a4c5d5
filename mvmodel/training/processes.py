"""The processes of one training: those that `accelerate launch` started, or this one alone."""

from __future__ import annotations

import os

from accelerate import PartialState


class Processes:
    """What this process has to know of the others. With a GPU for each, the first use makes this one's the default.

    cpu: the training is on the CPU even if there are GPUs.
    """

    def __init__(self, cpu: bool = False) -> None:
        self._cpu = cpu
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        """How many there are."""
        self.is_main = self.count == 1 or self._state.is_main_process
        """Whether this one writes and reports."""

    @property
    def _state(self) -> PartialState:  # training creates it anew
        return PartialState(cpu=self._cpu)

    def wait(self) -> None:
        """Return when all processes are here."""
        if self.count > 1:
            self._state.wait_for_everyone()
