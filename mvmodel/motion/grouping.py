"""Clips that share a motion: the manifest's labels first, then what the descriptors say.

The distance of two clips is the root mean square over the descriptor's numbers of their difference, each in units of
how much it varies inside one motion (`SPREAD`) and cut at `_FAR`: about 1 between clips of one motion.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mvmodel.config import Config
from mvmodel.errors import InputError
from mvmodel.motion.clip_selection import select_clips
from mvmodel.motion.descriptor import DESCRIPTOR_NAMES
from mvmodel.motion.naming import find_contradicting_direction, suggest_name
from mvmodel.text import SLUG, slugify

if TYPE_CHECKING:
    import pandas as pd

SPREAD: dict[str, float] = {
    "travel": 0.30,
    "path": 0.45,
    "straightness": 0.12,
    "sideways": 0.25,
    "rise": 0.30,
    "sideways_swing": 0.05,
    "vertical_swing": 0.045,
    "vertical_skew": 0.35,
    "sideways_turns": 1.0,
    "vertical_turns": 1.2,
    "vertical_jerk": 0.20,
    "circling": 0.20,
    "growth": 0.15,
    "area_swing": 0.06,
    "squash": 0.04,
    "squash_low": 0.03,
    "tilt_swing": 0.05,
    "spin": 0.50,
    "deformation": 0.10,
    "rhythm": 0.25,
}
"""How much a number varies between clips of one motion: measured on renders, with room for badly cut masks."""
_FAR = 6.0
"""Where a difference is cut. One number alone must be able to keep motions apart (a thing that grows on the spot from
one that stands): 6 over the root of twenty numbers is just above `GroupConfig.apart`."""


class GroupConfig(Config):
    """How clips are grouped.

    smallest, largest: clips that make a motion; fewer wait, of more the coherent and varied are chosen. join: distance
    up to which an unlabelled clip joins a labelled motion. clearly: the next motion must be this many times as far.
    apart: distance at which groups of unlabelled clips stay apart (average linkage). neighbours: a clip's distance to a
    motion is the mean to so many of its clips, the nearest ones.
    """

    smallest: int = 5
    largest: int = 8
    join: float = 1.6
    clearly: float = 1.1
    apart: float = 1.3
    neighbours: int = 3


@dataclass(frozen=True)
class Groups:
    """What was found.

    table: one row a clip: clip, motion (slug, "" when it joins none), source ("label", "proposed" or ""), distance
    (to the clips of its motion, nearest ones), chosen (is a training clip of a motion), why (a sentence).
    motions: slug -> its chosen clips. waiting: slug -> clips of a group that is too small. disagreements: sentences
    about clips that move more like another label's, or against the direction that their label names.
    """

    table: pd.DataFrame
    motions: dict[str, list[str]]
    waiting: dict[str, list[str]]
    disagreements: list[str]


def motion_slug(label: str) -> str:
    """A motion's slug: "Gallop (fast)" -> "gallop-fast". Raises InputError when nothing is left of the name."""
    slug = slugify(label)
    if not SLUG.fullmatch(slug):
        raise InputError(f"the motion name {label!r} needs at least one letter a-z or digit; rename it in manifest.csv")
    return slug


def distances(descriptors: pd.DataFrame) -> np.ndarray:
    """Distance of every clip to every other, float (clips, clips)."""
    values = descriptors[list(DESCRIPTOR_NAMES)].to_numpy(float)
    return distance(values[:, None], values[None])


