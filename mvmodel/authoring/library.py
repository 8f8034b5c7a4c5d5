"""A library of mask sequences that can be searched by words and by how things move.

A folder: `masks/NAME.npz`, `library.parquet` with a row an entry, and `embeddings.npy` of the captions, where somebody
embedded them. What embeds text is handed in, so that nothing here needs a model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mvmodel.authoring import lexicon
from mvmodel.errors import InputError
from mvmodel.files import folder_aside
from mvmodel.masks.combine import replace_shape, resize
from mvmodel.masks.edit import flip, retime
from mvmodel.masks.sequence import MaskSequence
from mvmodel.motion.descriptor import DESCRIPTOR_NAMES, compute_descriptor
from mvmodel.text import FILE_STEM

if TYPE_CHECKING:
    import pandas as pd

Embed = Callable[[Sequence[str]], np.ndarray]
"""Sentences -> float (sentences, size), rows of length 1."""

_WORDS, _CAPTION, _MOTION = 1.0, 0.5, 0.5
"""What shared words, likeness of captions and likeness of motion count in a search."""
_IDLE = frozenset({"a", "an", "the", "of", "in", "at", "by", "over", "to", "from", "and", "on", "is", "it", "with"})


@dataclass(frozen=True)
class LibraryEntry:
    """A mask sequence with what is known of it. motion: its group's name or "". source: where it comes from."""

    name: str
    sequence: MaskSequence
    caption: str = ""
    motion: str = ""
    source: str = ""


@dataclass(frozen=True)
class SearchResult:
    """An entry that was found. score: the higher the nearer; why: what it rests on, in words."""

    name: str
    score: float
    caption: str
    motion: str
    why: str


class Library:
    """An opened library: `table` (one row an entry, descriptors among its columns) and `embeddings` or None."""

    def __init__(self, folder: Path, table: pd.DataFrame, embeddings: np.ndarray | None) -> None:
        self.folder, self.table, self.embeddings = Path(folder), table, embeddings

    @classmethod
    def load(cls, folder: Path) -> Library:
        """Open what `write_library` wrote. Raises InputError naming the folder when it is none."""
        import pandas as pd

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
        """An entry's masks. Raises InputError for an unknown name, with the nearest ones."""
        import difflib

        names = list(self.table["name"])
        if name not in names:
            near = difflib.get_close_matches(name, names, 3, 0.4) or names[:3]
            raise InputError(f"there is no entry {name!r} in {self.folder}; near are {', '.join(near) or 'none'}")
        return MaskSequence.load(self.folder / "masks" / f"{name}.npz")

    def search(
        self, query: str, embed: Embed | None = None, moves_like: MaskSequence | None = None, most: int = 5
    ) -> list[SearchResult]:
        """Entries nearest to a query, best first; those that share nothing with it are left out.

        Shared words (verbs in any form) of caption, motion and name count most; the captions' likeness by `embed`, and
        the likeness of motion with `moves_like`, order what words leave open.
        """
        if not len(self.table):
            return []
        wanted = extract_keywords(query)
        shared = np.array(
            [_shared(wanted, extract_keywords(f"{row.name_} {row.caption} {row.motion}")) for row in self._rows()]
        )
        caption = np.zeros(len(self.table))
        if embed is not None and self.embeddings is not None and query.strip():
            likeness = self._embedded(embed) @ embed([query])[0]
            spread = float(np.ptp(likeness))
            caption = (likeness - likeness.min()) / spread if spread > 1e-6 else caption
        motion = np.zeros(len(self.table))
        if moves_like is not None:
            motion = np.exp(-self.distances(moves_like))
        score = _WORDS * shared + _CAPTION * caption + _MOTION * motion
        order = np.argsort(-score, kind="stable")
        by_words_alone = shared.any() and moves_like is None
        chosen = [i for i in order if score[i] > 0 and (shared[i] > 0 or not by_words_alone)]
        rows = list(self._rows())
        hits = []
        for i in chosen[:most]:
            reasons = [f"{shared[i]:.0%} of the words"] if shared[i] else []
            reasons += [f"caption {caption[i]:.2f}"] if caption.any() else []
            reasons += [f"motion {motion[i]:.2f}"] if motion.any() else []
            hits.append(
                SearchResult(rows[i].name_, float(score[i]), rows[i].caption, rows[i].motion, ", ".join(reasons))
            )
        return hits

    def _embedded(self, embed: Embed) -> np.ndarray:
        """The captions' embeddings by `embed`: the stored ones, or new ones where another scorer wrote those."""
        texts = [_text(row.caption, row.motion, row.name_) for row in self._rows()]
        first = embed(texts[:1])
        stored = self.embeddings
        if stored is not None and first.shape[1:] == stored.shape[1:] and np.allclose(first[0], stored[0], atol=1e-3):
            return stored
        return embed(texts)

    def distances(self, sequence: MaskSequence) -> np.ndarray:
        """Distance of every entry's motion to a sequence's, as in grouping: about 1 inside one motion."""
        from mvmodel.motion.grouping import distance

        own = compute_descriptor(sequence)
        values = self.table[list(DESCRIPTOR_NAMES)].to_numpy(float)
        return distance(values, np.array([own[name] for name in DESCRIPTOR_NAMES]))

    def _rows(self) -> Iterable[Any]:
        return self.table.rename(columns={"name": "name_"}).itertuples(index=False)


