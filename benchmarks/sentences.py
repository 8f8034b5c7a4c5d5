"""How well sentences about motion are understood: direction, count and end, read off the masks made of them."""

from __future__ import annotations

import argparse
import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mvmodel.errors import InputError
from mvmodel.masks.geometry import centroid

FOLDER = Path(__file__).resolve().parents[1] / "tests" / "authoring"
FILE = FOLDER / "sentences.csv"
"""The sentences that the grammar was made with."""
HELD_OUT = FOLDER / "held_out.csv"
"""Sentences written after it was finished, which it was not changed for."""
_FRAMES, _SIDE, _MARGIN = 32, 96, 64


@dataclass(frozen=True)
class ObservedMotion:
    """What a mask sequence shows: directions of its first way ("right", "up"; both of a diagonal), number of jumps,
    swings or turns, the place where it ends, and whether that is where it began."""

    directions: tuple[str, ...]
    count: int
    end: str
    back: bool

    def agrees(self, direction: str, count: str, end: str) -> bool:
        """Whether it is as expected; an empty count is not looked at."""
        direction_agrees = direction in self.directions if direction != "none" else not self.directions
        return (
            direction_agrees and count in ("", str(self.count)) and (self.back if end == "start" else self.end == end)
        )


def measure_sentence(sentence: str) -> ObservedMotion:
    """Author a sentence with a wedge for a shape and measure the masks; only turns are read off the poses."""
    from mvmodel.authoring.choreography import choreograph
    from mvmodel.authoring.grammar import parse_sentence
    from mvmodel.masks.poses import Poses, place_shape

    rows, columns = np.mgrid[:_SIDE, :_SIDE]
    wedge = (np.abs(rows - 48) < 7 + 0.3 * (columns - 33)) & (columns >= 33) & (columns < 63)
    cast, _ = choreograph(parse_sentence(sentence), _FRAMES, 8.0, (_SIDE, _SIDE))
    poses = cast[0][1]
    # What happens outside the picture is measured too.
    shifted = Poses(poses.x + _MARGIN, poses.y + _MARGIN, poses.scale_x, poses.scale_y, poses.angle)
    masks = place_shape(wedge, shifted, (_SIDE + 2 * _MARGIN, _SIDE + 2 * _MARGIN))
    x, y = (np.array(column) for column in zip(*(_centre(mask) for mask in masks), strict=True))
    spread = min(float(np.std(poses.x)), float(np.std(poses.angle)))
    rolls = spread > 0 and np.corrcoef(poses.x, poses.angle)[0, 1] < -0.99  # turns as far as it goes
    turns = 0 if rolls else round(abs(poses.angle[-1] - poses.angle[0]) / 360)
    back = bool(np.hypot(x[-1] - x[0], y[-1] - y[0]) < 0.06 and max(np.ptp(x), np.ptp(y)) > 0.2)
    return ObservedMotion(_directions(x, y), _count(x, y, turns), _describe_position(float(x[-1]), float(y[-1])), back)


def _centre(mask: np.ndarray) -> tuple[float, float]:
    x, y = centroid(mask)
    return (x - _MARGIN) / _SIDE, (y - _MARGIN) / _SIDE


def _peaks(values: np.ndarray, low: float, high: float = 9.0) -> int:
    from scipy.signal import find_peaks

    return len(find_peaks(values, prominence=(low, high))[0])


def _directions(x: np.ndarray, y: np.ndarray) -> tuple[str, ...]:
    """Where it first goes for an eighth of the picture; heights that a jump comes down from again do not count."""
    ways_seen = []
    lasting = np.minimum.accumulate(np.abs(y - y[0])[::-1])[::-1]
    for away, values, names in ((np.abs(x - x[0]), x, ("left", "right")), (lasting, y, ("up", "down"))):
        if (away > 0.12).any():
            at = int(np.argmax(away > 0.12))
            ways_seen.append((at, names[int(values[at] > values[0])]))
    first = min((at for at, _ in ways_seen), default=0)
    return tuple(name for at, name in ways_seen if at <= first + len(x) // 5)


def _count(x: np.ndarray, y: np.ndarray, turns: int) -> int:
    """Jumps, which are lower than a climb; where there are none, whole turns, rounds or swings to and fro."""
    floor = np.concatenate([[y.max()], y, [y.max()]])
    round_trip = np.hypot(x[-1] - x[0], y[-1] - y[0]) < 0.06
    if round_trip and np.ptp(x) > 0.25 and np.ptp(y) > 0.25:
        return max(_peaks(x, 0.1), _peaks(-x, 0.1))
    jumps = _peaks(-floor if round_trip or abs(y[-1] - y[0]) < 0.12 else -y, 0.06, 0.4)
    swings = max(_peaks(x, 0.1), _peaks(-x, 0.1))
    return jumps or turns or (swings if swings > 1 else 0)


def _describe_position(x: float, y: float) -> str:
    if not -0.02 < x < 1.02:
        return "out left" if x < 0 else "out right"
    column = "left" if x < 0.38 else "right" if x > 0.62 else ""
    row = "top" if y < 0.33 else "bottom" if y > 0.72 else ""
    return " ".join(part for part in (row, column) if part) or "middle"


def judge_sentences(path: Path = FILE) -> list[dict[str, Any]]:
    """One row a sentence: what was expected, what was seen, whether all three agree."""
    rows: list[dict[str, Any]] = []
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            try:
                motion = measure_sentence(row["sentence"])
                understood = motion.agrees(row["direction"], row["count"], row["end"])
                rows.append({**row, "seen": motion, "right": understood})
            except InputError as error:  # a sentence that is refused is a sentence not understood
                rows.append({**row, "seen": str(error), "right": False})
    return rows


def measure_sentences() -> dict[str, float]:
    """Sentences understood: of those that the grammar was made with, and of held-out ones."""
    figures: dict[str, float] = {}
    for name, path in (("sentences", FILE), ("held_out", HELD_OUT)):
        rows = judge_sentences(path)
        figures |= {name: len(rows), f"{name}_right": sum(bool(row["right"]) for row in rows)}
    return figures


def main(arguments: list[str] | None = None) -> None:
    """Prints every sentence that is not understood, and how many are."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks sentences", description=__doc__)
    parser.parse_args(arguments)
    for path in (FILE, HELD_OUT):
        rows = judge_sentences(path)
        for row in rows:
            if not row["right"]:
                expected = ", ".join(row[name] for name in ("direction", "count", "end"))
                print(f"{row['sentence']}: expected {expected}; {row['seen']}")
        print(f"{path.name}: {sum(bool(row['right']) for row in rows)} of {len(rows)} right")


if __name__ == "__main__":
    main()
