"""What an actor does on its path: jumps, turns, swings, grows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mvmodel.authoring import lexicon
from mvmodel.authoring.move_paths import Stage
from mvmodel.authoring.moves import Move


@dataclass
class Curves:
    """An actor's poses over the frames of one group of moves, float (frames,) each; overlays change them.

    time: share of the group's duration that has passed, 0 to 1. seconds: that duration. x, y: shares of the picture.
    """

    time: np.ndarray
    seconds: float
    x: np.ndarray
    y: np.ndarray
    scale_x: np.ndarray
    scale_y: np.ndarray
    angle: np.ndarray

    def scale_by(self, x: np.ndarray, y: np.ndarray) -> None:
        self.scale_x, self.scale_y = self.scale_x * x, self.scale_y * y


def apply_overlay(curves: Curves, move: Move, is_main: bool, stage: Stage, assumptions: list[str]) -> None:
    """Add to `curves` what a move does on the path.

    is_main: whether it is the move whose path the actor follows. What the sentence leaves open is appended to
    `assumptions`.
    """
    verb = lexicon.VERB_OF_FORM.get(move.verb, move.verb)
    if move.kind == "jump":
        _jump(curves, move, verb, stage, assumptions)
    elif move.kind == "spin":
        curves.angle = curves.angle - 360 * (move.count or 1) * (1 if move.clockwise else -1) * curves.time
    elif move.kind in ("grow", "shrink") or move.depth:
        grows = move.kind == "grow" or move.depth > 0
        factor = (stage.config.growth if grows else 1 / stage.config.growth) ** curves.time
        curves.scale_by(factor, factor)
    elif move.kind == "sway":
        swing = np.sin(2 * np.pi * (move.count or 2) * curves.time)
        curves.x = curves.x + stage.height_to_width_share(stage.config.sway_width) * swing
        curves.angle = curves.angle - 18 * swing
    elif move.kind == "shake":
        curves.x = curves.x + 0.02 * np.sin(2 * np.pi * 3.1 * curves.seconds * curves.time)
    elif move.kind == "flap":
        count = move.count or max(1, round(2 * curves.seconds))
        curves.scale_y = curves.scale_y * (1 + 0.24 * np.sin(2 * np.pi * count * curves.time))
    if verb in lexicon.STEPS_PER_SECOND and is_main:
        phase = np.pi * lexicon.STEPS_PER_SECOND[verb] * curves.seconds * curves.time
        curves.y = curves.y - 0.012 * np.abs(np.sin(phase))
    if verb in lexicon.ROLLING_VERBS:
        distance = (curves.x - curves.x[0]) * stage.size[1] / stage.size[0]
        curves.angle = curves.angle - np.rad2deg(distance / (stage.config.actor_size / 2))


def _jump(curves: Curves, move: Move, verb: str, stage: Stage, assumptions: list[str]) -> None:
    count = move.count
    if count is None:
        count = 3.0 if verb in ("bounce", "hop", "skip") else 1.0
        if count > 1:
            assumptions.append(f"the sentence does not say how often it {move.verb}; three times was taken")
    height = np.abs(np.sin(np.pi * count * curves.time))
    headroom = float(np.min(curves.y)) - stage.config.actor_size / 2 - 0.02
    curves.y = curves.y - min(stage.config.jump_height * move.amount, max(headroom, 0.08)) * height
    if verb == "bounce":
        squash = 0.2 * np.clip(1 - 3 * height, 0, 1)
        curves.scale_by(1 + squash, 1 - squash)
