"""A mask sequence written down: a YAML file with shapes and how each moves.

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

Places are shares of the picture's width and height, lengths shares of its height.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mvmodel.authoring import physics
from mvmodel.authoring.paths import points_from_svg, progress, sample_path
from mvmodel.errors import InputError
from mvmodel.masks.combine import interpolate, resize
from mvmodel.masks.edit import pan as panned
from mvmodel.masks.geometry import crop_to_mask
from mvmodel.masks.poses import Poses, place_shape
from mvmodel.masks.sequence import MaskSequence

Point = tuple[float, float]
SpeedField = str | list[float]
_FINEST = 96


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Disc(_Part):
    """An ellipse; height None is as high as wide."""

    kind: Literal["disc"]
    width: float = Field(0.25, gt=0, le=2)
    height: float | None = Field(None, gt=0, le=2)


class Box(_Part):
    kind: Literal["box"]
    width: float = Field(0.25, gt=0, le=2)
    height: float | None = Field(None, gt=0, le=2)


class ShapeFile(_Part):
    """A mask picture: the object white, or the opaque part; brought to `height`."""

    kind: Literal["file"]
    file: str
    height: float = Field(0.3, gt=0, le=2)


Shape = Annotated[Disc | Box | ShapeFile, Field(discriminator="kind")]


class PathMotion(_Part):
    """Along points or an SVG path whose coordinates are shares of the picture; `turns` degrees over the way."""

    kind: Literal["path"]
    points: list[Point] | None = None
    svg: str | None = None
    speed: SpeedField = "linear"
    round_corners: bool = True
    turns: float = 0.0
    scale: tuple[float, float] = (1.0, 1.0)
    """Size at the beginning and at the end."""


class KeysMotion(_Part):
    """Key masks: frame number -> picture of the whole frame; shapes between them by signed distance."""

    kind: Literal["keys"]
    keys: dict[int, str]
    speed: str = "linear"


class BounceMotion(_Part):
    kind: Literal["bounce", "fall"]
    start: Point = (0.5, 0.2)
    velocity: Point = (0.0, 0.0)
    floor: float = 0.85
    gravity: float = Field(physics.GRAVITY, gt=0)
    restitution: float = Field(0.7, ge=0, le=1)


class RollMotion(_Part):
    kind: Literal["roll"]
    start: Point = (0.1, 0.8)
    velocity: float = 0.4
    friction: float = Field(0.0, ge=0)


class SwingMotion(_Part):
    kind: Literal["swing"]
    pivot: Point = (0.5, 0.05)
    length: float = Field(0.5, gt=0)
    degrees: float = Field(40.0, gt=-180, lt=180)
    gravity: float = Field(physics.GRAVITY, gt=0)
    damping: float = Field(0.0, ge=0)


class WordsMotion(_Part):
    """A sentence without its subject: "runs from left to right, jumps twice"."""

    kind: Literal["words"]
    text: str


Motion = Annotated[
    PathMotion | KeysMotion | BounceMotion | RollMotion | SwingMotion | WordsMotion, Field(discriminator="kind")
]


class SceneObject(_Part):
    name: str = ""
    shape: Shape = Disc(kind="disc")
    motion: Motion


class Scene(_Part):
    """A mask sequence written down. size: [height, width]. pan: the camera's way over it, shares of both sides."""

    frames: int = Field(16, ge=1, le=10_000)
    fps: float = Field(8.0, gt=0)
    size: tuple[int, int] = (128, 128)
    pan: Point = (0.0, 0.0)
    objects: list[SceneObject] = Field(min_length=1)


def read_scene(path: Path) -> Scene:
    """Read a scene's YAML. Raises InputError naming the file and the place in it."""
    import yaml

    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
        return Scene(**content) if isinstance(content, dict) else Scene(objects=[])
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path} cannot be read as YAML ({' '.join(str(error).split())})") from error
    except (ValidationError, TypeError) as error:
        raise InputError(f"{path}: {_first(error)}") from error


def _first(error: ValidationError | TypeError) -> str:
    if isinstance(error, TypeError):
        return str(error)
    entry = error.errors()[0]
    return f"{'.'.join(map(str, entry['loc']))}: {entry['msg']}"


def scene_to_masks(scene: Scene, folder: Path = Path()) -> tuple[MaskSequence, list[str]]:
    """Make a scene's masks, one instance an object, and sentences about what its words leave open.

    folder: what the scene's file names are relative to. Raises InputError for a file or a motion that cannot be used.
    """
    assumptions: list[str] = []
    made = [_object(entry, scene, Path(folder), assumptions) for entry in scene.objects]
    names = [entry.name for entry in scene.objects]
    if len(made) == 1 and not names[0]:
        sequence = MaskSequence(made[0], scene.fps)
    else:
        sequence = MaskSequence.from_instances(np.stack(made), scene.fps, names)
    if scene.pan != (0.0, 0.0):
        sequence = panned(sequence, scene.pan[0] * scene.size[1], scene.pan[1] * scene.size[0])
    return sequence, assumptions


