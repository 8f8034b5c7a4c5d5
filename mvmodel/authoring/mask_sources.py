"""Where a request's masks come from: a file, an entry of a library, or words; each with edits behind it.

masks/dog.npz                               a file, relative to the table
masks/dog.npz | flip | scale 0.8            the same, edited
masks/dog.gif                               any kind that `mvmodel masks` reads, brought to the pack's size
library: horse-meadow | move 10 0           an entry of the pipeline's library
words: a dog runs from left to right        a sentence
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mvmodel.authoring.library import Library
from mvmodel.errors import InputError
from mvmodel.files import hash_file, hash_folder
from mvmodel.generation.requests import Request
from mvmodel.masks import MaskSequence
from mvmodel.masks.combine import resize
from mvmodel.masks.edit_script import edit_files, run_edits


@dataclass(frozen=True)
class MaskSource:
    """kind: "file", "library" or "words". value: path, entry or sentence. edits: what follows the first "|"."""

    kind: Literal["file", "library", "words"]
    value: str
    edits: str = ""


def parse_mask_source(text: str) -> MaskSource:
    """Read a source. Raises InputError when nothing is named."""
    first, _, edits = text.partition("|")
    kind, found, value = first.partition(":")
    name = kind.strip().lower()
    if found and name in ("library", "words"):
        source = MaskSource("library" if name == "library" else "words", value.strip(), edits.strip())
    else:
        source = MaskSource("file", first.strip(), edits.strip())
    if not source.value:
        raise InputError(f"the masks {text!r} name nothing; give a file, library: NAME, or words: SENTENCE")
    return source


def resolve(
    text: str,
    pack: Any,
    folder: Path,
    library: Library | None = None,
    frames: int | None = None,
    seed: int = 0,
) -> tuple[MaskSequence, list[str]]:
    """The masks that a source names, of the pack's size, and what is in doubt about them.

    folder: what files are relative to, and which they may not leave. frames: of a sequence from words, the pack's when
    None. Raises InputError naming the source.
    """
    from mvmodel.masks.files import read_masks

    source = parse_mask_source(text)
    side = pack.info.resolution
    assumptions: list[str] = []
    if source.kind == "file":
        path = (folder / source.value).resolve()
        if not path.is_relative_to(folder.resolve()):
            raise InputError(f"{source.value} lies outside {folder}; move it inside")
        sequence = read_masks(path)
    elif source.kind == "library":
        if library is None:
            raise InputError(
                f"{text!r} names a library's entry, but there is no library; materialise mask_library first"
            )
        sequence = library.sequence(source.value)
    else:
        from mvmodel.authoring.config import TextToMasksConfig
        from mvmodel.authoring.text_to_masks import text_to_masks

        config = TextToMasksConfig(seed=seed)
        made = text_to_masks(
            source.value, pack, frames or pack.info.frames, pack.info.fps, (side, side), config, None, library
        )
        sequence, assumptions = made.sequence, made.assumptions
    sequence = run_edits(sequence, source.edits, folder)
    return resize(sequence, side, side), assumptions


def contents(request: Request, folder: Path) -> list[str]:
    """What decides a request's masks beside models and library: its words, and the hashes of all files it names.

    folder: of the request table. Raises InputError naming a file that is missing.
    """
    source = parse_mask_source(request.source) if request.source else MaskSource("file", str(request.masks))
    named = ([source.value] if source.kind == "file" else []) + edit_files(source.edits)
    hashes = []
    for name in named:
        path = folder / name
        if not path.exists():
            raise InputError(f"request {request.name}: {path} does not exist; put the masks there or mend the table")
        hashes.append(hash_folder(path) if path.is_dir() else hash_file(path))
    return [request.source, *hashes] if request.source else hashes


def prepare(
    requests: Sequence[Request], pack: Any, folder: Path, library: Library | None = None
) -> tuple[dict[str, MaskSequence], dict[str, list[str]]]:
    """Masks of every request by name, those of files as they are, and assumptions by name where there are any.

    folder: of the request table. Raises InputError naming the request.
    """
    ready: dict[str, MaskSequence] = {}
    assumptions: dict[str, list[str]] = {}
    for request in requests:
        if not request.source:
            ready[request.name] = MaskSequence.load(request.masks)
            continue
        try:
            ready[request.name], said = resolve(request.source, pack, folder, library, seed=request.seed)
        except InputError as error:
            raise InputError(f"request {request.name}: {error}") from error
        if said:
            assumptions[request.name] = said
    return ready, assumptions
