"""From a story to poses: where each actor is, how large and at which angle, in every frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mvmodel.authoring.config import StageConfig
from mvmodel.authoring.grammar import Actor, Story
from mvmodel.authoring.move_paths import TRAVELLING_KINDS, ActorState, Stage, compute_path
from mvmodel.authoring.moves import Move
from mvmodel.authoring.overlays import Curves, apply_overlay
from mvmodel.errors import InputError
from mvmodel.masks.poses import Poses

_FACE_TO_FACE = ("each-other", "from-each-other")
"""Relations in which two actors are at the same height."""


def choreograph(
    story: Story, frames: int, fps: float, size: tuple[int, int], config: StageConfig = StageConfig()
) -> tuple[list[tuple[str, Poses]], list[str]]:
    """Compute every actor's poses.

    size: (height, width) of the picture in pixels. Returns (noun, poses in pixels) of every actor, a noun of number n
    appearing n times, and the assumptions where the story leaves something open. Raises InputError for fewer than 2
    frames.
    """
    if frames < 2:
        raise InputError(f"a motion needs at least 2 frames, not {frames}")
    assumptions: list[str] = []
    actors = [actor for actor in story.actors for _ in range(actor.number)]
    count = len(actors)
    # Several actors move in lanes, as far from each other as the picture allows, and are smaller.
    lane_height = min(0.3, 0.7 / max(count, 1))
    scale = 1.0 if count == 1 else max(0.4, 1.0 - 0.2 * (count - 1))
    cast = []
    is_face_to_face = count == 2 and all(_main_relation(actor) in _FACE_TO_FACE for actor in actors)
    stage = Stage(config, size)
    for number, actor in enumerate(actors):
        moves = tuple(_place_relation(move, number < count / 2, scale, stage) for move in actor.moves)
        poses = _Animation(replace(actor, moves=moves), frames, fps, stage, assumptions).poses()
        lane = 0.0 if is_face_to_face else number - (count - 1) / 2
        y = poses.y + lane * lane_height * size[0]
        cast.append((actor.noun, replace(poses, y=y, scale_x=poses.scale_x * scale, scale_y=poses.scale_y * scale)))
    return cast, list(dict.fromkeys(assumptions))


def _main_relation(actor: Actor) -> str:
    return actor.moves[0].relation if actor.moves else ""


def _place_relation(move: Move, is_left: bool, scale: float, stage: Stage) -> Move:
    """A move towards, away from or past the other actors, with its start and end for one side of the picture."""
    if not move.relation:
        return move
    # Face to face, the actors almost touch.
    near = 0.5 - min(0.25, 0.55 * stage.height_to_width_share(stage.config.actor_size * scale))
    far = 0.14
    start, end = {"each-other": (far, near), "from-each-other": (near, far)}.get(move.relation, (far, 1 - far))
    if not is_left:
        start, end = 1 - start, 1 - end
    return replace(move, start=(start, move.start[1]), end=(end, move.end[1]), depth=0)


class _Animation:
    """One actor's poses, computed group by group of simultaneous moves."""

    def __init__(self, actor: Actor, frames: int, fps: float, stage: Stage, assumptions: list[str]) -> None:
        self.actor, self.frames, self.fps, self.stage, self.assumptions = actor, frames, fps, stage, assumptions
        self.x, self.y = np.zeros(frames), np.zeros(frames)
        self.scale_x, self.scale_y, self.angle = np.ones(frames), np.ones(frames), np.zeros(frames)

    def poses(self) -> Poses:
        groups = _group_simultaneous_moves(self.actor.moves)
        state = _initial_state(_main_move(groups[0]), self.stage, self.assumptions)
        weights = [self._duration_weight(group) for group in groups]
        edges = np.concatenate([[0], np.cumsum(weights)]) / max(sum(weights), 1.0)
        marks = np.round(edges * (self.frames - 1)).astype(int)
        for group, first, last in zip(groups, marks, marks[1:], strict=False):
            self._animate(group, int(first), max(int(last), int(first) + 1), state)
        end = min(int(marks[-1]), self.frames - 1)
        for values in (self.x, self.y, self.scale_x, self.scale_y, self.angle):
            values[end + 1 :] = values[end]
        height, width = self.stage.size
        return Poses(self.x * width, self.y * height, self.scale_x, self.scale_y, self.angle)

    def _duration_weight(self, group: list[Move]) -> float:
        """Share of the clip that a group of moves takes. Shares that sum to more than 1 are scaled down."""
        main = _main_move(group)
        weight = {"stay": 0.3, "jump": 0.3 * max(1.0, main.count or 1)}.get(main.kind, 1.0)
        if main.kind in ("jump", "sway", "spin") and len(self.actor.moves) == len(group):
            weight = 1.0
        return float(weight / max(move.speed for move in group))

    def _animate(self, group: list[Move], first: int, last: int, state: ActorState) -> None:
        """Write the poses of frames `first` to `last`, and update the state to the last one."""
        last = min(last, self.frames - 1)
        if first > last:
            return
        time = np.linspace(0, 1, last - first + 1)
        main = _main_move(group)
        x, y = compute_path(main, time, state, self.stage, self.assumptions)
        scale = np.full_like(time, state.scale)
        curves = Curves(time, (last - first) / self.fps, x, y, scale, scale.copy(), np.full_like(time, state.angle))
        for move in group:
            apply_overlay(curves, move, move is main, self.stage, self.assumptions)
        span = slice(first, last + 1)
        self.x[span], self.y[span], self.angle[span] = curves.x, curves.y, curves.angle
        self.scale_x[span], self.scale_y[span] = curves.scale_x, curves.scale_y
        if abs(curves.x[-1] - curves.x[0]) > 0.02 or abs(curves.y[-1] - curves.y[0]) > 0.02:
            state.path_start = (float(curves.x[0]), float(curves.y[0]))
        state.heading = float(np.sign(curves.x[-1] - curves.x[0])) or state.heading
        state.x, state.y, state.angle = float(curves.x[-1]), float(curves.y[-1]), float(curves.angle[-1])
        state.scale = float(np.sqrt(curves.scale_x[-1] * curves.scale_y[-1]))