def _object(entry: SceneObject, scene: Scene, folder: Path, assumptions: list[str]) -> np.ndarray:
    if isinstance(entry.motion, KeysMotion):
        return _keys(entry.motion, scene, folder)
    shape = shape_mask(entry.shape, scene.size[0], folder)
    poses = _poses(entry.motion, scene, shape, assumptions)
    return place_shape(shape, poses, scene.size)


def shape_mask(shape: Any, picture_height: int, folder: Path = Path()) -> np.ndarray:
    """A shape as a mask in a picture of its own, bool (h, w), in pixels of a picture so high."""
    if isinstance(shape, ShapeFile):
        return _from_file(shape, picture_height, folder)
    width = shape.width * picture_height
    height = (shape.height or shape.width) * picture_height
    rows, columns = np.mgrid[: int(np.ceil(height)) + 2, : int(np.ceil(width)) + 2].astype(float)
    y, x = (rows - rows.max() / 2) / (height / 2), (columns - columns.max() / 2) / (width / 2)
    mask = x**2 + y**2 <= 1 if isinstance(shape, Disc) else np.maximum(np.abs(x), np.abs(y)) <= 1
    return np.asarray(mask)


def _from_file(shape: ShapeFile, picture_height: int, folder: Path) -> np.ndarray:
    from mvmodel.masks.files import read_mask

    mask = read_mask(folder / shape.file)
    cut = crop_to_mask(mask)
    height = max(2, round(shape.height * picture_height))
    width = max(2, round(cut.shape[1] * height / cut.shape[0]))
    return resize(MaskSequence(cut[None]), height, width).masks[0]


def _keys(motion: KeysMotion, scene: Scene, folder: Path) -> np.ndarray:
    from mvmodel.masks.files import read_mask

    keys = {}
    for frame, name in motion.keys.items():
        mask = read_mask(folder / name)
        keys[frame] = resize(MaskSequence(mask[None]), *scene.size).masks[0]
    eased = lambda share: progress(_FINEST, motion.speed)[np.round(share * (_FINEST - 1)).astype(int)]  # noqa: E731
    return interpolate(keys, scene.frames, scene.fps, eased).masks


def _poses(motion: Any, scene: Scene, shape: np.ndarray, assumptions: list[str]) -> Poses:
    height, width = scene.size
    frames, fps = scene.frames, scene.fps
    if isinstance(motion, WordsMotion):
        from mvmodel.authoring.choreography import choreograph
        from mvmodel.authoring.grammar import parse_sentence

        story = parse_sentence(f"a thing {motion.text}")
        cast, more = choreograph(story, frames, fps, scene.size)
        assumptions += [*story.assumptions, *more]
        return cast[0][1]
    if isinstance(motion, PathMotion):
        if (motion.points is None) == (motion.svg is None):
            raise InputError("a path needs either points or an SVG path")
        points = np.array(motion.points, float) if motion.points is not None else points_from_svg(str(motion.svg))
        way = sample_path(points, frames, motion.speed, motion.round_corners and motion.svg is None)
        done = progress(frames, motion.speed)
        size = motion.scale[0] + (motion.scale[1] - motion.scale[0]) * done
        return Poses.of(way[:, 0] * width, way[:, 1] * height, size, size, motion.turns * done)
    # Physics counts in picture heights, so that it looks alike in wide pictures.
    aspect = width / height
    angle: Any = 0.0
    if isinstance(motion, BounceMotion):
        start = (motion.start[0] * aspect, motion.start[1])
        spring = 0.0 if motion.kind == "fall" else motion.restitution
        velocity = (motion.velocity[0], motion.velocity[1])
        x, y = physics.simulate_bounce(frames, fps, start, velocity, motion.floor, motion.gravity, spring)
    elif isinstance(motion, RollMotion):
        radius = float(np.sqrt(shape.sum() / np.pi)) / height
        start = (motion.start[0] * aspect, motion.start[1])
        x, y, angle = physics.simulate_roll(frames, fps, start, motion.velocity, radius, motion.friction)
    else:
        pivot = (motion.pivot[0] * aspect, motion.pivot[1])
        x, y, angle = physics.simulate_pendulum(
            frames, fps, pivot, motion.length, motion.degrees, motion.gravity, motion.damping
        )
    return Poses.of(x * height, y * height, 1.0, 1.0, angle)
