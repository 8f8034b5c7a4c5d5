"""A training that is told to stop finishes its step first, and writes a checkpoint."""

from __future__ import annotations

import signal
import threading
from typing import Any


class StopSignal:
    """Keeps the number of a SIGINT or SIGTERM that arrives inside the block (in the main thread only); 0 is none."""

    def __init__(self) -> None:
        self.signal_number = 0
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> StopSignal:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._handlers[number] = signal.signal(number, self._request)
        return self

    def _request(self, number: int, _: Any) -> None:
        self.signal_number = number

    def __exit__(self, *_: Any) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
