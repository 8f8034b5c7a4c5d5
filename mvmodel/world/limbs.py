"""Sprites with joints: legs that swing and wings that beat.

A limb is cut out of its sprite, turned about its joint and put back behind or before the body. Only clips that
measure quality show limbs; no model of the tiny pack was trained on them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np

from mvmodel.world.sprites import CELL, atlas

MARGIN = 24
"""Pixels added around a cell, so that a spread wing fits."""
_OVERLAP = 7
"""How far a leg continues inside the body, where the body hides it, so that no gap opens at the joint."""

_Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Limb:
    """A part of a sprite that turns about a joint. Coordinates are pixels of the sprite's cell.

    outline: polygon of the part. root: polygon of the part inside the body, which stays in the body as well. joint:
    the point that it turns about. swing: degrees to both sides of `mean_angle`, positive is counter-clockwise. phase:
    share of a cycle. in_front: it is drawn over the body instead of behind it. length: factor on its size. fill: a
    point of the sprite whose colour covers the body where the part was; None leaves a hole, as under a leg.
    """

    outline: _Points
    joint: tuple[float, float]
    swing: float
    phase: float
    mean_angle: float = 0.0
    root: _Points = ()
    in_front: bool = False
    length: float = 1.0
    fill: tuple[int, int] | None = None


def _leg(
    left_edge: float, right_edge: float, top: float, phase: float, swing: float = 24.0, bottom: float = CELL
) -> Limb:
    """A leg that hangs between two columns from the row `top` down."""
    outline = ((left_edge, top), (right_edge, top), (right_edge, bottom), (left_edge, bottom))
    root = ((left_edge, top - _OVERLAP), (right_edge, top - _OVERLAP), (right_edge, top), (left_edge, top))
    return Limb(outline, ((left_edge + right_edge) / 2, top - _OVERLAP / 2), swing, phase, root=root)


LIMBS: dict[str, tuple[Limb, ...]] = {
    "horse": (
        Limb(
            ((2, 52), (20, 53), (25, 63), (15, 66), (15, 78), (2, 78)),
            (22, 57),
            swing=22,
            phase=0.0,
            root=((20, 52), (30, 54), (30, 64), (24, 63)),
        ),
        Limb(
            ((18, 66), (30, 64), (43, 66), (38, 75), (38, 85), (18, 85)),
            (36, 63),
            swing=22,
            phase=0.15,
            root=((26, 56), (44, 58), (43, 67), (30, 66)),
        ),
        Limb(
            ((38, 70), (50, 63), (70, 63), (69, 76), (56, 90), (38, 90)),
            (61, 60),
            swing=20,
            phase=0.5,
            root=((50, 54), (72, 54), (70, 64), (50, 64)),
        ),
    ),
    "dog": (_leg(21, 37, 74, 0.0), _leg(40, 57, 74, 0.5), _leg(63, 79, 70, 0.0)),
    "cat": (
        _leg(29, 36.5, 74, 0.5),
        _leg(56, 64, 74, 0.0),
        _leg(36.5, 50, 76, 0.0),
        _leg(64, 76, 74, 0.5),
    ),
    "cow": (
        _leg(34, 46.5, 64, 0.5),
        _leg(59, 71, 70, 0.0),
        _leg(46.5, 59, 66, 0.0),
        _leg(71, 81, 66, 0.5),
    ),
    "pig": (_leg(13, 26, 72, 0.0), _leg(33, 47, 76, 0.5), _leg(69, 84, 68, 0.0)),
    "elephant": (
        _leg(39, 46.5, 68, 0.5, 20),
        _leg(46.5, 60, 67, 0.0, 20),
        _leg(25, 39, 68, 0.0, 20),
        _leg(60, 80, 68, 0.5, 20),
    ),
    "rooster": (
        Limb(
            ((13, 78), (26, 76), (37, 75), (37, 80), (31, 85), (29, 92), (13, 92)),
            (34, 74),
            swing=18,
            phase=0.0,
            root=((28, 70), (42, 70), (40, 78), (30, 78)),
        ),
        Limb(
            ((40, 75), (54, 75), (55, 96), (30, 96), (30, 88), (41, 84)),
            (46, 74),
            swing=18,
            phase=0.5,
            root=((38, 70), (54, 70), (53, 78), (40, 78)),
        ),
        Limb(
            ((28, 45), (34, 39), (44, 38), (62, 42), (60, 62), (50, 69), (36, 69), (28, 58)),
            (34, 50),
            swing=42,
            phase=0.0,
            mean_angle=38,
            in_front=True,
            length=1.15,
            fill=(20, 56),
        ),
    ),
    "duck": (
        Limb(
            ((24, 80), (38, 73.5), (46, 73.5), (45, 84), (42, 90), (24, 90)),
            (43, 72),
            swing=20,
            phase=0.0,
            root=((36, 68), (48, 68), (47, 75), (38, 75)),
        ),
        Limb(
            ((48, 73.5), (58, 73.5), (60, 96), (40, 96), (44, 87), (48, 82)),
            (53, 72),
            swing=20,
            phase=0.5,
            root=((47, 68), (60, 68), (58, 75), (48, 75)),
        ),
        Limb(
            ((33, 50), (36, 42), (44, 37), (66, 37), (76, 35), (76, 46), (70, 58), (56, 64), (42, 62)),
            (40, 48),
            swing=42,
            phase=0.0,
            mean_angle=34,
            in_front=True,
            length=1.15,
            fill=(28, 60),
        ),
    ),
    "owl": (
        Limb(
            ((13, 46), (24, 43), (25, 52), (26, 64), (24, 74), (13, 70)),
            (24, 47),
            swing=40,
            phase=0.0,
            mean_angle=-52,
            root=((24, 43), (34, 44), (34, 60), (26, 62)),
            length=1.5,
        ),
        Limb(
            ((83, 46), (72, 43), (71, 52), (70, 64), (72, 74), (83, 70)),
            (72, 47),
            swing=40,
            phase=0.5,
            mean_angle=52,
            root=((72, 43), (62, 44), (62, 60), (70, 62)),
            length=1.5,
        ),
    ),
    "penguin": (
        Limb(
            ((15, 40), (24, 38), (23, 56), (24, 78), (15, 78)),
            (23, 44),
            swing=28,
            phase=0.0,
            mean_angle=-34,
            root=((22, 34), (32, 34), (30, 56), (23, 56)),
            length=1.2,
        ),
        Limb(
            ((52, 36), (66, 34), (76, 60), (78, 84), (68, 84), (58, 66)),
            (60, 40),
            swing=28,
            phase=0.5,
            mean_angle=30,
            in_front=True,
            fill=(56, 60),
        ),
    ),
}
"""Object word -> its limbs, those behind first."""


@cache
def _parts(name: str) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """The body without its limbs, and every limb, each with margins, premultiplied float32 RGBA."""
    sprite = np.pad(atlas()[name], ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)))
    body, limbs, holes = sprite.copy(), [], np.zeros(sprite.shape[:2] + (1,), np.float32)
    for limb in LIMBS[name]:
        outline = _polygon(limb.outline)[..., None]
        limbs.append(sprite * np.maximum(outline, _polygon(limb.root)[..., None]))
        if limb.fill is None:
            holes += outline
        else:
            colour = sprite[limb.fill[1] + MARGIN, limb.fill[0] + MARGIN]
            body += outline * (colour * sprite[..., 3:] - body)
    # summed first: limbs that touch would leave a line of the sprite between them
    return body * (1 - np.minimum(holes, 1)), tuple(limbs)


def _polygon(points: _Points) -> np.ndarray:
    """Coverage of a polygon of the cell's coordinates, float32 (side, side) with margins, 0..1."""
    side = CELL + 2 * MARGIN
    canvas = np.zeros((side, side), np.uint8)
    if points:
        fixed = np.round((np.array(points, float) + MARGIN) * 16).astype(np.int32)
        cv2.fillPoly(canvas, [fixed], 255, lineType=cv2.LINE_AA, shift=4)
    return canvas.astype(np.float32) / 255


