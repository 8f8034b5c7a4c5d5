"""A library of mask sequences that can be searched by words and by how they move.

It is a folder with `masks/NAME.npz`, `library.parquet` with one row per entry, and, if its captions were embedded,
`embeddings.npy`. The function that embeds text is handed in, so that nothing here needs a model.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mvmodel.authoring import lexicon
from mvmodel.authoring.tokens import split_words
from mvmodel.authoring.unknown_words import find_unknown_verbs
from mvmodel.errors import InputError
from mvmodel.files import atomic_folder, is_inside_name
from mvmodel.masks.combine import replace_shape, resize
from mvmodel.masks.edit import flip, retime, scale
from mvmodel.masks.poses import estimate_poses
from mvmodel.masks.sequence import MaskSequence
from mvmodel.motion.descriptor import DESCRIPTOR_NAMES, compute_descriptor
from mvmodel.motion.distance import compute_distance
from mvmodel.text import FILE_STEM

Embed = Callable[[Sequence[str]], np.ndarray]
"""Texts -> embeddings, float (texts, size), rows of length 1."""

_WORDS_WEIGHT, _CAPTION_WEIGHT, _MOTION_WEIGHT = 1.0, 0.5, 0.5
"""Weights of shared words, similarity of captions and similarity of motion in a search."""
_STOP_WORDS = frozenset(
    {"a", "an", "the", "of", "in", "at", "by", "over", "to", "from", "and", "on", "is", "it", "with"}
)


@dataclass(frozen=True)
class LibraryEntry:
    """A mask sequence to store. motion: its motion's name or "". source: where it comes from."""

    name: str
    sequence: MaskSequence
    caption: str = ""
    motion: str = ""
    source: str = ""


@dataclass(frozen=True)
class SearchResult:
    """An entry that a search found. score: higher is more similar. reason: what the score consists of, in words."""

    name: str
    score: float
    caption: str
    motion: str
    reason: str


class Library:
    """An opened library: `table` (one row per entry, descriptors among its columns) and `embeddings` or None."""

    def __init__(self, folder: Path, table: pd.DataFrame, embeddings: np.ndarray | None) -> None:
        self.folder, self.table, self.embeddings = Path(folder), table, embeddings

    @classmethod
    def load(cls, folder: Path) -> Library:
        """Open what `write_library` wrote. Raises InputError naming the folder if it is no library."""
        folder = Path(folder)
        try:
            table = pd.read_parquet(folder / "library.parquet")
            path = folder / "embeddings.npy"
            embeddings = np.load(path, allow_pickle=False) if path.exists() else None
        except (OSError, ValueError) as error:
            raise InputError(
                f"{folder} is no library of mask sequences ({error}); materialise the mask_library asset, or give the "
                f"folder of one"
            ) from error
        return cls(folder, table, embeddings)

    def sequence(self, name: str) -> MaskSequence:
        """Load an entry's masks. Raises InputError for an unknown name, and suggests similar ones."""
        names = list(self.table["name"])
        if name not in names:
            similar = difflib.get_close_matches(name, names, 3, 0.4) or names[:3]
            raise InputError(f"{self.folder} has no entry {name!r}; similar names: {', '.join(similar) or 'none'}")
        if not is_inside_name(name):
            raise InputError(f"{self.folder} has an entry {name!r}, which names a file outside of it; build it again")
        return MaskSequence.load(self.folder / "masks" / f"{name}.npz")

    def search(
        self, query: str, embed: Embed | None = None, moves_like: MaskSequence | None = None, limit: int = 5
    ) -> list[SearchResult]:
        """Find the entries most similar to a query, best first. Entries that share nothing with it are left out.

        Words shared with the caption, motion and name count most (verbs in any form). The similarity of captions by
        `embed`, and of motion with `moves_like`, rank entries that share the same words.
        """
        if not len(self.table):
            return []
        keywords = extract_keywords(query)
        rows = list(self._rows())
        shared = np.array(
            [_shared_fraction(keywords, extract_keywords(f"{row.name_} {row.caption} {row.motion}")) for row in rows]
        )
        caption = self._caption_similarity(query, embed)
        motion = np.zeros(len(rows)) if moves_like is None else np.exp(-self.distances(moves_like))
        score = _WORDS_WEIGHT * shared + _CAPTION_WEIGHT * caption + _MOTION_WEIGHT * motion
        order = np.argsort(-score, kind="stable")
        needs_words = shared.any() and moves_like is None
        results = []
        for i in [i for i in order if score[i] > 0 and (shared[i] > 0 or not needs_words)][:limit]:
            reasons = [f"{shared[i]:.0%} of the words"] if shared[i] else []
            row = rows[i]
            reasons += [f"caption {caption[i]:.2f}"] if caption.any() and row.caption else []
            reasons += [f"motion {motion[i]:.2f}"] if motion.any() else []
            results.append(SearchResult(row.name_, float(score[i]), row.caption, row.motion, ", ".join(reasons)))
        return results

    def names_motion(self, sentence: str) -> bool:
        """Whether a sentence whose verb the grammar does not know names the motion of an entry.

        It does with the unknown verb, where a word looks like one, and otherwise with the motion's name: what the actor
        is called says nothing about how it moves.
        """
        verbs = find_unknown_verbs(split_words(sentence))
        if verbs:
            words = extract_keywords(" ".join(verbs))
            return any(words & extract_keywords(f"{row.name_} {row.caption} {row.motion}") for row in self._rows())
        words = extract_keywords(sentence)
        return any(words & extract_keywords(str(row.motion)) for row in self._rows())

    def distances(self, sequence: MaskSequence) -> np.ndarray:
        """Distance of every entry's motion from a sequence's, float (entries,): about 1 within one motion."""
        descriptor = compute_descriptor(sequence)
        values = self.table[list(DESCRIPTOR_NAMES)].to_numpy(float)
        return compute_distance(values, np.array([descriptor[name] for name in DESCRIPTOR_NAMES]))

    def _caption_similarity(self, query: str, embed: Embed | None) -> np.ndarray:
        """Similarity of every entry's caption to the query, float (entries,), scaled to 0..1; zeros without `embed`.

        An entry without a caption has 0, whatever its motion or its file is called.
        """
        scaled = np.zeros(len(self.table))
        captioned = (self.table["caption"].fillna("").astype(str).str.strip() != "").to_numpy()
        if embed is None or self.embeddings is None or not query.strip() or not captioned.any():
            return scaled
        similarity = (self._embed_captions(embed) @ embed([query])[0])[captioned]
        spread = float(np.ptp(similarity))
        if spread > 1e-6:
            scaled[captioned] = (similarity - similarity.min()) / spread
        return scaled

    def _embed_captions(self, embed: Embed) -> np.ndarray:
        """The captions' embeddings by `embed`: the stored ones, or new ones if another scorer wrote those."""
        texts = [_text_of_entry(row.caption, row.motion, row.name_) for row in self._rows()]
        first = embed(texts[:1])
        saved = self.embeddings
        if saved is not None and first.shape[1:] == saved.shape[1:] and np.allclose(first[0], saved[0], atol=1e-3):
            return saved
        return embed(texts)

    def _rows(self) -> Iterable[Any]:
        return self.table.rename(columns={"name": "name_"}).itertuples(index=False)


