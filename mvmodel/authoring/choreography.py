"""From what a sentence says to poses: where each actor is, how large and how turned, at every frame."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from pydantic import Field

from mvmodel.authoring import lexicon as words
from mvmodel.authoring.grammar import Actor, Story
from mvmodel.authoring.moves import Move
from mvmodel.authoring.paths import EASINGS
from mvmodel.authoring.positions import Position
from mvmodel.config import Config
from mvmodel.errors import InputError
from mvmodel.masks.poses import Poses

_GOING = frozenset({"travel", "fly", "enter", "leave", "return", "fall", "rise", "zigzag", "circle"})


class StageConfig(Config):
    """The numbers that a sentence leaves open. Lengths are shares of the picture's height, places of both sides."""

    size: float = Field(0.34, gt=0, lt=1)
    """Height or width, whichever is larger, of an actor."""
    ground: float = 0.62
    """Where the centre of a thing on the ground is."""
    air: float = 0.4
    reach: float = Field(0.5, gt=0)
    """Way of a motion whose end is not said."""
    jump: float = Field(0.24, gt=0)
    """Height of a jump."""
    swing: float = Field(0.13, gt=0)
    ring: float = Field(0.2, gt=0)
    """Radius of a circle."""
    grown: float = Field(1.7, gt=1)
    """How many times as large a thing gets that grows or comes nearer."""


@dataclass
class _State:
    """Where an actor is between two moves. x, y in shares; begun: its first place; leg: where the last way began."""

    x: float
    y: float
    scale: float = 1.0
    angle: float = 0.0
    heading: float = 0.0
    begun: tuple[float, float] = (0.0, 0.0)
    leg: tuple[float, float] = (0.0, 0.0)


def choreograph(
    story: Story, frames: int, fps: float, size: tuple[int, int], config: StageConfig = StageConfig()
) -> tuple[list[tuple[str, Poses]], list[str]]:
    """Poses of every actor, and what was taken where the story leaves something open.

    size: (height, width) of the picture in pixels. Returns [(noun, poses in pixels)], a noun of number n standing there
    n times, and sentences. Raises InputError for fewer than 2 frames.
    """
    if frames < 2:
        raise InputError(f"a motion needs at least 2 frames, not {frames}")
    assumptions: list[str] = []
    cast = [(actor, copy) for actor in story.actors for copy in range(actor.number)]
    made = []
    for number, (actor, _) in enumerate(cast):
        poses = _Performance(actor, frames, fps, size, config, assumptions).poses()
        # Several actors go beside each other, as far apart as the picture allows.
        lane = (number - (len(cast) - 1) / 2) * min(0.3, 0.7 / max(len(cast), 1))
        small = 1.0 if len(cast) == 1 else max(0.4, 1.0 - 0.2 * (len(cast) - 1))
        y = poses.y + lane * size[0]
        made.append((actor.noun, replace(poses, y=y, scale_x=poses.scale_x * small, scale_y=poses.scale_y * small)))
    return made, list(dict.fromkeys(assumptions))


