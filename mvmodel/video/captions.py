"""Captions that lie beside a clip: `clip.txt` or `clip.mp4.txt` next to `clip.mp4`."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from pathlib import Path

from mvmodel.text_files import read_text
from mvmodel.video.picture_sequences import is_sequence_path

MAX_CAPTION_CHARACTERS = 10_000
"""Longer captions are cut at a word's end."""
TEXT_MODEL_WORDS = 55
"""CLIP's text encoders read 77 tokens: about this many English words."""
CAPTION_SUFFIX = ".txt"


@dataclass(frozen=True)
class Caption:
    """text: on one line. origin: the file that it is from, or "". note: a sentence about a long caption, or ""."""

    text: str = ""
    origin: str = ""
    note: str = ""


def read_sidecar_caption(path: Path, suffix: str = CAPTION_SUFFIX) -> Caption:
    """The caption beside a video or a folder of frames; an empty one if there is none.

    suffix: of caption files, in any letter case. Raises InputError naming the caption's file if it is no text.
    """
    for sidecar in _find_sidecars(Path(path), suffix):
        caption = shorten_caption(read_text(sidecar), sidecar.name)
        if caption.text:
            return caption
    return Caption()


def shorten_caption(text: str, origin: str) -> Caption:
    """A caption on one line, of at most `MAX_CAPTION_CHARACTERS`, with a note if that or a text model cuts it."""
    line = " ".join(text.split())
    note = ""
    shortened = line
    if len(line) > MAX_CAPTION_CHARACTERS:
        shortened = line[: MAX_CAPTION_CHARACTERS + 1].rpartition(" ")[0] or line[:MAX_CAPTION_CHARACTERS]
        note = f"the caption has {len(line)} characters and is cut after {len(shortened)}"
    words = len(line.split(" "))
    if words > TEXT_MODEL_WORDS:
        reads = f"text models read only its first {TEXT_MODEL_WORDS} words or so"
        note = f"{note}; {reads}" if note else f"the caption has {words} words; {reads}"
    return Caption(shortened, origin if shortened else "", note)


def _find_sidecars(path: Path, suffix: str) -> list[Path]:
    """Files that may hold the caption, best first: `clip.txt`, then `clip.mp4.txt`, spelled exactly before alike.

    A name in other letter case counts only if no other file has exactly that name: B.txt is not the caption of b.mp4
    where there is a B.mp4.
    """
    path = path if path.name else path.resolve()
    if is_sequence_path(path):
        pictures = path.with_name(path.stem.replace("%d", "").strip("._- ") or path.parent.name)
        return _find_alike(pictures, [pictures.name], suffix) + _find_sidecars(path.parent, suffix)
    stems = [path.name] if path.is_dir() else [path.stem, path.name]
    return _find_alike(path, stems, suffix)


def _find_alike(path: Path, stems: list[str], suffix: str) -> list[Path]:
    """The files beside `path` called like one of the stems, and `suffix`."""
    try:
        names = sorted(entry.name for entry in path.parent.iterdir())
    except OSError:
        return []
    texts = [name for name in names if name.lower().endswith(suffix.lower())]
    other_stems = {_normalize(Path(name).stem) for name in names if name not in texts and name != path.name}
    exact, alike = [], []
    for stem in stems:
        for name in texts:
            text_stem = _normalize(name[: -len(suffix)])
            if text_stem == _normalize(stem):
                exact.append(path.with_name(name))
            elif text_stem.casefold() == _normalize(stem).casefold() and text_stem not in other_stems:
                alike.append(path.with_name(name))
    return [sidecar for sidecar in exact + alike if sidecar.is_file()]


def _normalize(name: str) -> str:
    return unicodedata.normalize("NFC", name)
