"""Checks .npz archives and .npy files by their headers, before memory is taken for what they hold."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np

from mvmodel.video.config import DecodeLimits

NPZ_ERRORS = (
    *(OSError, KeyError, ValueError, IndexError, EOFError, NotImplementedError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error),
)
"""What NumPy and zipfile raise for a damaged archive."""


def check_npz(path: Path, limits: DecodeLimits = DecodeLimits(), bits: str = "bits") -> None:
    """Raises ValueError if the arrays of an .npz need more memory than `limits.bytes`, and NPZ_ERRORS for damage.

    Args:
        path: The archive.
        limits: Limits of decoding.
        bits: Arrays whose names contain this hold eight pixels a byte.
    """
    total = 0
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            with archive.open(name) as file:
                total += _count_bytes(file) * (8 if bits in name else 1)
    _check_bytes(total, limits)


def check_npy(path: Path, limits: DecodeLimits = DecodeLimits()) -> None:
    """Raises ValueError if the array of an .npy needs more memory than `limits.bytes`, and NPZ_ERRORS for damage."""
    with open(path, "rb") as file:
        _check_bytes(_count_bytes(file), limits)


def _count_bytes(file: IO[bytes]) -> int:
    """The size of an array by its header, which is read."""
    version = np.lib.format.read_magic(file)
    reader = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = reader(file)
    size = int(dtype.itemsize)
    for length in shape:
        size *= max(0, int(length))
    return size


def _check_bytes(total: int, limits: DecodeLimits) -> None:
    if total > limits.bytes:
        raise ValueError(
            f"its arrays need {total / 2**30:.1f} GiB, more than the limit of {limits.bytes / 2**30:.1f} GiB"
        )
