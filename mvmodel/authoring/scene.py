"""Scenes: mask sequences described in a YAML file by shapes and how each of them moves.

    frames: 16
    size: [128, 128]
    pan: [0.2, 0]
    objects:
      - name: ball
        shape: {kind: disc, width: 0.2}
        motion: {kind: bounce, start: [0.2, 0.2], velocity: [0.35, 0], floor: 0.85}
      - name: kite
        shape: {kind: file, file: kite.png, height: 0.3}
        motion: {kind: path, points: [[0.2, 0.7], [0.5, 0.2], [0.8, 0.7]], speed: ease-in-out}

Positions are shares of the picture's width and height, lengths are shares of its height.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import yaml
from pydantic import Field, PositiveInt

from mvmodel.authoring import physics
from mvmodel.authoring.choreography import choreograph
from mvmodel.authoring.grammar import parse_sentence
from mvmodel.authoring.paths import points_from_svg, progress, sample_path
from mvmodel.config import Config, parse_config
from mvmodel.errors import InputError
from mvmodel.masks.combine import interpolate, resize
from mvmodel.masks.edit import pan
from mvmodel.masks.files import read_mask
from mvmodel.masks.geometry import crop_to_mask
from mvmodel.masks.limits import check_mask_size
from mvmodel.masks.poses import Poses, place_shape
from mvmodel.masks.sequence import MaskSequence
from mvmodel.text_files import read_text

Point = tuple[float, float]
SpeedField = str | list[float]
_EASING_SAMPLES = 96


class Disc(Config):
    """An ellipse. Without a height it is a circle."""

    kind: Literal["disc"]
    width: float = Field(0.25, gt=0, le=2)
    height: float | None = Field(None, gt=0, le=2)


class Box(Config):
    """A rectangle. Without a height it is a square."""

    kind: Literal["box"]
    width: float = Field(0.25, gt=0, le=2)
    height: float | None = Field(None, gt=0, le=2)


class ShapeFile(Config):
    """A picture whose white or opaque part is the shape; it is resized to `height`."""

    kind: Literal["file"]
    file: str
    height: float = Field(0.3, gt=0, le=2)


Shape = Annotated[Disc | Box | ShapeFile, Field(discriminator="kind")]


class PathMotion(Config):
    """A path along points, or along an SVG path, whose coordinates are shares of the picture."""

    kind: Literal["path"]
    points: list[Point] | None = None
    svg: str | None = None
    speed: SpeedField = "linear"
    round_corners: bool = True
    turns: float = 0.0
    """Degrees by which the shape rotates along the path, counter-clockwise."""
    scale: tuple[float, float] = (1.0, 1.0)
    """Factors on the shape's size at the beginning and at the end."""


class KeysMotion(Config):
    """Key masks: frame number -> picture of the whole frame. Shapes between them are interpolated."""

    kind: Literal["keys"]
    keys: dict[int, str]
    speed: str = "linear"


class BounceMotion(Config):
    """See `physics.simulate_bounce`; "fall" does not bounce."""

    kind: Literal["bounce", "fall"]
    start: Point = (0.5, 0.2)
    velocity: Point = (0.0, 0.0)
    floor: float = 0.85
    gravity: float = Field(physics.GRAVITY, gt=0)
    restitution: float = Field(0.7, ge=0, le=1)


class RollMotion(Config):
    """See `physics.simulate_roll`."""

    kind: Literal["roll"]
    start: Point = (0.1, 0.8)
    velocity: float = 0.4
    friction: float = Field(0.0, ge=0)


class SwingMotion(Config):
    """See `physics.simulate_pendulum`."""

    kind: Literal["swing"]
    pivot: Point = (0.5, 0.05)
    length: float = Field(0.5, gt=0)
    degrees: float = Field(40.0, gt=-180, lt=180)
    gravity: float = Field(physics.GRAVITY, gt=0)
    damping: float = Field(0.0, ge=0)


class WordsMotion(Config):
    """A sentence without its subject: "runs from left to right, jumps twice"."""

    kind: Literal["words"]
    text: str


Motion = Annotated[
    PathMotion | KeysMotion | BounceMotion | RollMotion | SwingMotion | WordsMotion, Field(discriminator="kind")
]


class SceneObject(Config):
    name: str = ""
    shape: Shape = Disc(kind="disc")
    motion: Motion


class Scene(Config):
    """A scene. size: [height, width] in pixels. pan: how far the camera travels, in shares of the width and height."""

    frames: int = Field(16, ge=1, le=10_000)
    fps: float = Field(8.0, gt=0)
    size: tuple[PositiveInt, PositiveInt] = (128, 128)
    pan: Point = (0.0, 0.0)
    objects: list[SceneObject] = Field(min_length=1)


def read_scene(path: Path) -> Scene:
    """Read a scene's YAML. Raises InputError naming the file and the setting."""
    try:
        content = yaml.safe_load(read_text(Path(path)))
    except yaml.YAMLError as error:
        raise InputError(f"{path} cannot be read as YAML ({' '.join(str(error).split())})") from error
    return parse_config(Scene, content if isinstance(content, dict) else {"objects": []}, str(path))


