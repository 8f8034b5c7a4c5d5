"""Rendering: backgrounds, objects and motions become frames with exact masks, a caption and a motion label."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np

from mvmodel.masks.geometry import rotation_matrix
from mvmodel.text import with_article
from mvmodel.world.limbs import bend_sprite
from mvmodel.world.motions import MOTIONS, VERBS, SpritePoses, sample_poses
from mvmodel.world.scenes import BACKGROUNDS, paint_background
from mvmodel.world.sprites import CELL, OBJECTS, atlas

TRAIN, HELD_OUT = 1, 2
"""First number of a render's seed. Training uses `TRAIN` only, and measurements of quality use `HELD_OUT` only."""


@dataclass(frozen=True)
class AnimatedSprite:
    """One object of a clip: its object word, its motion, its size as a share of the frame's side, and its poses.

    gait: moment of the gait in every frame, in cycles, (frames,), for an object whose limbs move; None keeps the
    sprite rigid.
    """

    name: str
    motion: str
    size: float
    poses: SpritePoses
    gait: np.ndarray | None = None

    def draw(self, frame: int) -> np.ndarray:
        """The object's picture in a frame, premultiplied float32 RGBA, square."""
        return atlas()[self.name] if self.gait is None else bend_sprite(self.name, float(self.gait[frame]))


@dataclass(frozen=True)
class RenderedClip:
    """A rendered clip and its ground truth.

    frames: uint8 RGB (frames, height, width, 3). instances: bool (objects, frames, height, width), the visible part of
    each object. masks: bool (frames, height, width), their union. camera: how far it
    travels, in frame widths to the right and frame heights down.
    """

    frames: np.ndarray
    instances: np.ndarray
    caption: str
    objects: tuple[str, ...]
    motions: tuple[str, ...]
    background: str
    seed: tuple[int, ...] = field(default=())
    camera: tuple[float, float] = (0.0, 0.0)

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
    size, side = frame.shape[0], sprite.shape[0]
    corners = matrix[:, :2] @ np.array([[0, side, side, 0], [0, 0, side, side]], float) + matrix[:, 2:]
    x0, y0 = np.clip(np.floor(corners.min(axis=1)).astype(int) - 1, 0, size)
    x1, y1 = np.clip(np.ceil(corners.max(axis=1)).astype(int) + 2, 0, size)
    alpha = np.zeros(frame.shape[:2], np.float32)
    if x0 >= x1 or y0 >= y1:
        return alpha
    local = matrix.copy()
    local[:, 2] -= (x0, y0)
    patch = cv2.warpAffine(sprite, local, (int(x1 - x0), int(y1 - y0)), flags=cv2.INTER_LINEAR)
    coverage = patch[..., 3:]
    region = frame[y0:y1, x0:x1]
    region *= 1 - coverage
    region += patch[..., :3]
    alpha[y0:y1, x0:x1] = coverage[..., 0]
    return alpha


