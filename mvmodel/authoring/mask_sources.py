"""Mask sources: the text that says where a request's masks come from, with optional edits.

masks/dog.npz                               a file, relative to the request table
masks/dog.npz | flip | scale 0.8            the same file, edited
masks/dog.gif                               any format that `mvmodel masks` reads, fitted
library: horse-meadow | move 10 0           an entry of the mask library
words: a dog runs from left to right        a sentence
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mvmodel.authoring.config import TextToMasksConfig
from mvmodel.authoring.library import Library
from mvmodel.authoring.shapes import ShapeModels
from mvmodel.authoring.text_to_masks import text_to_masks
from mvmodel.errors import InputError
from mvmodel.masks import MaskSequence
from mvmodel.masks.edit_script import edit_files, run_edits
from mvmodel.masks.files import read_masks
from mvmodel.masks.fit import Fit, fit_masks
from mvmodel.picture_size import PictureSize


@dataclass(frozen=True)
class MaskSource:
    """kind: "file", "library" or "words". value: the path, entry or sentence. edits: the text after the first "|"."""

    kind: Literal["file", "library", "words"]
    value: str
    edits: str = ""

    def files(self) -> list[str]:
        """All files that the source names, its edits' included, as they are written."""
        return ([self.value] if self.kind == "file" else []) + edit_files(self.edits)


def parse_mask_source(text: str) -> MaskSource:
    """Parse a source. Raises InputError if it names nothing."""
    first, _, edits = text.partition("|")
    prefix, colon, value = first.partition(":")
    kind = prefix.strip().lower()
    if colon and kind in ("library", "words"):
        source = MaskSource("library" if kind == "library" else "words", value.strip(), edits.strip())
    else:
        source = MaskSource("file", first.strip(), edits.strip())
    if not source.value:
        raise InputError(f"the masks {text!r} name nothing; give a file, library: NAME, or words: SENTENCE")
    return source


@dataclass(frozen=True)
class MaskSourceLoader:
    """Loads mask sources.

    folder: what files are relative to, and which they may not leave. size: (height, width) of the loaded masks. frames,
    fps: of masks from words. models: for masks from words. library: for entries, and to help with words. fit: how masks
    of another shape are fitted.
    """

    folder: Path
    size: tuple[int, int]
    frames: int
    fps: float
    models: ShapeModels | None = None
    library: Library | None = None
    fit: Fit = "crop"

    def load(self, text: str, seed: int = 0) -> tuple[MaskSequence, list[str]]:
        """Load a source's masks, and the assumptions that its words leave open.

        seed: for the pictures of a sentence's nouns. Raises InputError naming the source.
        """
        source = parse_mask_source(text)
        assumptions: list[str] = []
        if source.kind == "file":
            sequence = self._read_file(source.value)
        elif source.kind == "library":
            if self.library is None:
                raise InputError(
                    f"{text!r} names a library's entry, but there is no library; materialise mask_library first"
                )
            sequence = self.library.sequence(source.value)
        else:
            if self.models is None:
                raise InputError(f"{text!r} needs models to find shapes of nouns; none were given")
            config = TextToMasksConfig(seed=seed)
            result = text_to_masks(
                source.value, self.models, self.frames, self.fps, self.size, config, library=self.library
            )
            sequence, assumptions = result.sequence, result.assumptions
        return self.fit_size(run_edits(sequence, source.edits, self.folder)), assumptions

    def fit_size(self, sequence: MaskSequence) -> MaskSequence:
        """Masks at the loader's size."""
        height, width = self.size
        return fit_masks(sequence, PictureSize(width, height), self.fit)

    def _read_file(self, name: str) -> MaskSequence:
        path = (self.folder / name).resolve()
        if not path.is_relative_to(self.folder.resolve()):
            raise InputError(f"{name} is outside {self.folder}; move it inside")
        return read_masks(path)
