"""`MaskSequence`: binary foreground masks over the frames of a clip."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mvmodel.errors import InputError
from mvmodel.files import hash_value, write_aside


@dataclass(frozen=True)
class MaskSequence:
    """Foreground masks of a clip. True is foreground.

    masks: bool (frames, height, width). fps: frames per second. Raises InputError for another shape or dtype.
    """

    masks: np.ndarray
    fps: float = 8.0

    def __post_init__(self) -> None:
        if self.masks.ndim != 3 or self.masks.dtype != np.bool_ or len(self.masks) == 0:
            raise InputError(
                f"a mask sequence is a bool array (frames, height, width) with at least one frame, "
                f"not {self.masks.dtype} {self.masks.shape}"
            )

    @property
    def frames(self) -> int:
        return int(self.masks.shape[0])

    @property
    def height(self) -> int:
        return int(self.masks.shape[1])

    @property
    def width(self) -> int:
        return int(self.masks.shape[2])

    def coverage(self) -> np.ndarray:
        """Share of the picture that is foreground, float (frames,), 0..1."""
        return self.masks.mean(axis=(1, 2))

    def content_hash(self) -> str:
        return hash_value([list(self.masks.shape), np.packbits(self.masks).tobytes().hex()])

    def save(self, path: Path) -> None:
        """Write a compressed .npz (bits packed); read it with `load`."""
        with write_aside(Path(path)) as aside, open(aside, "wb") as file:
            np.savez_compressed(file, bits=np.packbits(self.masks), shape=np.array(self.masks.shape), fps=self.fps)

    @classmethod
    def load(cls, path: Path) -> MaskSequence:
        """Read what `save` wrote. Raises InputError naming the file when it is something else."""
        try:
            with np.load(path, allow_pickle=False) as data:
                shape = tuple(int(n) for n in data["shape"])
                bits = np.unpackbits(data["bits"])[: int(np.prod(shape))]
                return cls(bits.reshape(shape).astype(bool), float(data["fps"]))
        except (OSError, KeyError, ValueError) as error:
            raise InputError(
                f"{path} is not a mask sequence written by mvmodel ({error}); give an .npz it saved"
            ) from error
