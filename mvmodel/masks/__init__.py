"""Mask sequences: the one type that every stage speaks."""

from mvmodel.masks.sequence import MaskSequence

__all__ = ["MaskSequence"]
