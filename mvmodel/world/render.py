"""Rendering: scene + objects + motions -> frames with exact masks, a caption and a motion label."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from mvmodel.masks.geometry import rotation_matrix
from mvmodel.text import with_article
from mvmodel.world.motions import MOTIONS, VERBS, SpritePoses, sample_poses
from mvmodel.world.scenes import BACKGROUNDS, paint_background
from mvmodel.world.sprites import CELL, OBJECTS, atlas

TRAIN, HELD_OUT = 1, 2
"""First word of a render's seed. Nothing is ever trained on `HELD_OUT`; quality is measured on nothing else."""


@dataclass(frozen=True)
class AnimatedSprite:
    """One object of a clip: its word, its motion, its size as a share of the frame's side, and its poses."""

    name: str
    motion: str
    size: float
    poses: SpritePoses


@dataclass(frozen=True)
class RenderedClip:
    """A rendered clip and everything that is known about it.

    frames: uint8 RGB (frames, height, width, 3). instances: bool (objects, frames, height, width), the visible part of
    each object. masks: bool (frames, height, width), their union.
    """

    frames: np.ndarray
    instances: np.ndarray
    caption: str
    objects: tuple[str, ...]
    motions: tuple[str, ...]
    background: str
    seed: tuple[int, ...] = field(default=())

    @property
    def masks(self) -> np.ndarray:
        union: np.ndarray = np.logical_or.reduce(self.instances, axis=0)
        return union

    @property
    def motion(self) -> str:
        return self.motions[0]


def compose_caption(objects: tuple[str, ...], background: str, motion: str | None = None) -> str:
    """The caption of a scene: "a horse gallops over a meadow", or "a horse over a meadow" without a motion."""
    subject = " and ".join(with_article(name) for name in objects)
    verb = f" {VERBS[motion]}" if motion else ""
    return f"{subject}{verb} {BACKGROUNDS[background]}"