def _group_simultaneous_moves(moves: tuple[Move, ...]) -> list[list[Move]]:
    groups: list[list[Move]] = []
    for move in moves:
        if move.then or not groups:
            groups.append([move])
        else:
            groups[-1].append(move)
    return groups


def _main_move(group: list[Move]) -> Move:
    """The move whose path the actor follows: the first one that goes somewhere, else the first one."""
    return next((move for move in group if move.kind in TRAVELLING_KINDS), group[0])


def _initial_state(move: Move, stage: Stage, assumptions: list[str]) -> ActorState:
    """Where an actor begins: as the sentence says, else opposite of where its first path ends, else in the middle."""
    start_x, start_y = move.start
    x = _default_start_x(move, assumptions) if start_x is None else start_x
    y = _default_start_y(move, stage) if start_y is None else start_y
    end_x, end_y = move.end
    if move.kind == "stay" and end_y is not None:
        y = end_y
    if move.come_in and start_x is None and start_y is not None:
        x, y = 0.5 if end_x is None else end_x, -0.3 if start_y < 0.5 else 1.3
    elif move.come_in:
        side = start_x if start_x is not None else (1 - end_x if end_x not in (None, 0.5) else 0.18)
        if move.start == (None, None) and end_x in (None, 0.5):
            assumptions.append("the sentence does not say from which side it comes in; the left was taken")
        x = stage.outside_x(side)
    if move.kind == "circle":
        y = 0.5 - stage.config.circle_radius
    return ActorState(x, y, path_start=(x, y))


def _default_start_x(move: Move, assumptions: list[str]) -> float:
    end_x, end_y = move.end
    is_horizontal = move.kind in TRAVELLING_KINDS - {"circle", "fall", "rise"} or move.kind == "jump"
    if end_x is not None and is_horizontal:
        if end_x != 0.5:
            return 0.24 if end_x > 0.5 else 0.76
        if not move.come_in:
            assumptions.append("the sentence does not say from which side it comes; the left was taken")
        return 0.18
    if move.kind in ("travel", "fly", "zigzag") and end_x is None and end_y is None:
        return 0.24
    return end_x if end_x is not None and move.kind == "stay" else 0.5


def _default_start_y(move: Move, stage: Stage) -> float:
    end_y = move.end[1]
    if end_y is not None and move.kind in ("travel", "fly"):
        return 0.75 if end_y < 0.5 else 0.25
    heights = {"fall": 0.2, "rise": 0.78, "fly": stage.config.air_y}
    return heights.get(move.kind, stage.config.ground_y)
