"""`MaskSequence`: binary foreground masks over the frames of a clip, of one object or of several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mvmodel.errors import InputError
from mvmodel.files import atomic_write, hash_value
from mvmodel.video.archives import NPZ_ERRORS, check_npz

DEFAULT_FPS = 8.0
"""Frame rate of masks whose files do not state one."""


@dataclass(frozen=True)
class MaskSequence:
    """Foreground masks of a clip. True is foreground.

    masks: bool (frames, height, width), the union of all objects. fps: frames per second. instances: bool
    (instances, frames, height, width), a mask sequence per object, or None if objects are not distinguished. They may
    overlap; a later one is in front. names: one per instance ("" for an unnamed one). camera: how far the camera
    travels over the sequence at a constant speed, to the right in picture widths and down in picture heights, or None
    if that is unknown. Raises InputError for another shape or dtype, for instances whose union is not `masks`, for
    names whose number is not that of the instances, and for a camera that is not two finite numbers.
    """

    masks: np.ndarray
    fps: float = 8.0
    instances: np.ndarray | None = None
    names: tuple[str, ...] = ()
    camera: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.masks.ndim != 3 or self.masks.dtype != np.bool_ or 0 in self.masks.shape:
            raise InputError(
                f"a mask sequence is a bool array (frames, height, width) with at least one frame, "
                f"not {self.masks.dtype} {self.masks.shape}"
            )
        if not np.isfinite(self.fps) or self.fps <= 0:
            raise InputError(f"a mask sequence has a positive number of frames per second, not {self.fps}")
        if self.camera is not None and not (len(self.camera) == 2 and np.isfinite(self.camera).all()):
            raise InputError(f"the camera of a mask sequence is two finite numbers, not {self.camera}")
        if self.instances is None:
            if self.names:
                raise InputError(f"the names {', '.join(self.names)} name instances, but there are none")
            return
        if self.instances.dtype != np.bool_ or self.instances.shape[1:] != self.masks.shape or not len(self.instances):
            raise InputError(
                f"instances are a bool array (instances, frames, height, width) over masks of {self.masks.shape}, "
                f"not {self.instances.dtype} {self.instances.shape}"
            )
        if not np.array_equal(np.logical_or.reduce(self.instances, axis=0), self.masks):
            raise InputError("the masks are not the union of the instances; make the sequence with `from_instances`")
        if not self.names:
            object.__setattr__(self, "names", ("",) * len(self.instances))
        if len(self.names) != len(self.instances):
            raise InputError(f"{len(self.instances)} instances need as many names, not {len(self.names)}")

    @classmethod
    def from_instances(
        cls,
        instances: np.ndarray,
        fps: float = 8.0,
        names: Sequence[str] = (),
        camera: tuple[float, float] | None = None,
    ) -> MaskSequence:
        """A sequence of several objects: instances bool (instances, frames, height, width), names one per instance."""
        if instances.ndim != 4 or instances.dtype != np.bool_ or 0 in instances.shape:
            raise InputError(
                f"instances are a bool array (instances, frames, height, width), not {instances.dtype} "
                f"{instances.shape}"
            )
        return cls(np.logical_or.reduce(instances, axis=0), fps, instances, tuple(names), camera)

    @property
    def frames(self) -> int:
        return int(self.masks.shape[0])

    @property
    def height(self) -> int:
        return int(self.masks.shape[1])

    @property
    def width(self) -> int:
        return int(self.masks.shape[2])

    @property
    def per_instance(self) -> np.ndarray:
        """Masks of each object, bool (instances, frames, height, width); the union if they are not distinguished."""
        return self.masks[None] if self.instances is None else self.instances

    def instance(self, which: int | str) -> MaskSequence:
        """One object alone, by number or name. Raises InputError with the instances that there are."""
        count = len(self.per_instance)
        number = which if isinstance(which, int) else (self.names.index(which) if which in self.names else -1)
        if not 0 <= number < count:
            available = ", ".join(f"{n}{f' ({name})' if name else ''}" for n, name in enumerate(self.names or ("",)))
            raise InputError(f"there is no instance {which!r} in this mask sequence; it has {available}")
        if self.instances is None:
            return self
        return MaskSequence.from_instances(
            self.instances[number : number + 1], self.fps, self.names[number : number + 1], self.camera
        )

    def coverage(self) -> np.ndarray:
        """Share of the picture that is foreground, float (frames,), 0..1."""
        return self.masks.mean(axis=(1, 2))

    def content_hash(self) -> str:
        """Hash of the pictures, the instances if there are any, and the camera if known. fps and names do not count."""
        content: list[Any] = [list(self.masks.shape), np.packbits(self.masks).tobytes().hex()]
        if self.instances is not None:
            content += [len(self.instances), np.packbits(self.instances).tobytes().hex()]
        if self.camera is not None:
            content.append(["camera", *self.camera])
        return hash_value(content)

    def save(self, path: Path, confidence: Sequence[float] | None = None) -> None:
        """Writes a compressed .npz with packed bits. Read it with `load`.

        confidence: a segmenter's score of every mask, 0..1, for `mvmodel.masks.arrays.read_confidence`.
        """
        arrays = {"bits": np.packbits(self.masks), "shape": np.array(self.masks.shape), "fps": np.array(self.fps)}
        if self.instances is not None:
            arrays |= {"instance_bits": np.packbits(self.instances), "names": np.array(self.names, dtype=np.str_)}
        if confidence is not None:
            arrays["confidence"] = np.asarray(confidence, np.float32)
        if self.camera is not None:
            arrays["camera"] = np.array(self.camera, float)
        with atomic_write(Path(path)) as temporary_path, open(temporary_path, "wb") as file:
            np.savez_compressed(file, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> MaskSequence:
        """Reads what `save` wrote. Raises InputError naming the file if it is something else."""
        try:
            check_npz(path)
            with np.load(path, allow_pickle=False) as data:
                shape = tuple(int(n) for n in data["shape"])
                fps = float(data["fps"])
                masks = _unpack(data["bits"], shape)
                camera = None
                if "camera" in data.files:
                    x, y = (float(value) for value in data["camera"])
                    camera = (x, y)
                if "instance_bits" not in data.files:
                    return cls(masks, fps, camera=camera)
                names = tuple(str(name) for name in data["names"])
                return cls(masks, fps, _unpack(data["instance_bits"], (len(names), *shape)), names, camera)
        except (*NPZ_ERRORS, TypeError) as error:
            raise InputError(
                f"{path} is not a mask sequence written by mvmodel ({error}); give an .npz it saved"
            ) from error


def _unpack(bits: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if min(shape, default=0) < 1 or int(np.prod(shape, dtype=object)) > 8 * bits.size:
        raise ValueError(f"its shape {shape} and its {8 * bits.size} pixels do not fit")
    return np.unpackbits(bits)[: int(np.prod(shape))].reshape(shape).astype(bool)