class _Performance:
    """One actor's poses, put together move by move."""

    def __init__(
        self, actor: Actor, frames: int, fps: float, size: tuple[int, int], config: StageConfig, assumptions: list[str]
    ) -> None:
        self.actor, self.frames, self.fps, self.size, self.config, self.assumptions = (
            actor,
            frames,
            fps,
            size,
            config,
            assumptions,
        )
        self.x, self.y = np.zeros(frames), np.zeros(frames)
        self.scale_x, self.scale_y, self.angle = np.ones(frames), np.ones(frames), np.zeros(frames)

    def poses(self) -> Poses:
        groups: list[list[Move]] = []
        for move in self.actor.moves:
            if move.then or not groups:
                groups.append([move])
            else:
                groups[-1].append(move)
        state = self._begin(groups[0])
        weights = [self._weight(group) for group in groups]
        edges = np.concatenate([[0], np.cumsum(weights)]) / max(sum(weights), 1.0)
        marks = np.round(edges * (self.frames - 1)).astype(int)
        for group, first, last in zip(groups, marks, marks[1:], strict=False):
            self._play(group, int(first), max(int(last), int(first) + 1), state)
        end = min(int(marks[-1]), self.frames - 1)
        for values in (self.x, self.y, self.scale_x, self.scale_y, self.angle):
            values[end + 1 :] = values[end]
        height, width = self.size
        return Poses(self.x * width, self.y * height, self.scale_x, self.scale_y, self.angle)

    def _begin(self, group: list[Move]) -> _State:
        """The first place: as said, else opposite of where the first way ends, else the middle."""
        main = _main(group)
        low = {"fall": 0.2, "rise": 0.78, "fly": self.config.air}.get(main.kind, self.config.ground)
        end_x, end_y = main.end
        x = 0.5
        if (end_x is not None and main.kind in _GOING - {"circle", "fall", "rise"}) or (end_x and main.kind == "jump"):
            x = 0.24 if end_x > 0.5 else 0.76
            if end_x == 0.5:
                x = 0.18
                if main.start[0] is None and not main.come_in:
                    self.assumptions.append("the sentence does not say from which side it comes; the left was taken")
        elif main.kind in ("travel", "fly", "zigzag") and end_x is None and end_y is None:
            x = 0.24
        elif end_x is not None and main.kind == "stay":
            x = end_x
        if end_y is not None and main.kind in ("travel", "fly"):
            low = 0.75 if end_y < 0.5 else 0.25
        start = main.start
        state = _State(x if start[0] is None else start[0], low if start[1] is None else start[1])
        if main.kind == "stay" and end_y is not None:
            state.y = end_y
        if main.come_in:
            side = start[0] if start[0] is not None else (1 - end_x if end_x not in (None, 0.5) else 0.18)
            if start == (None, None) and end_x in (None, 0.5):
                self.assumptions.append("the sentence does not say from which side it comes in; the left was taken")
            state.x = self._beyond(side)
        if main.kind == "circle":
            state.y = 0.5 - self.config.ring
        state.begun = state.leg = (state.x, state.y)
        return state

    def _beyond(self, side: float) -> float:
        """The x at which an actor is just outside, on the side of a place."""
        outside = self.config.size * self.size[0] / self.size[1] * 0.6
        return 1 + outside if side > 0.5 else -outside

    def _weight(self, group: list[Move]) -> float:
        """Share of the clip that a group of moves would like; together more than 1 is shared out."""
        main = _main(group)
        weight = {"stay": 0.3, "jump": 0.3 * max(1.0, main.count or 1)}.get(main.kind, 1.0)
        if main.kind in ("jump", "sway", "spin") and len(self.actor.moves) == len(group):
            weight = 1.0
        return float(weight / max(move.speed for move in group))

    def _play(self, group: list[Move], first: int, last: int, state: _State) -> None:
        last = min(last, self.frames - 1)
        if first > last:
            return
        span = slice(first, last + 1)
        t = np.linspace(0, 1, last - first + 1)
        main = _main(group)
        x, y = self._way(main, t, state)
        scale_x, scale_y, angle = (
            np.full_like(t, state.scale),
            np.full_like(t, state.scale),
            np.full_like(t, state.angle),
        )
        seconds = (last - first) / self.fps
        for move in group:
            x, y, scale_x, scale_y, angle = self._overlay(move, main, t, seconds, x, y, scale_x, scale_y, angle)
        self.x[span], self.y[span], self.scale_x[span], self.scale_y[span], self.angle[span] = (
            x,
            y,
            scale_x,
            scale_y,
            angle,
        )
        if abs(x[-1] - x[0]) > 0.02 or abs(y[-1] - y[0]) > 0.02:
            state.leg = (float(x[0]), float(y[0]))
        state.heading = float(np.sign(x[-1] - x[0])) or state.heading
        state.x, state.y, state.angle = float(x[-1]), float(y[-1]), float(angle[-1])
        state.scale = float(np.sqrt(scale_x[-1] * scale_y[-1]))

    def _way(self, move: Move, t: np.ndarray, state: _State) -> tuple[np.ndarray, np.ndarray]:
        """Where the way of a move goes, without what happens on it."""
        if move.kind == "circle":
            turns = (move.count or 1) * (1 if move.clockwise else -1)
            phase = 2 * np.pi * turns * t
            ring, across = self.config.ring, self.config.ring * self.size[0] / self.size[1]
            return state.x + across * np.sin(phase), state.y + ring * (1 - np.cos(phase))
        if move.kind not in _GOING and (move.kind != "jump" or move.end[0] is None):
            return np.full_like(t, state.x), np.full_like(t, state.y)
        target = self._target(move, state)
        ease = move.ease or {"fall": "ease-in"}.get(move.kind, "linear")
        done = EASINGS[ease](t)
        if move.back and move.kind != "return" and not self._returns(move, state):
            cycles = move.count or 1
            done = 1 - np.abs(1 - 2 * ((cycles * t) % 1.0))
            done[-1] = 0.0
        x, y = state.x + (target[0] - state.x) * done, state.y + (target[1] - state.y) * done
        if move.kind == "zigzag":
            legs = (move.count or 3) * t
            y = y + 0.13 * (np.abs((2 * legs + 0.5) % 2 - 1) * 2 - 1)
        return x, y

    def _returns(self, move: Move, state: _State) -> bool:
        """Whether "back" means to where an earlier way began, and not there and back in one move."""
        return move.kind == "return" or (move.end == (None, None) and state.leg != (state.x, state.y))

    def _target(self, move: Move, state: _State) -> tuple[float, float]:
        if move.back and self._returns(move, state):
            return state.leg
        x, y = move.end
        if move.out:
            if y is not None and x is None:
                return state.x, (1.3 if y > 0.5 else -0.3)
            side = x if x is not None else 0.5 + (state.heading or (1.0 if state.x >= 0.5 else -1.0)) * 0.3
            if x is None and not state.heading:
                self.assumptions.append("the sentence does not say on which side it leaves; the nearer one was taken")
            return self._beyond(side), state.y if y is None else y
        if move.kind in ("fall", "rise"):
            y = (0.8 if move.kind == "fall" else 0.2) if y is None else y
            return state.x if x is None else x, y
        if move.kind == "enter" and x is None:
            x = 0.5 if y is None else None
        if x is None and y is None:
            side = state.heading or 1.0
            if not state.heading and not move.depth and not move.back:
                self.assumptions.append(
                    f"the sentence does not say where to {move.verb!r} goes; to the right was taken"
                )
            if move.depth:
                return state.x, state.y
            return float(np.clip(state.x + side * self.config.reach * move.amount, 0.18, 0.82)), state.y
        if move.kind == "jump":
            y = None
        if x == 0.5 and "middle" not in move.verb and y is None:
            return 0.5, state.y
        return state.x if x is None else x, state.y if y is None else y

    def _overlay(
        self, move: Move, main: Move, t: np.ndarray, seconds: float, x: np.ndarray, y: np.ndarray,
        scale_x: np.ndarray, scale_y: np.ndarray, angle: np.ndarray,
    ) -> tuple[np.ndarray, ...]:  # fmt: skip
        """What a move does on the way: height, turn and size."""
        verb = words.FORMS.get(move.verb, move.verb)
        if move.kind == "jump":
            count = move.count
            if count is None:
                count = 3.0 if verb in ("bounce", "hop", "skip") else 1.0
                if count > 1:
                    self.assumptions.append(
                        f"the sentence does not say how often it {move.verb}; three times was taken"
                    )
            height = np.abs(np.sin(np.pi * count * t))
            room = float(np.min(y)) - self.config.size / 2 - 0.02
            y = y - min(self.config.jump * move.amount, max(room, 0.08)) * height
            if verb == "bounce":
                squash = 0.2 * np.clip(1 - 3 * height, 0, 1)
                scale_x, scale_y = scale_x * (1 + squash), scale_y * (1 - squash)
        elif move.kind == "spin":
            angle = angle - 360 * (move.count or 1) * (1 if move.clockwise else -1) * t
        elif move.kind in ("grow", "shrink") or move.depth:
            larger = move.kind == "grow" or move.depth > 0
            factor = self.config.grown if larger else 1 / self.config.grown
            scale_x, scale_y = scale_x * factor**t, scale_y * factor**t
        elif move.kind == "sway":
            swing = np.sin(2 * np.pi * (move.count or 2) * t)
            x = x + self.config.swing * self.size[0] / self.size[1] * swing
            angle = angle - 18 * swing
        elif move.kind == "shake":
            x = x + 0.02 * np.sin(2 * np.pi * 3.1 * seconds * t)
        elif move.kind == "flap":
            scale_y = scale_y * (1 + 0.24 * np.sin(2 * np.pi * (move.count or max(1, round(2 * seconds))) * t))
        if verb in words.BOBBING and move is main:
            y = y - 0.012 * np.abs(np.sin(np.pi * words.BOBBING[verb] * seconds * t))
        if verb in words.WHEELED:
            way = (x - x[0]) * self.size[1] / self.size[0]
            angle = angle - np.rad2deg(way / (self.config.size / 2))
        return x, y, scale_x, scale_y, angle


def _main(group: list[Move]) -> Move:
    """The move that goes somewhere, else the first one."""
    going = [move for move in group if move.kind in _GOING]
    return (going or group)[0]


def place_words(place: Position) -> str:
    """ "top left", "middle": words for a place in shares."""
    column = "" if place[0] is None else "left" if place[0] < 0.4 else "right" if place[0] > 0.6 else ""
    row = "" if place[1] is None else "top" if place[1] < 0.32 else "bottom" if place[1] > 0.7 else ""
    return " ".join(part for part in (row, column) if part) or "middle"