def render(
    objects: list[AnimatedSprite], background: str, rng: np.random.Generator, side: int = 128, pan: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Render the frames of a clip and each object's visible mask.

    pan: how far the camera travels over the clip, in frame sides, negative to the left. Returns frames, uint8 (frames,
    side, side, 3), and instances, bool (objects, frames, side, side).
    """
    frames = len(objects[0].poses.x)
    slack = int(np.ceil(abs(pan) * side))
    canvas = paint_background(background, rng, side, side + slack)
    offsets = np.round(np.linspace(0, pan * side, frames) - min(0.0, pan * side)).astype(int)
    out = np.empty((frames, side, side, 3), np.uint8)
    instances = np.zeros((len(objects), frames, side, side), bool)
    for index in range(frames):
        frame = canvas[:, offsets[index] : offsets[index] + side].copy()
        for number, item in enumerate(objects):
            pose = item.poses
            scale = item.size * side / CELL
            sx = scale * pose.scale_x[index] * -pose.facing  # sprites face left
            sy = scale * pose.scale_y[index]
            linear = rotation_matrix(pose.angle[index]) * (sx, sy)
            centre = np.array([pose.x[index] * side, pose.y[index] * side])
            sprite = item.draw(index)
            middle = sprite.shape[0] / 2
            matrix = np.column_stack([linear, centre - linear @ [middle, middle]])
            if abs(sy) < 0.7:  # a little blur stands in for a mip level
                sprite = cv2.GaussianBlur(sprite, (3, 3), 0.6)
            alpha = _paste(frame, sprite, matrix)
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
    motions: tuple[str, ...] = MOTIONS,
) -> RenderedClip:
    """Render a clip. Every argument that is None is drawn from `seed`, a tuple of integers.

    facing: 1 to the right, -1 to the left. pan: see `render`; None pans one clip in three. second_object: probability
    of a second object next to the first. motions: what motions are drawn from.
    """
    rng = np.random.default_rng(seed)
    motion = motion or str(rng.choice(motions))
    if objects is None:
        count = 2 if rng.random() < second_object else 1
        objects = tuple(str(name) for name in rng.choice(list(OBJECTS), count, replace=False))
    background = background or str(rng.choice(list(BACKGROUNDS)))
    if pan is None:
        pan = float(rng.choice([0, 0, rng.uniform(-0.5, 0.5)]))
    sprites, sprite_motions = [], []
    for number, name in enumerate(objects):
        sprite_motion = motion if number == 0 else str(rng.choice(motions))
        poses = sample_poses(sprite_motion, frames, rng, facing if number == 0 else None)
        if len(objects) > 1:
            poses = _to_one_side(poses, number)
        size = rng.uniform(0.46, 0.60) if len(objects) == 1 else rng.uniform(0.34, 0.42)
        sprites.append(AnimatedSprite(name, sprite_motion, float(size), poses))
        sprite_motions.append(sprite_motion)
    out, instances = render(sprites, background, rng, side, pan)
    return RenderedClip(
        frames=out,
        instances=instances,
        caption=compose_caption(objects, background, motion if len(objects) == 1 else None),
        objects=objects,
        motions=tuple(sprite_motions),
        background=background,
        seed=tuple(seed),
        camera=(pan, 0.0),
    )


def _to_one_side(pose: SpritePoses, number: int) -> SpritePoses:
    """Squeeze an object's path into the left (number 0) or right half of the frame."""
    x = 0.27 + (pose.x - 0.5) * 0.5 + 0.46 * number
    return SpritePoses(x, pose.y, pose.scale_x, pose.scale_y, pose.angle, pose.facing)


@dataclass(frozen=True)
class RenderedStill:
    """One rendered picture: image uint8 (side, side, 3), mask bool (side, side), caption and content."""

    image: np.ndarray
    mask: np.ndarray
    caption: str
    objects: tuple[str, ...]
    background: str
    motion: str


def render_stills(
    split: int, start: int, count: int, side: int = 128, second_object: float = 0.1, standing: float = 0.0
) -> Iterator[RenderedStill]:
    """Render `count` pictures of the endless sequence of `split` (`TRAIN` or `HELD_OUT`) from position `start` on.

    Each is one random frame of a random clip. Half of the captions name the motion. Of the pictures whose captions do
    not, the share `standing` shows its objects upright and facing left, like most pictures of objects at rest.
    """
    for position in range(start, start + count):
        rng = np.random.default_rng((split, position, 7))
        motion = str(rng.choice(MOTIONS))
        pair = rng.random() < second_object
        names = tuple(str(name) for name in rng.choice(list(OBJECTS), 2 if pair else 1, replace=False))
        background = str(rng.choice(list(BACKGROUNDS)))
        still_rng = np.random.default_rng(
            (split, position, 8)
        )  # a separate one, so that `standing` changes nothing else
        names_motion = still_rng.random() < 0.5 and not pair
        is_standing = not names_motion and still_rng.random() < standing
        sprites = []
        for number, name in enumerate(names):
            sprite_motion = motion if number == 0 else str(rng.choice(MOTIONS))
            pose = _pose_at(sample_poses(sprite_motion, 16, rng), int(rng.integers(16)))
            if is_standing:
                pose = _upright(pose, float(still_rng.normal(0, 3)))
            size = rng.uniform(0.34, 0.42) if pair else rng.uniform(0.46, 0.60)
            pose = _to_one_side(pose, number) if pair else pose
            sprites.append(AnimatedSprite(name, sprite_motion, float(size), pose))
        frames, instances = render(sprites, background, rng, side)
        yield RenderedStill(
            frames[0],
            np.logical_or.reduce(instances, axis=0)[0],
            compose_caption(names, background, motion if names_motion else None),
            names,
            background,
            motion,
        )


def _upright(pose: SpritePoses, angle: float) -> SpritePoses:
    """The same position, but undistorted, rotated by `angle` degrees only, and facing left like the sprite itself."""
    one = np.ones_like(pose.x)
    return SpritePoses(pose.x, pose.y, one, one, one * angle, facing=-1)


def _pose_at(poses: SpritePoses, frame: int) -> SpritePoses:
    """The pose in one frame, as poses of one frame."""
    span = slice(frame, frame + 1)
    return SpritePoses(
        poses.x[span], poses.y[span], poses.scale_x[span], poses.scale_y[span], poses.angle[span], facing=poses.facing
    )
