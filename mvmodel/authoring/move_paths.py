"""The path of one move: where an actor goes, without what it does on the way."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mvmodel.authoring.config import StageConfig
from mvmodel.authoring.moves import Move
from mvmodel.authoring.paths import EASINGS

TRAVELLING_KINDS = frozenset(
    {"travel", "fly", "enter", "leave", "return", "fall", "rise", "zigzag", "circle"}
)  # fmt: skip
"""Kinds of moves that go somewhere."""
_ZIGZAG_HEIGHT = 0.13


@dataclass(frozen=True)
class Stage:
    """A picture of `size` (height, width), and the numbers that sentences leave open in it."""

    config: StageConfig
    size: tuple[int, int]

    def height_to_width_share(self, length: float) -> float:
        """Convert a share of the picture's height to the share of its width of the same length."""
        return length * self.size[0] / self.size[1]

    def outside_x(self, side: float) -> float:
        """The x at which an actor is just outside the picture, to the left (`side` up to 0.5) or right."""
        margin = self.height_to_width_share(self.config.actor_size) * 0.6
        return 1 + margin if side > 0.5 else -margin


@dataclass
class ActorState:
    """Where an actor is between two moves.

    x, y: shares of the picture's width and height. heading: -1 if it last went to the left, 1 to the right, 0 if it has
    not moved sideways. path_start: where its last path began.
    """

    x: float
    y: float
    scale: float = 1.0
    angle: float = 0.0
    heading: float = 0.0
    path_start: tuple[float, float] = (0.0, 0.0)


def compute_path(
    move: Move, time: np.ndarray, state: ActorState, stage: Stage, assumptions: list[str]
) -> tuple[np.ndarray, np.ndarray]:
    """x and y of a move's path, float (frames,) each, in shares of the picture.

    time: share of the move's duration that has passed at each frame, 0 to 1. What the sentence leaves open is appended
    to `assumptions`.
    """
    if move.kind == "circle":
        return _circle(move, time, state, stage)
    goes_somewhere = move.end[0] is not None if move.kind == "jump" else move.end != (None, None)
    if move.kind not in TRAVELLING_KINDS and not (move.kind in ("jump", "flap", "shake") and goes_somewhere):
        return np.full_like(time, state.x), np.full_like(time, state.y)
    x, y = find_target(move, state, stage, assumptions)
    easing = move.easing or {"fall": "ease-in"}.get(move.kind, "linear")
    progress = EASINGS[easing](time)
    if move.back and move.kind != "return" and not _returns_to_path_start(move, state):
        progress = 1 - np.abs(1 - 2 * (((move.count or 1) * time) % 1.0))
        progress[-1] = 0.0
    path_x, path_y = state.x + (x - state.x) * progress, state.y + (y - state.y) * progress
    if move.kind == "zigzag":
        legs = (move.count or 3) * time
        path_y = path_y + _ZIGZAG_HEIGHT * (np.abs((2 * legs + 0.5) % 2 - 1) * 2 - 1)
    return path_x, path_y


def find_target(move: Move, state: ActorState, stage: Stage, assumptions: list[str]) -> tuple[float, float]:
    """Where a move's path ends: x and y in shares of the picture."""
    if move.back and _returns_to_path_start(move, state):
        return state.path_start
    if move.out:
        return _target_outside(move, state, stage, assumptions)
    x, y = move.end
    if move.come_in and move.start[0] is None and move.start[1] is not None:  # from above or below
        return state.x if x is None else x, stage.config.ground_y if y is None else y
    if move.kind in ("fall", "rise"):
        default_y = 0.8 if move.kind == "fall" else 0.2
        return state.x if x is None else x, default_y if y is None else y
    if move.kind == "enter" and x is None and y is None:
        x = 0.5
    if x is None and y is None:
        return _target_left_open(move, state, stage, assumptions)
    if move.kind == "jump":
        y = None
    return state.x if x is None else x, state.y if y is None else y


def _target_outside(move: Move, state: ActorState, stage: Stage, assumptions: list[str]) -> tuple[float, float]:
    x, y = move.end
    if y is not None and x is None:
        return state.x, 1.3 if y > 0.5 else -0.3
    if x is not None:
        return stage.outside_x(x), state.y if y is None else y
    if not state.heading:
        assumptions.append("the sentence does not say on which side it leaves; the nearer one was taken")
    direction = state.heading or (1.0 if state.x >= 0.5 else -1.0)
    return stage.outside_x(0.5 + direction * 0.3), state.y


def _target_left_open(move: Move, state: ActorState, stage: Stage, assumptions: list[str]) -> tuple[float, float]:
    if not state.heading and not move.depth and not move.back:
        assumptions.append(f"the sentence does not say where to {move.verb!r} goes; to the right was taken")
    if move.depth:
        return state.x, state.y
    direction = state.heading or 1.0
    x = state.x + direction * stage.config.default_distance * move.amount
    return float(np.clip(x, 0.18, 0.82)), state.y


def _circle(move: Move, time: np.ndarray, state: ActorState, stage: Stage) -> tuple[np.ndarray, np.ndarray]:
    phase = 2 * np.pi * ((move.count or 1) * (1 if move.clockwise else -1)) * time
    radius = stage.config.circle_radius
    return (
        state.x + stage.height_to_width_share(radius) * np.sin(phase),
        state.y + radius * (1 - np.cos(phase)),
    )


def _returns_to_path_start(move: Move, state: ActorState) -> bool:
    """Whether "back" means to where an earlier path began, and not there and back within one move."""
    return move.kind == "return" or (move.end == (None, None) and state.path_start != (state.x, state.y))
