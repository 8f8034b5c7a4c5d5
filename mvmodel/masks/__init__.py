"""Mask sequences: the type that all stages exchange."""

from mvmodel.masks.sequence import MaskSequence

__all__ = ["MaskSequence"]
