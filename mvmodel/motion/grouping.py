"""Clips grouped into motions: by the manifest's labels first, then by the distances of their descriptors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.cluster import AgglomerativeClustering

from mvmodel.motion.clip_selection import select_clips
from mvmodel.motion.config import GroupConfig
from mvmodel.motion.distance import compute_distances
from mvmodel.motion.naming import find_contradicting_direction, suggest_name
from mvmodel.text import motion_slug


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
    nearest = [grouping.distance_to(i, members.get(name, [])) for i, name in enumerate(grouping.motion)]
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
        self.distances = compute_distances(descriptors)
        self.motion = [motion_slug(label) if label.strip() else "" for label in labels]
        self.source = ["label" if name else "" for name in self.motion]
        self.label = [" ".join(label.split()) for label in labels]
        self.reason = [f"the manifest says {label}" if label else "" for label in self.label]
        self.selected = [False] * len(self.clips)

    def members(self) -> dict[str, list[int]]:
        """Motion -> indices of its clips."""
        names = dict.fromkeys(name for name in self.motion if name)
        return {name: [i for i, motion in enumerate(self.motion) if motion == name] for name in names}

    def distance_to(self, clip: int, members: Iterable[int]) -> float:
        """Mean distance of a clip to the nearest other members; infinite if there are none."""
        distances = sorted(float(self.distances[clip, i]) for i in members if i != clip)
        return float(np.mean(distances[: self.config.neighbours])) if distances else float("inf")

    def join_labelled_motions(self, labelled: dict[str, list[int]]) -> None:
        """Assign each unlabelled clip to the labelled motion that it moves like, if there is clearly one."""
        if not labelled:
            return
        for clip in [i for i, name in enumerate(self.motion) if not name]:
            ranked = sorted((self.distance_to(clip, members), name) for name, members in labelled.items())
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
        if len(remaining) < 2:
            return
        model = AgglomerativeClustering(
            n_clusters=None, distance_threshold=self.config.cluster_distance, metric="precomputed", linkage="average"
        )
        clusters = model.fit_predict(self.distances[np.ix_(remaining, remaining)])
        names = set(self.motion)
        for cluster in dict.fromkeys(clusters.tolist()):
            members = [remaining[i] for i in np.flatnonzero(clusters == cluster)]
            if len(members) < 2:
                continue
            name = _unique_name(suggest_name(self.descriptors.iloc[members]), names)
            for clip in members:
                self.motion[clip], self.source[clip] = name, "proposed"
                count = f"{len(members) - 1} other unlabelled clip{'s' if len(members) > 2 else ''}"
                prefix = f"{self.reason[clip]}; " if self.reason[clip] else ""
                self.reason[clip] = f"{prefix}moves like {count}"

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
            labelled = [self.source[i] == "label" for i in group]
            reasons = select_clips(self.distances[np.ix_(group, group)], limit, labelled, clips)
            for position, i in enumerate(group):
                self.selected[i] = position in reasons
                not_selected = f"not selected: {limit} clips are enough, and the others are more typical or more varied"
                self.reason[i] += f"; {reasons.get(position, not_selected)}"
            motions[name] = [self.clips[i] for i in group if self.selected[i]]
        return motions, undersized

    def clips_unlike_their_label(self, labelled: dict[str, list[int]]) -> list[str]:
        """Sentences about labelled clips that are nearer to another label's clips than to those of their own."""
        sentences = []
        for label, members in labelled.items():
            for clip in members:
                distance = self.distance_to(clip, members)
                ranked = [(self.distance_to(clip, group), name) for name, group in labelled.items() if name != label]
                if not ranked or not np.isfinite(distance):
                    continue
                nearest, name = min(ranked)
                if nearest * self.config.min_distance_ratio < distance:
                    sentences.append(
                        f"{self.clips[clip]} is labelled {label}, but moves more like {name} "
                        f"(distance {nearest:.2f} against {distance:.2f})"
                    )
        return sentences


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
                    f"(rightward {row['rightward']:+.2f}, upward {row['upward']:+.2f} object sizes)"
                )
    return sentences