def write_library(folder: Path, entries: Iterable[LibraryEntry], embed: Embed | None = None) -> Library:
    """Write entries to `folder`, which appears whole or not at all, and open it. Raises InputError for a bad name."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    with folder_aside(Path(folder)) as aside:
        fill(aside, entries, rows, embed)
        pd.DataFrame(rows, columns=_columns()).to_parquet(aside / "library.parquet", index=False)
    return Library.load(folder)


def fill(folder: Path, entries: Iterable[LibraryEntry], rows: list[dict[str, Any]], embed: Embed | None) -> None:
    """Write masks and embeddings of entries into an existing folder and append their rows."""
    for entry in entries:
        if not FILE_STEM.fullmatch(entry.name) or entry.name in {row["name"] for row in rows}:
            raise InputError(f"{entry.name!r} cannot name an entry: use letters, digits, - and _, and each name once")
        entry.sequence.save(folder / "masks" / f"{entry.name}.npz")
        about = {"caption": entry.caption, "motion": entry.motion, "source": entry.source}
        shape = {"frames": entry.sequence.frames, "height": entry.sequence.height, "width": entry.sequence.width}
        rows.append(
            {"name": entry.name, **about, **shape, "fps": entry.sequence.fps, **compute_descriptor(entry.sequence)}
        )
    if embed is not None and rows:
        texts = [_text(row["caption"], row["motion"], row["name"]) for row in rows]
        np.save(folder / "embeddings.npy", embed(texts).astype(np.float32), allow_pickle=False)


def _text(caption: str, motion: str, name: str) -> str:
    """What stands for an entry when captions are compared."""
    return caption or motion or name


def _columns() -> list[str]:
    return ["name", "caption", "motion", "source", "frames", "height", "width", "fps", *DESCRIPTOR_NAMES]


def extract_keywords(text: str) -> set[str]:
    """Words that say something, verbs in their basic form: "A dog gallops" -> {"dog", "gallop"}."""
    found = re.findall(r"[a-z]+", text.lower())
    return {lexicon.VERB_OF_FORM.get(word, word.removesuffix("s") if len(word) > 3 else word) for word in found} - _IDLE


def _shared(wanted: set[str], there: set[str]) -> float:
    return len(wanted & there) / len(wanted) if wanted else 0.0


def retarget(
    motion: MaskSequence,
    frames: int,
    size: tuple[int, int],
    shape: np.ndarray | None = None,
    heading: float = 0.0,
    scale_to: float | None = None,
) -> MaskSequence:
    """An entry's motion in another length, picture, shape, direction and size.

    frames: of the result, interpolated. size: (height, width). shape: bool (h, w) put in its place, None keeps its own.
    heading: below 0 goes left, above 0 right (mirrored where needed), 0 as it is. scale_to: mean share of the picture
    that the object covers, None leaves it.
    """
    from mvmodel.masks.edit import scale
    from mvmodel.masks.poses import estimate_poses

    sequence = MaskSequence(motion.masks, motion.fps)
    poses = estimate_poses(sequence.masks)
    if heading * (poses.x[-1] - poses.x[0]) < 0:
        sequence = flip(sequence)
    sequence = resize(retime(sequence, frames, smooth=True), *size)
    if shape is not None:
        sequence = replace_shape(sequence, shape)
    if scale_to is not None and sequence.masks.any():
        sequence = scale(sequence, float(np.sqrt(scale_to / sequence.coverage().mean())))
    return sequence