def bend_sprite(name: str, cycle: float) -> np.ndarray:
    """The sprite `name` with its limbs at a moment of the gait, `cycle`, of which 1 is a full one.

    Returns premultiplied float32 RGBA, (CELL + 2 * MARGIN, CELL + 2 * MARGIN, 4). Raises KeyError for an object that
    has no limbs.
    """
    body, parts = _parts(name)
    picture = np.zeros_like(body)
    limbs = list(zip(LIMBS[name], parts, strict=True))
    layers = [_turn(limb, part, cycle) for limb, part in limbs if not limb.in_front]
    layers.append(body)
    layers += [_turn(limb, part, cycle) for limb, part in limbs if limb.in_front]
    for layer in layers:
        picture = picture * (1 - layer[..., 3:]) + layer
    return picture


def _turn(limb: Limb, part: np.ndarray, cycle: float) -> np.ndarray:
    angle = limb.mean_angle + limb.swing * np.sin(2 * np.pi * (cycle + limb.phase))
    joint = (limb.joint[0] + MARGIN, limb.joint[1] + MARGIN)
    matrix = cv2.getRotationMatrix2D(joint, float(angle), limb.length)
    turned: np.ndarray = cv2.warpAffine(part, matrix, part.shape[1::-1], flags=cv2.INTER_LINEAR)
    return turned
