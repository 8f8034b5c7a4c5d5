"""Clips grouped into motions: by the manifest's labels first, then by the distances of their descriptors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.cluster import AgglomerativeClustering

from mvmodel.motion.clip_selection import select_clips
from mvmodel.motion.config import GroupConfig
from mvmodel.motion.distance import ClipDistances
from mvmodel.motion.naming import find_contradicting_direction, suggest_name
from mvmodel.motion.nearest_motions import NearestMotions
from mvmodel.text import motion_slug

MAX_CLUSTERED = 2000
"""Unlabelled clips that are clustered together. Of more, the others join the clusters of the first, and those that are
left are clustered in turn: clustering takes time and memory with the square of the clips."""
MAX_CANDIDATES = 1000
"""Clips of a motion that training clips are selected from."""


@dataclass(frozen=True)
class Groups:
    """Clips grouped into motions.

    table: one row per clip with the columns clip, motion (a slug, "" without a motion), label (as the manifest spells
    the motion, for show), source ("label", "proposed" or ""), distance (to the nearest clips of its motion), selected
    (whether it is one of the motion's training clips) and reason (a sentence). motions: slug -> the training clips of
    the motion. undersized: slug -> clips of a group that is too small. disagreements: sentences about clips that move
    more like another label's clips, or against the direction that their label names.
    """

    table: pd.DataFrame
    motions: dict[str, list[str]]
    undersized: dict[str, list[str]]
    disagreements: list[str]


def group_clips(descriptors: pd.DataFrame, labels: pd.Series, config: GroupConfig = GroupConfig()) -> Groups:
    """Group clips into motions.

    descriptors: one row per clip, indexed by clip, with a column for each name of a descriptor. If it also has the
    attributes `rightward` and `upward`, names and disagreements use these directions. labels: each clip's motion in the
    manifest, "" for none.

    A label always decides. An unlabelled clip joins the labelled motion that it moves like, or a new group of
    unlabelled clips, which is named after how it moves.
    """
    labels = labels.reindex(descriptors.index).fillna("")
    grouping = _Grouping(descriptors, [str(label) for label in labels], config)
    labelled = grouping.members()
    grouping.join_labelled_motions(labelled)
    grouping.cluster_remaining_clips()
    members = grouping.members()
    within = grouping.nearest(members).distances_within()
    nearest = [within.get(i, float("inf")) for i in range(len(grouping.clips))]
    motions, undersized = grouping.select_training_clips(members)
    table = {
        "clip": pd.Series(grouping.clips, dtype=str),
        "motion": pd.Series(grouping.motion, dtype=str),
        "label": pd.Series(grouping.label, dtype=str),
        "source": pd.Series(grouping.source, dtype=str),
        "distance": pd.Series(nearest, dtype=float),
        "selected": pd.Series(grouping.selected, dtype=bool),
        "reason": pd.Series(grouping.reason, dtype=str),
    }
    disagreements = grouping.clips_unlike_their_label(labelled) + _clips_against_their_label(descriptors, labelled)
    return Groups(pd.DataFrame(table), motions, undersized, disagreements)


class _Grouping:
    """The columns of a grouping's table while it is being built, one entry per clip."""

    def __init__(self, descriptors: pd.DataFrame, labels: list[str], config: GroupConfig) -> None:
        self.config, self.descriptors = config, descriptors
        self.clips = [str(clip) for clip in descriptors.index]
        self.distances = ClipDistances(descriptors)
        self.motion = [motion_slug(label) if label.strip() else "" for label in labels]
        self.source = ["label" if name else "" for name in self.motion]
        self.label = [" ".join(label.split()) for label in labels]
        self.reason = [f"the manifest says {label}" if label else "" for label in self.label]
        self.selected = [False] * len(self.clips)

    def members(self) -> dict[str, list[int]]:
        """Motion -> indices of its clips."""
        members: dict[str, list[int]] = {}
        for clip, name in enumerate(self.motion):
            if name:
                members.setdefault(name, []).append(clip)
        return members

    def nearest(self, members: Mapping[str, Sequence[int]]) -> NearestMotions:
        """Finds which of some motions clips are nearest to."""
        return NearestMotions(self.distances, members, self.config.neighbours)

    def join_labelled_motions(self, labelled: dict[str, list[int]]) -> None:
        """Assign each unlabelled clip to the labelled motion that it moves like, if there is clearly one."""
        if not labelled:
            return
        unlabelled = [i for i, name in enumerate(self.motion) if not name]
        ranking = self.nearest(labelled).rank(unlabelled, self.config.min_distance_ratio)
        for clip, ranked in zip(unlabelled, ranking, strict=True):
            nearest, name = ranked[0]
            second = ranked[1][0] if len(ranked) > 1 else float("inf")
            if nearest <= self.config.join_distance and second >= self.config.min_distance_ratio * nearest:
                self.motion[clip], self.source[clip] = name, "proposed"
                self.reason[clip] = f"moves like {name} (distance {nearest:.2f})"
            elif nearest > self.config.join_distance:
                self.reason[clip] = f"moves like no labelled motion (nearest is {name}, distance {nearest:.2f})"
            else:
                self.reason[clip] = f"is between {name} ({nearest:.2f}) and {ranked[1][1]} ({second:.2f})"

    def cluster_remaining_clips(self) -> None:
        """Make motions of the clips that have none yet. A cluster of one clip does not become a motion."""
        remaining = [i for i, name in enumerate(self.motion) if not name]
        alone: list[int] = []
        clusters: dict[str, list[int]] = {}
        while remaining:
            first, remaining = remaining[:MAX_CLUSTERED], remaining[MAX_CLUSTERED:]
            latest = self._cluster(first)
            clusters |= latest
            alone += [clip for clip in first if not self.motion[clip]]
            remaining = self._join_clusters(remaining, latest)
        if len(self.clips) > MAX_CLUSTERED:
            self._join_clusters(alone, clusters)

    def _cluster(self, clips: Sequence[int]) -> dict[str, list[int]]:
        """Make a motion of every cluster of two clips or more; returns name -> clips."""
        if len(clips) < 2:
            return {}
        model = AgglomerativeClustering(
            n_clusters=None, distance_threshold=self.config.cluster_distance, metric="precomputed", linkage="average"
        )
        clusters = model.fit_predict(self.distances.between(clips, clips))
        names = set(self.motion)
        members_of: dict[int, list[int]] = {}
        for clip, cluster in zip(clips, clusters.tolist(), strict=True):
            members_of.setdefault(cluster, []).append(clip)
        motions = {}
        for members in members_of.values():
            if len(members) < 2:
                continue
            name = _unique_name(suggest_name(self.descriptors.iloc[members]), names)
            motions[name] = members
            count = f"{len(members) - 1} other unlabelled clip{'s' if len(members) > 2 else ''}"
            for clip in members:
                self._propose(clip, name, f"moves like {count}")
        return motions

    def _join_clusters(self, clips: Sequence[int], clusters: Mapping[str, Sequence[int]]) -> list[int]:
        """Assign clips to the cluster that they move like; returns those that move like none."""
        if not clips or not clusters:
            return list(clips)
        ranking = list(self.nearest(clusters).rank(clips))
        for clip, ((distance, name), *_) in zip(clips, ranking, strict=True):
            if distance <= self.config.cluster_distance:
                self._propose(clip, name, f"moves like the unlabelled clips of {name} (distance {distance:.2f})")
        return [clip for clip in clips if not self.motion[clip]]

    def _propose(self, clip: int, name: str, reason: str) -> None:
        self.motion[clip], self.source[clip] = name, "proposed"
        self.reason[clip] = f"{self.reason[clip]}; {reason}" if self.reason[clip] else reason

    def select_training_clips(self, members: dict[str, list[int]]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
        """(motion -> its training clips, name -> clips of a group that is too small)."""
        motions: dict[str, list[str]] = {}
        undersized: dict[str, list[str]] = {}
        limit = self.config.max_clips
        for name, group in sorted(members.items()):
            clips = [self.clips[i] for i in group]
            if len(group) < self.config.min_clips:
                undersized[name] = clips
                for i in group:
                    self.reason[i] += f"; the group has only {len(group)} of the {self.config.min_clips} clips it needs"
                continue
            candidates = self._candidates(group)
            labelled = [self.source[i] == "label" for i in candidates]
            distances = self.distances.between(candidates, candidates)
            selected = select_clips(distances, limit, labelled, [self.clips[i] for i in candidates])
            reasons = {candidates[position]: reason for position, reason in selected.items()}
            not_selected = f"not selected: {limit} clips are enough, and the others are more typical or more varied"
            for i in group:
                self.selected[i] = i in reasons
                self.reason[i] += f"; {reasons.get(i, not_selected)}"
            motions[name] = [self.clips[i] for i in group if self.selected[i]]
        return motions, undersized

    def _candidates(self, group: list[int]) -> list[int]:
        """The clips that training clips are selected from: all of them, or of very many, evenly taken by name."""
        if len(group) <= MAX_CANDIDATES:
            return group
        ordered = sorted(group, key=lambda i: (self.source[i] != "label", self.clips[i]))
        labelled = [i for i in ordered if self.source[i] == "label"]
        pool = labelled if len(labelled) >= MAX_CANDIDATES else ordered
        return sorted(pool[i] for i in np.linspace(0, len(pool) - 1, MAX_CANDIDATES).astype(int))

    def clips_unlike_their_label(self, labelled: dict[str, list[int]]) -> list[str]:
        """Sentences about labelled clips that are nearer to another label's clips than to those of their own."""
        if len(labelled) < 2:
            return []
        search = self.nearest(labelled)
        within = {clip: value for clip, value in search.distances_within().items() if np.isfinite(value)}
        clips, ratio = list(within), self.config.min_distance_ratio
        own = [self.motion[clip] for clip in clips]
        nearer = search.find_nearer(clips, [within[clip] / ratio for clip in clips], own)
        return [
            f"{self.clips[clip]} is labelled {label}, but moves more like {other[1]} "
            f"(distance {other[0]:.2f} against {within[clip]:.2f})"
            for clip, label, other in zip(clips, own, nearer, strict=True)
            if other is not None and other[0] * ratio < within[clip]
        ]


def _unique_name(name: str, names: set[str]) -> str:
    """`name`, with a number if it is one of `names` already; the result is added to `names`."""
    unique, number = name, 2
    while unique in names:
        unique, number = f"{name}-{number}", number + 1
    names.add(unique)
    return unique


def _clips_against_their_label(descriptors: pd.DataFrame, labelled: dict[str, list[int]]) -> list[str]:
    """Sentences about labelled clips that go against the direction their label names."""
    if not {"rightward", "upward"} <= set(descriptors):
        return []
    sentences = []
    for name, members in labelled.items():
        for clip, row in descriptors.iloc[members].iterrows():
            direction = find_contradicting_direction(name, row["rightward"], row["upward"])
            if direction:
                sentences.append(
                    f"{clip} is labelled {name}, but goes {direction} "
                    f"(rightward {row['rightward']:+z.2f}, upward {row['upward']:+z.2f} object sizes)"
                )
    return sentences
