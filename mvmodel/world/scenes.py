"""Procedural backgrounds: one wide canvas per clip, so that a camera pan is a crop that moves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

BACKGROUNDS: dict[str, str] = {
    "meadow": "over a meadow",
    "desert": "in the desert",
    "snow": "in the snow",
    "forest": "in a forest",
    "night": "at night",
    "dusk": "at dusk",
    "sea": "by the sea",
    "space": "in space",
}
"""Background name -> the words a caption uses for it."""

_Rgb = tuple[float, float, float]


def _vertical(height: int, width: int, top: _Rgb, bottom: _Rgb) -> np.ndarray:
    ramp = np.linspace(0, 1, height, dtype=np.float32)[:, None, None]
    column = np.asarray(top, np.float32) * (1 - ramp) + np.asarray(bottom, np.float32) * ramp
    return np.broadcast_to(column, (height, width, 3)).copy()


def _ridge(rng: np.random.Generator, width: int, base: float, swing: float, waves: float) -> np.ndarray:
    """A hill line: row of the horizon for each column, shape (width,)."""
    x = np.arange(width, dtype=np.float32)
    line = np.full(width, base, np.float32)
    for octave in range(2):
        frequency = waves * (1.7**octave) * rng.uniform(0.8, 1.2) * 2 * np.pi / 128
        line += swing / (1.6**octave) * np.sin(frequency * x + rng.uniform(0, 2 * np.pi)).astype(np.float32)
    return line


def _fill_below(canvas: np.ndarray, line: np.ndarray, top: _Rgb, bottom: _Rgb) -> None:
    height = canvas.shape[0]
    rows = np.arange(height, dtype=np.float32)[:, None]
    coverage = np.clip(rows - line[None, :] + 0.5, 0, 1)[..., None]
    depth = np.clip((rows - line[None, :]) / height / 0.5, 0, 1)[..., None]
    colour = np.asarray(top, np.float32) * (1 - depth) + np.asarray(bottom, np.float32) * depth
    canvas *= 1 - coverage
    canvas += colour * coverage


def _disc(canvas: np.ndarray, row: float, column: float, radius: float, colour: _Rgb) -> None:
    height, width = canvas.shape[:2]
    y0, y1 = max(0, int(row - radius - 2)), min(height, int(row + radius + 3))
    x0, x1 = max(0, int(column - radius - 2)), min(width, int(column + radius + 3))
    if y0 >= y1 or x0 >= x1:
        return
    y, x = np.mgrid[y0:y1, x0:x1].astype(np.float32)
    coverage = np.clip(radius + 0.5 - np.hypot(y - row, x - column), 0, 1)[..., None]
    patch = canvas[y0:y1, x0:x1]
    patch *= 1 - coverage
    patch += np.asarray(colour, np.float32) * coverage


def _meadow(rng: np.random.Generator, h: int, w: int) -> np.ndarray:
    canvas = _vertical(h, w, (0.45, 0.72, 0.95), (0.80, 0.92, 1.0))
    _fill_below(canvas, _ridge(rng, w, h * rng.uniform(0.42, 0.5), 5, 1.0), (0.50, 0.76, 0.36), (0.42, 0.70, 0.30))
    _fill_below(canvas, _ridge(rng, w, h * rng.uniform(0.58, 0.66), 5, 0.8), (0.40, 0.70, 0.26), (0.28, 0.56, 0.18))
    return canvas


def _desert(rng: np.random.Generator, h: int, w: int) -> np.ndarray:
    canvas = _vertical(h, w, (0.55, 0.80, 0.95), (0.98, 0.92, 0.78))
    _disc(canvas, h * 0.16, w * rng.uniform(0.1, 0.9), 9, (1.0, 0.96, 0.72))
    _fill_below(canvas, _ridge(rng, w, h * rng.uniform(0.44, 0.52), 7, 0.8), (0.94, 0.80, 0.54), (0.90, 0.74, 0.46))
    _fill_below(canvas, _ridge(rng, w, h * rng.uniform(0.62, 0.70), 6, 0.6), (0.90, 0.72, 0.42), (0.80, 0.58, 0.30))
    return canvas


def _snow(rng: np.random.Generator, h: int, w: int) -> np.ndarray:
    canvas = _vertical(h, w, (0.62, 0.74, 0.86), (0.84, 0.90, 0.96))
    _fill_below(canvas, _ridge(rng, w, h * rng.uniform(0.34, 0.42), 10, 1.6), (0.70, 0.78, 0.88), (0.80, 0.86, 0.94))
    _fill_below(canvas, _ridge(rng, w, h * rng.uniform(0.55, 0.62), 4, 0.7), (0.95, 0.97, 1.0), (0.86, 0.91, 0.97))
    return canvas


def _forest(rng: np.random.Generator, h: int, w: int) -> np.ndarray:
    canvas = _vertical(h, w, (0.66, 0.82, 0.72), (0.52, 0.70, 0.56))
    rows = np.arange(h, dtype=np.float32)[:, None]
    columns = np.arange(w, dtype=np.float32)[None, :]
    for base, tree, colour in ((0.62, 22.0, (0.26, 0.48, 0.34)), (0.70, 30.0, (0.12, 0.34, 0.22))):
        offset = rng.uniform(0, tree)
        teeth = np.abs(((columns + offset) % tree) / tree - 0.5) * 2
        line = h * (base - 0.44) + teeth * h * 0.34
        coverage = np.clip(rows - line + 0.5, 0, 1)[..., None]
        canvas *= 1 - coverage
        canvas += np.asarray(colour, np.float32) * coverage
    _fill_below(canvas, _ridge(rng, w, h * rng.uniform(0.68, 0.74), 3, 0.8), (0.22, 0.42, 0.18), (0.14, 0.30, 0.12))
    return canvas


def _night(rng: np.random.Generator, h: int, w: int) -> np.ndarray:
    canvas = _vertical(h, w, (0.04, 0.06, 0.18), (0.12, 0.16, 0.36))
    for _ in range(max(4, w // 16)):
        _disc(canvas, rng.uniform(0, h * 0.5), rng.uniform(0, w), 1.0, (0.8, 0.82, 0.9))
    _disc(canvas, h * 0.18, w * rng.uniform(0.15, 0.85), 11, (0.95, 0.94, 0.82))
    _fill_below(canvas, _ridge(rng, w, h * rng.uniform(0.60, 0.70), 6, 0.9), (0.07, 0.12, 0.16), (0.03, 0.06, 0.09))
    return canvas


def _dusk(rng: np.random.Generator, h: int, w: int) -> np.ndarray:
    canvas = _vertical(h, w, (0.42, 0.28, 0.52), (1.0, 0.62, 0.36))
    _disc(canvas, h * 0.52, w * rng.uniform(0.15, 0.85), 13, (1.0, 0.86, 0.52))
    _fill_below(canvas, _ridge(rng, w, h * rng.uniform(0.58, 0.64), 6, 1.0), (0.42, 0.22, 0.34), (0.34, 0.17, 0.28))
    _fill_below(canvas, _ridge(rng, w, h * rng.uniform(0.70, 0.78), 5, 0.7), (0.25, 0.13, 0.21), (0.16, 0.08, 0.15))
    return canvas


def _sea(rng: np.random.Generator, h: int, w: int) -> np.ndarray:
    canvas = _vertical(h, w, (0.50, 0.78, 0.96), (0.88, 0.95, 0.98))
    horizon = h * rng.uniform(0.40, 0.48)
    _fill_below(canvas, np.full(w, horizon, np.float32), (0.10, 0.44, 0.66), (0.06, 0.56, 0.70))
    rows = np.arange(h, dtype=np.float32)[:, None]
    columns = np.arange(w, dtype=np.float32)[None, :]
    depth = np.clip((rows - horizon) / h, 0, 1)
    swell = np.sin(depth * 46 + 0.8 * np.sin(columns * 2 * np.pi / 64 + rng.uniform(0, 6)))
    canvas += (0.035 * swell * (depth > 0))[..., None].astype(np.float32)
    _fill_below(canvas, _ridge(rng, w, h * rng.uniform(0.84, 0.90), 3, 0.6), (0.95, 0.87, 0.66), (0.88, 0.78, 0.55))
    return canvas


def _space(rng: np.random.Generator, h: int, w: int) -> np.ndarray:
    canvas = _vertical(h, w, (0.03, 0.02, 0.07), (0.10, 0.04, 0.16))
    for _ in range(max(6, w // 9)):
        _disc(canvas, rng.uniform(0, h), rng.uniform(0, w), rng.uniform(0.6, 1.3), (0.85, 0.85, 0.95))
    _disc(canvas, h * rng.uniform(0.72, 0.9), w * rng.uniform(0.1, 0.9), rng.uniform(18, 26), (0.55, 0.30, 0.62))
    return canvas


_PAINTERS: dict[str, Callable[[np.random.Generator, int, int], np.ndarray]] = {
    "meadow": _meadow,
    "desert": _desert,
    "snow": _snow,
    "forest": _forest,
    "night": _night,
    "dusk": _dusk,
    "sea": _sea,
    "space": _space,
}


def paint_background(name: str, rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Paint a background.

    Returns float32 RGB of shape (height, width, 3), values 0..1. Hue and brightness vary a little with `rng`.
    Raises KeyError for a name that is not in `BACKGROUNDS`.
    """
    canvas = _PAINTERS[name](rng, height, width)
    tint = rng.uniform(0.94, 1.06, 3).astype(np.float32)
    return np.clip(canvas * tint, 0, 1)
