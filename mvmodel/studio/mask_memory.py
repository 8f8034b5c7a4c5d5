"""`MaskMemory`: masks of objects that did not change since the last edit, so that a preview computes only what did."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable

import numpy as np


class MaskMemory:
    """The masks that were asked for last, bool (frames, height, width) each, up to a number of bytes in all.

    They are shared, so nobody may write to them.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes, self._bytes = max_bytes, 0
        self._masks: OrderedDict[Hashable, np.ndarray] = OrderedDict()
        self._lock = threading.Lock()

    def get_or_compute(self, key: Hashable, compute: Callable[[], np.ndarray]) -> np.ndarray:
        """The masks of `key`, which has to contain all that decides them."""
        with self._lock:
            if key in self._masks:
                self._masks.move_to_end(key)
                return self._masks[key]
        masks = compute()
        masks.flags.writeable = False
        with self._lock:
            if key not in self._masks:
                self._masks[key] = masks
                self._bytes += masks.nbytes
            while self._bytes > self._max_bytes and self._masks:
                self._bytes -= self._masks.popitem(last=False)[1].nbytes
        return masks
