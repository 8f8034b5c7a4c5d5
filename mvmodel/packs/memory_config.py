"""The names of the memory plans. Imports nothing heavy."""

from __future__ import annotations

from typing import Literal

MemoryLevel = Literal["24gb", "16gb", "12gb", "8gb"]
"""A plan of `mvmodel.packs.memory.LADDER`, named after the card that it is for."""