def scene_to_masks(scene: Scene, folder: Path = Path()) -> tuple[MaskSequence, list[str]]:
    """Create a scene's masks, one instance per object, and the assumptions that its sentences leave open.

    folder: what the scene's file names are relative to. Raises InputError for a file or a motion that cannot be used.
    """
    check_mask_size("the scene", len(scene.objects), scene.frames, *scene.size)
    assumptions: list[str] = []
    instances = [_object_masks(entry, scene, Path(folder), assumptions) for entry in scene.objects]
    names = [entry.name for entry in scene.objects]
    if len(instances) == 1 and not names[0]:
        sequence = MaskSequence(instances[0], scene.fps)
    else:
        sequence = MaskSequence.from_instances(np.stack(instances), scene.fps, names)
    if scene.pan != (0.0, 0.0):
        sequence = pan(sequence, scene.pan[0] * scene.size[1], scene.pan[1] * scene.size[0])
    return sequence, assumptions


def scene_files(scene: Scene, folder: Path = Path()) -> list[Path]:
    """The pictures that a scene's shapes and key masks are read from; `folder` is what their names are relative to."""
    names: list[str] = []
    for entry in scene.objects:
        names += [entry.shape.file] if isinstance(entry.shape, ShapeFile) else []
        names += entry.motion.keys.values() if isinstance(entry.motion, KeysMotion) else []
    return [folder / name for name in names]


def _object_masks(entry: SceneObject, scene: Scene, folder: Path, assumptions: list[str]) -> np.ndarray:
    """An object's masks, bool (frames, height, width)."""
    if isinstance(entry.motion, KeysMotion):
        return _interpolate_keys(entry.motion, scene, folder)
    shape = shape_mask(entry.shape, scene.size[0], folder)
    return place_shape(shape, _poses(entry.motion, scene, shape, assumptions), scene.size)


def shape_mask(shape: Disc | Box | ShapeFile, picture_height: int, folder: Path = Path()) -> np.ndarray:
    """A shape's mask on its own, bool (h, w), in pixels of a picture of the given height."""
    if isinstance(shape, ShapeFile):
        return _read_shape(shape, picture_height, folder)
    width = shape.width * picture_height
    height = (shape.height or shape.width) * picture_height
    rows, columns = np.ogrid[0.0 : int(np.ceil(height)) + 2, 0.0 : int(np.ceil(width)) + 2]
    y, x = (rows - rows.max() / 2) / (height / 2), (columns - columns.max() / 2) / (width / 2)
    mask = x**2 + y**2 <= 1 if isinstance(shape, Disc) else np.maximum(np.abs(x), np.abs(y)) <= 1
    return np.asarray(mask)


def _read_shape(shape: ShapeFile, picture_height: int, folder: Path) -> np.ndarray:
    box = crop_to_mask(read_mask(folder / shape.file))
    height = max(2, round(shape.height * picture_height))
    width = max(2, round(box.shape[1] * height / box.shape[0]))
    return resize(MaskSequence(box[None]), height, width).masks[0]


def _interpolate_keys(motion: KeysMotion, scene: Scene, folder: Path) -> np.ndarray:
    keys = {}
    for frame, name in motion.keys.items():
        mask = read_mask(folder / name)
        keys[frame] = resize(MaskSequence(mask[None]), *scene.size).masks[0]
    easing = progress(_EASING_SAMPLES, motion.speed)

    def ease(share: np.ndarray) -> np.ndarray:
        return easing[np.round(share * (_EASING_SAMPLES - 1)).astype(int)]

    return interpolate(keys, scene.frames, scene.fps, ease).masks


def _poses(motion: Any, scene: Scene, shape: np.ndarray, assumptions: list[str]) -> Poses:
    """The poses, in pixels, of any motion but key masks."""
    if isinstance(motion, WordsMotion):
        story = parse_sentence(f"a thing {motion.text}")
        cast, sentences = choreograph(story, scene.frames, scene.fps, scene.size)
        assumptions += [*story.assumptions, *sentences]
        return cast[0][1]
    if isinstance(motion, PathMotion):
        return _path_poses(motion, scene)
    return _physics_poses(motion, scene, shape)


def _path_poses(motion: PathMotion, scene: Scene) -> Poses:
    if (motion.points is None) == (motion.svg is None):
        raise InputError("a path needs either points or an SVG path")
    points = np.array(motion.points, float) if motion.points is not None else points_from_svg(str(motion.svg))
    path = sample_path(points, scene.frames, motion.speed, motion.round_corners and motion.svg is None)
    covered = progress(scene.frames, motion.speed)
    scale = motion.scale[0] + (motion.scale[1] - motion.scale[0]) * covered
    height, width = scene.size
    return Poses.broadcast(path[:, 0] * width, path[:, 1] * height, scale, scale, motion.turns * covered)


def _physics_poses(motion: BounceMotion | RollMotion | SwingMotion, scene: Scene, shape: np.ndarray) -> Poses:
    """Physics uses picture heights for both axes, so that motions look the same in wide pictures."""
    height, width = scene.size
    aspect = width / height
    angle: Any = 0.0
    if isinstance(motion, BounceMotion):
        start = (motion.start[0] * aspect, motion.start[1])
        restitution = 0.0 if motion.kind == "fall" else motion.restitution
        x, y = physics.simulate_bounce(
            scene.frames, scene.fps, start, motion.velocity, motion.floor, motion.gravity, restitution
        )
    elif isinstance(motion, RollMotion):
        radius = float(np.sqrt(shape.sum() / np.pi)) / height
        start = (motion.start[0] * aspect, motion.start[1])
        x, y, angle = physics.simulate_roll(scene.frames, scene.fps, start, motion.velocity, radius, motion.friction)
    else:
        pivot = (motion.pivot[0] * aspect, motion.pivot[1])
        x, y, angle = physics.simulate_pendulum(
            scene.frames, scene.fps, pivot, motion.length, motion.degrees, motion.gravity, motion.damping
        )
    return Poses.broadcast(x * height, y * height, 1.0, 1.0, angle)