def write_library(folder: Path, entries: Iterable[LibraryEntry], embed: Embed | None = None) -> Library:
    """Write entries to `folder`, which appears whole or not at all, and open it. Raises InputError for a bad name."""
    with atomic_folder(Path(folder)) as work_dir:
        rows = _write_entries(work_dir, entries)
        if embed is not None and rows:
            texts = [_text_of_entry(row["caption"], row["motion"], row["name"]) for row in rows]
            np.save(work_dir / "embeddings.npy", embed(texts).astype(np.float32), allow_pickle=False)
        columns = ["name", "caption", "motion", "source", "frames", "height", "width", "fps", *DESCRIPTOR_NAMES]
        pd.DataFrame(rows, columns=columns).to_parquet(work_dir / "library.parquet", index=False)
    return Library.load(folder)


def _write_entries(folder: Path, entries: Iterable[LibraryEntry]) -> list[dict[str, Any]]:
    """Write the entries' masks into an existing folder. Returns the table's rows."""
    rows: list[dict[str, Any]] = []
    names: set[str] = set()
    for entry in entries:
        if not FILE_STEM.fullmatch(entry.name) or entry.name in names:
            raise InputError(
                f"{entry.name!r} cannot name an entry: use letters, digits, - and _, and each name only once"
            )
        names.add(entry.name)
        sequence = entry.sequence
        sequence.save(folder / "masks" / f"{entry.name}.npz")
        rows.append(
            {
                "name": entry.name,
                "caption": entry.caption,
                "motion": entry.motion,
                "source": entry.source,
                "frames": sequence.frames,
                "height": sequence.height,
                "width": sequence.width,
                "fps": sequence.fps,
                **compute_descriptor(sequence),
            }
        )
    return rows


def _text_of_entry(caption: str, motion: str, name: str) -> str:
    """The text of an entry that is embedded."""
    return caption or motion or name


def extract_keywords(text: str) -> set[str]:
    """The words of a text without stop words, verbs in their basic form: "A dog gallops" -> {"dog", "gallop"}."""
    words = re.findall(r"[a-z]+", text.lower())
    basic_forms = {lexicon.VERB_OF_FORM.get(word, word.removesuffix("s") if len(word) > 3 else word) for word in words}
    return basic_forms - _STOP_WORDS


def _shared_fraction(keywords: set[str], words: set[str]) -> float:
    return len(keywords & words) / len(keywords) if keywords else 0.0


def retarget(
    motion: MaskSequence,
    frames: int,
    size: tuple[int, int],
    shape: np.ndarray | None = None,
    heading: float = 0.0,
    coverage: float | None = None,
) -> MaskSequence:
    """Apply a sequence's motion to another length, picture, shape, direction and size.

    frames: of the result, interpolated. size: (height, width). shape: bool (h, w), replaces the sequence's own shape.
    heading: below 0 the result goes left, above 0 right (mirrored if needed); 0 keeps the direction. coverage: mean
    share of the picture that the object covers; None keeps it.
    """
    sequence = MaskSequence(motion.masks, motion.fps)
    poses = estimate_poses(sequence.masks)
    if heading * (poses.x[-1] - poses.x[0]) < 0:
        sequence = flip(sequence)
    sequence = resize(retime(sequence, frames, smooth=True), *size)
    if shape is not None:
        sequence = replace_shape(sequence, shape)
    if coverage is not None and sequence.masks.any():
        sequence = scale(sequence, float(np.sqrt(coverage / sequence.coverage().mean())))
    return sequence