def distance(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Distance of descriptors, float (..., numbers) in the order of `DESCRIPTOR_NAMES`: float (...)."""
    units = np.array([SPREAD[name] for name in DESCRIPTOR_NAMES])
    apart = np.minimum(np.abs(one - other) / units, _FAR)
    return np.asarray(np.sqrt((apart**2).mean(axis=-1)))


def group(descriptors: pd.DataFrame, labels: pd.Series, config: GroupConfig = GroupConfig()) -> Groups:
    """Group clips into motions.

    descriptors: one row a clip, indexed by clip, a column for every name of a descriptor; names and disagreements about
    directions use the facts `rightward` and `upward` where they are there too. labels: the manifest's
    motion of each clip, "" for none. A label always wins; an unlabelled clip joins the labelled motion that it moves
    like, or a new group of unlabelled ones, whose name is taken from how it moves.
    """
    clips = [str(clip) for clip in descriptors.index]
    labels = labels.reindex(descriptors.index).fillna("")
    apart = distances(descriptors)
    motion = [motion_slug(str(label)) if str(label).strip() else "" for label in labels]
    source = ["label" if name else "" for name in motion]
    why = [f"the manifest says {name}" if name else "" for name in motion]
    labelled = {name: [i for i, m in enumerate(motion) if m == name] for name in dict.fromkeys(motion) if name}

    _join_labelled(motion, source, why, labelled, apart, config)
    _propose(motion, source, why, descriptors, apart, config)

    members = {name: [i for i, m in enumerate(motion) if m == name] for name in dict.fromkeys(motion) if name}
    distance = [_to(i, members.get(motion[i], []), apart, config.neighbours) for i in range(len(clips))]
    chosen = [False] * len(clips)
    motions: dict[str, list[str]] = {}
    waiting: dict[str, list[str]] = {}
    for name, own in sorted(members.items()):
        if len(own) < config.smallest:
            waiting[name] = [clips[i] for i in own]
            continue
        labelled_first = [source[i] == "label" for i in own]
        best = select_clips(apart[np.ix_(own, own)], config.largest, labelled_first, [clips[i] for i in own])
        for place, i in enumerate(own):
            chosen[i] = place in best
            why[i] += "; " + best.get(
                place, f"left out: {config.largest} clips are enough, and vary more or are nearer"
            )
        motions[name] = [clips[i] for i in own if chosen[i]]
    for own_clips in waiting.values():
        for clip in own_clips:
            why[clips.index(clip)] += f"; waits, since {len(own_clips)} of {config.smallest} clips are there"
    return Groups(
        _table(clips, motion, source, distance, chosen, why),
        motions,
        waiting,
        _unlike_their_label(clips, labelled, apart, config) + _against_their_label(descriptors, labelled),
    )


def _table(
    clips: list[str], motion: list[str], source: list[str], distance: list[float], chosen: list[bool], why: list[str]
) -> pd.DataFrame:
    import pandas as pd

    columns: dict[str, Any] = {
        "clip": pd.Series(clips, dtype=str),
        "motion": pd.Series(motion, dtype=str),
        "source": pd.Series(source, dtype=str),
        "distance": pd.Series(distance, dtype=float),
        "chosen": pd.Series(chosen, dtype=bool),
        "why": pd.Series(why, dtype=str),
    }
    return pd.DataFrame(columns)


def _to(clip: int, members: Iterable[int], apart: np.ndarray, neighbours: int) -> float:
    """Mean distance of a clip to the nearest `neighbours` other members; infinite when there are none."""
    others = sorted(float(apart[clip, i]) for i in members if i != clip)
    return float(np.mean(others[:neighbours])) if others else float("inf")


def _join_labelled(
    motion: list[str],
    source: list[str],
    why: list[str],
    labelled: dict[str, list[int]],
    apart: np.ndarray,
    config: GroupConfig,
) -> None:
    for clip in [i for i, name in enumerate(motion) if not name]:
        ranked = sorted((_to(clip, own, apart, config.neighbours), name) for name, own in labelled.items())
        if not ranked:
            return
        nearest, name = ranked[0]
        second = ranked[1][0] if len(ranked) > 1 else float("inf")
        if nearest <= config.join and second >= config.clearly * nearest:
            motion[clip], source[clip] = name, "proposed"
            why[clip] = f"moves like {name} (distance {nearest:.2f})"
        elif nearest > config.join:
            why[clip] = f"moves like no labelled motion (nearest is {name}, distance {nearest:.2f})"
        else:
            why[clip] = f"lies between {name} ({nearest:.2f}) and {ranked[1][1]} ({second:.2f})"


def _propose(
    motion: list[str],
    source: list[str],
    why: list[str],
    descriptors: pd.DataFrame,
    apart: np.ndarray,
    config: GroupConfig,
) -> None:
    """Cluster what is still without a motion; a cluster of one stays without."""
    from sklearn.cluster import AgglomerativeClustering

    left = [i for i, name in enumerate(motion) if not name]
    if len(left) < 2:
        return
    model = AgglomerativeClustering(
        n_clusters=None, distance_threshold=config.apart, metric="precomputed", linkage="average"
    )
    found = model.fit_predict(apart[np.ix_(left, left)])
    taken = set(motion)
    for cluster in dict.fromkeys(found.tolist()):
        own = [left[i] for i in np.flatnonzero(found == cluster)]
        if len(own) < 2:
            continue
        name = _unique(suggest_name(descriptors.iloc[own]), taken)
        for i in own:
            motion[i], source[i] = name, "proposed"
            others = f"{len(own) - 1} other unlabelled clip{'s' if len(own) > 2 else ''}"
            why[i] = (why[i] + "; " if why[i] else "") + f"moves like {others}"


def _unique(name: str, taken: set[str]) -> str:
    unique, number = name, 2
    while unique in taken:
        unique, number = f"{name}-{number}", number + 1
    taken.add(unique)
    return unique


def _unlike_their_label(
    clips: list[str], labelled: dict[str, list[int]], apart: np.ndarray, config: GroupConfig
) -> list[str]:
    """Labelled clips that are nearer to another label's clips than to their own."""
    found = []
    for name, own in labelled.items():
        for clip in own:
            here = _to(clip, own, apart, config.neighbours)
            others = [
                (_to(clip, rest, apart, config.neighbours), other) for other, rest in labelled.items() if other != name
            ]
            if not others or not np.isfinite(here):
                continue
            there, other = min(others)
            if there * config.clearly < here:
                found.append(
                    f"{clips[clip]} is labelled {name}, but moves more like {other} "
                    f"(distance {there:.2f} against {here:.2f})"
                )
    return found


def _against_their_label(descriptors: pd.DataFrame, labelled: dict[str, list[int]]) -> list[str]:
    """Labelled clips that go against what their label says; needs the facts `rightward` and `upward`."""
    if not {"rightward", "upward"} <= set(descriptors):
        return []
    found = []
    for name, own in labelled.items():
        for clip, row in descriptors.iloc[own].iterrows():
            way = find_contradicting_direction(name, row["rightward"], row["upward"])
            if way:
                found.append(
                    f"{clip} is labelled {name}, but goes {way} "
                    f"(rightward {row['rightward']:+.2f}, upward {row['upward']:+.2f} object sizes)"
                )
    return found