def _paste(frame: np.ndarray, sprite: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Blend `sprite` into `frame` (float32, in place) under the 2x3 `matrix`; returns its alpha, (height, width)."""
    import cv2

    size = frame.shape[0]
    corners = matrix[:, :2] @ np.array([[0, CELL, CELL, 0], [0, 0, CELL, CELL]], float) + matrix[:, 2:]
    x0, y0 = np.clip(np.floor(corners.min(axis=1)).astype(int) - 1, 0, size)
    x1, y1 = np.clip(np.ceil(corners.max(axis=1)).astype(int) + 2, 0, size)
    alpha = np.zeros(frame.shape[:2], np.float32)
    if x0 >= x1 or y0 >= y1:
        return alpha
    local = matrix.copy()
    local[:, 2] -= (x0, y0)
    patch = cv2.warpAffine(sprite, local, (int(x1 - x0), int(y1 - y0)), flags=cv2.INTER_LINEAR)
    cover = patch[..., 3:]
    region = frame[y0:y1, x0:x1]
    region *= 1 - cover
    region += patch[..., :3]
    alpha[y0:y1, x0:x1] = cover[..., 0]
    return alpha


def render(
    actors: list[AnimatedSprite], background: str, rng: np.random.Generator, side: int = 128, pan: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Render the frames of a clip and each object's visible mask.

    `pan` is how far the camera travels over the clip, in frame sides (negative: to the left). Returns frames, uint8
    (frames, side, side, 3), and instances, bool (objects, frames, side, side).
    """
    import cv2

    frames = len(actors[0].poses.x)
    slack = int(np.ceil(abs(pan) * side))
    canvas = paint_background(background, rng, side, side + slack)
    offsets = np.round(np.linspace(0, pan * side, frames) - min(0.0, pan * side)).astype(int)
    sprites = {name: atlas()[name] for name in {actor.name for actor in actors}}
    smaller = {name: cv2.GaussianBlur(sprite, (3, 3), 0.6) for name, sprite in sprites.items()}
    out = np.empty((frames, side, side, 3), np.uint8)
    instances = np.zeros((len(actors), frames, side, side), bool)
    for index in range(frames):
        frame = canvas[:, offsets[index] : offsets[index] + side].copy()
        for number, actor in enumerate(actors):
            pose = actor.poses
            scale = actor.size * side / CELL
            sx = scale * pose.scale_x[index] * -pose.facing  # sprites face left
            sy = scale * pose.scale_y[index]
            linear = rotation_matrix(pose.angle[index]) * (sx, sy)
            centre = np.array([pose.x[index] * side, pose.y[index] * side])
            matrix = np.column_stack([linear, centre - linear @ [CELL / 2, CELL / 2]])
            source = smaller if abs(sy) < 0.7 else sprites  # a little blur stands in for a mip level
            alpha = _paste(frame, source[actor.name], matrix)
            visible = alpha > 0.5
            instances[:number, index] &= ~visible
            instances[number, index] = visible
        out[index] = np.clip(frame * 255 + 0.5, 0, 255).astype(np.uint8)
    return out, instances


def random_clip(
    seed: tuple[int, ...],
    frames: int = 16,
    side: int = 128,
    motion: str | None = None,
    objects: tuple[str, ...] | None = None,
    background: str | None = None,
    facing: int | None = None,
    pan: float | None = None,
    second_object: float = 0.0,
) -> RenderedClip:
    """Draw and render a clip; what is not given is drawn from `seed` (a tuple of integers).

    `second_object` is the probability of a second object beside the first. `pan` None pans one clip in three.
    """
    rng = np.random.default_rng(seed)
    motion = motion or str(rng.choice(MOTIONS))
    if objects is None:
        count = 2 if rng.random() < second_object else 1
        objects = tuple(str(name) for name in rng.choice(list(OBJECTS), count, replace=False))
    background = background or str(rng.choice(list(BACKGROUNDS)))
    if pan is None:
        pan = float(rng.choice([0, 0, rng.uniform(-0.5, 0.5)]))
    actors, motions = [], []
    for number, name in enumerate(objects):
        own = motion if number == 0 else str(rng.choice(MOTIONS))
        placed = sample_poses(own, frames, rng, facing if number == 0 else None)
        if len(objects) > 1:
            placed = _to_one_side(placed, number)
        size = rng.uniform(0.46, 0.60) if len(objects) == 1 else rng.uniform(0.34, 0.42)
        actors.append(AnimatedSprite(name, own, float(size), placed))
        motions.append(own)
    out, instances = render(actors, background, rng, side, pan)
    return RenderedClip(
        frames=out,
        instances=instances,
        caption=compose_caption(objects, background, motion if len(objects) == 1 else None),
        objects=objects,
        motions=tuple(motions),
        background=background,
        seed=tuple(seed),
    )


def _to_one_side(pose: SpritePoses, number: int) -> SpritePoses:
    """Squeeze an object's path into the left (number 0) or right half of the frame."""
    x = 0.27 + (pose.x - 0.5) * 0.5 + 0.46 * number
    return SpritePoses(x, pose.y, pose.scale_x, pose.scale_y, pose.angle, pose.facing)


@dataclass(frozen=True)
class RenderedStill:
    """One rendered picture: image uint8 (side, side, 3), mask bool (side, side), caption and what is in it."""

    image: np.ndarray
    mask: np.ndarray
    caption: str
    objects: tuple[str, ...]
    background: str
    motion: str


def render_stills(
    split: int, start: int, count: int, side: int = 128, second_object: float = 0.1, standing: float = 0.0
) -> Iterator[RenderedStill]:
    """`count` pictures from the stream of `split` (`TRAIN` or `HELD_OUT`), beginning at position `start`.

    Each is one random frame of a random clip. Half of the captions name the motion. Of the pictures whose captions do
    not, the share `standing` shows its objects upright and as the sprites face, like most pictures of a thing at rest.
    """
    for position in range(start, start + count):
        rng = np.random.default_rng((split, position, 7))
        motion = str(rng.choice(MOTIONS))
        pair = rng.random() < second_object
        names = tuple(str(name) for name in rng.choice(list(OBJECTS), 2 if pair else 1, replace=False))
        background = str(rng.choice(list(BACKGROUNDS)))
        still_rng = np.random.default_rng((split, position, 8))  # its own, so that `standing` moves nothing else
        names_motion = still_rng.random() < 0.5 and not pair
        stands = not names_motion and still_rng.random() < standing
        actors = []
        for number, name in enumerate(names):
            own = motion if number == 0 else str(rng.choice(MOTIONS))
            path = sample_poses(own, 16, rng)
            moment = int(rng.integers(16))
            one = _at(path, moment)
            if stands:
                one = _upright(one, float(still_rng.normal(0, 3)))
            size = rng.uniform(0.34, 0.42) if pair else rng.uniform(0.46, 0.60)
            actors.append(AnimatedSprite(name, own, float(size), _to_one_side(one, number) if pair else one))
        frames, instances = render(actors, background, rng, side)
        named = motion if names_motion else None
        yield RenderedStill(
            frames[0],
            np.logical_or.reduce(instances, axis=0)[0],
            compose_caption(names, background, named),
            names,
            background,
            motion,
        )


def _upright(pose: SpritePoses, angle: float) -> SpritePoses:
    """The same place, but undistorted, turned by `angle` degrees only, and facing as the sprite does."""
    one = np.ones_like(pose.x)
    return SpritePoses(pose.x, pose.y, one, one, one * angle, facing=-1)


def _at(path: SpritePoses, moment: int) -> SpritePoses:
    """The pose at one moment, as a path of one frame."""
    span = slice(moment, moment + 1)
    return SpritePoses(
        path.x[span], path.y[span], path.scale_x[span], path.scale_y[span], path.angle[span], facing=path.facing
    )
