"""Masks that are new (shape, size, motion, class), and masks that are inexact (eroded, dilated, shifted, dropped)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from mvmodel.experiments.config import ExperimentsConfig
from mvmodel.experiments.grid import Cell, Measured
from mvmodel.experiments.subject import Maker, Subject, identity, together
from mvmodel.experiments.texts import mean_of, paired, turning_point
from mvmodel.masks import MaskSequence, edit

if TYPE_CHECKING:
    import pandas as pd

    from mvmodel.generation.requests import Request

SIDE = 64
"""Pixels of a drawn shape's picture."""
COMMON_WORDS = ("horse", "car", "dog", "boat", "bird", "ball", "tree", "cup")
"""Objects to ask for where a pack's vocabulary is open."""


def shapes() -> dict[str, np.ndarray]:
    """Shapes that no object of the world has: bool (SIDE, SIDE)."""
    import cv2

    def filled(points: Any) -> np.ndarray:
        canvas = np.zeros((SIDE, SIDE), np.uint8)
        cv2.fillPoly(canvas, [np.round(np.asarray(points) * (SIDE - 1)).astype(np.int32)], 1)
        return canvas.astype(bool)

    rows, columns = np.mgrid[:SIDE, :SIDE] / (SIDE - 1) * 2 - 1
    radius = np.hypot(rows, columns)
    return {
        "disc": radius < 0.95,
        "square": np.maximum(abs(rows), abs(columns)) < 0.9,
        "triangle": filled([(0.5, 0.02), (0.98, 0.95), (0.02, 0.95)]),
        "cross": (abs(rows) < 0.3) & (abs(columns) < 0.95) | (abs(columns) < 0.3) & (abs(rows) < 0.95),
        "bar": (abs(rows) < 0.22) & (abs(columns) < 0.97),
        "ring": (radius < 0.95) & (radius > 0.5),
    }


SIZES = (0.4, 0.55, 0.7, 1.3, 1.6, 2.0)


def paths(frames: int, reach: float) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Ways of a centre, (dx, dy) in pixels from where it begins, each (frames,). reach: pixels of a long way."""
    t = np.linspace(0, 1, frames)
    jitter = np.random.default_rng(5).uniform(-0.25, 0.25, (2, frames)) * reach
    jitter[:, 0] = 0
    return {
        "standing": (0 * t, 0 * t),
        "down": (0 * t, 0.5 * reach * t),
        "diagonal": (0.6 * reach * t, -0.4 * reach * t),
        "circle": (0.35 * reach * np.sin(2 * np.pi * t), 0.35 * reach * (1 - np.cos(2 * np.pi * t))),
        "there and back": (0.6 * reach * (1 - abs(2 * t - 1)), 0 * t),
        "jitter": (jitter[0], jitter[1]),
    }


def _along(masks: np.ndarray, dx: np.ndarray, dy: np.ndarray) -> np.ndarray:
    """Mask 1 moved along a way, the whole way shifted back into the picture where it would leave it."""
    still = MaskSequence(np.repeat(masks[:1], len(masks), axis=0))
    return edit.move(still, dx, dy, outside="keep").masks


def catalogue(subject: Subject, each: int, families: tuple[str, ...]) -> list[tuple[str, str, Any]]:
    """(family, kind, change) of every held-out case; change(request, masks) -> (prompt, masks)."""
    from mvmodel.metrics.adherence import article, words_in

    out: list[tuple[str, str, Any]] = [("none", "as trained", lambda request, masks: (request.prompt, masks))]
    if "shape" in families:
        from mvmodel.masks.exchange import replace_shape

        for name, shape in list(shapes().items())[:each]:
            out.append(
                ("shape", name, lambda r, m, shape=shape: (r.prompt, replace_shape(MaskSequence(m), shape).masks))
            )
    if "size" in families:
        for factor in SIZES[:each]:
            out.append(("size", f"{factor:g}", lambda r, m, f=factor: (r.prompt, edit.scale(MaskSequence(m), f).masks)))
    if "motion" in families:
        for name in list(paths(2, 1.0))[:each]:
            out.append(
                (
                    "motion",
                    name,
                    lambda r, m, name=name: (r.prompt, _along(m, *paths(len(m), m.shape[2] * 0.5)[name])),
                )
            )
    if "class" in families:
        seen = " ".join(clip.caption for clip in subject.clips) + " " + " ".join(r.prompt for r in subject.requests)
        known = list(subject.pack.info.objects) or list(COMMON_WORDS)
        for word in [word for word in known if word not in words_in(seen, known)][:each]:

            def renamed(request: Request, masks: np.ndarray, word: str = word) -> tuple[str, np.ndarray]:
                named = words_in(request.prompt, known)
                prompt = request.prompt.replace(article(named[0]), article(word)) if named else article(word)
                return prompt, masks

            out.append(("class", word, renamed))
    return out


def generalization_cells(subject: Subject, config: ExperimentsConfig, maker: Maker) -> list[Cell]:
    sizes = config.mask_generalization
    requests, generation = subject.asked(sizes.videos), config.generation
    out = []
    for family, kind, change in catalogue(subject, sizes.each, sizes.families):

        def one(request: Request, change: Any = change, name: str = f"{family}-{kind}") -> Measured:
            sequence = MaskSequence.load(request.masks)
            prompt, masks = change(request, sequence.masks)
            asked = request.model_copy(update={"prompt": prompt})
            first = maker.first_frame(prompt, masks[0], request.seed, generation, request.negative_prompt)
            frames = maker.video(subject.adapter, asked, masks, first, generation, fps=sequence.fps)
            maker.strip(frames, f"{name.replace(' ', '_')}-{request.name}")
            return maker.measure(frames, masks, asked)

        out.append(_cell({"family": family, "kind": kind}, subject, requests, generation, one))
    return out


def _cell(levels: dict[str, Any], subject: Subject, requests: Any, generation: Any, one: Callable[..., Any]) -> Cell:
    parts = {"requests": [identity(subject.adapter, subject.pack, r, generation) for r in requests]}
    return Cell(levels, lambda: together([one(request) for request in requests]), parts)


def conclude_generalization(table: pd.DataFrame, frames: pd.DataFrame) -> list[str]:
    usual = table[table["family"] == "none"]
    base = mean_of(usual, "iou")
    said = [f"With masks and words like those of training the IoU is {base:.3f} over {len(usual)} videos."]
    for family, group in table[table["family"] != "none"].groupby("family", sort=False):
        kinds = group.groupby("kind", sort=False)["iou"].mean()
        worst, best = str(kinds.idxmin()), str(kinds.idxmax())
        said.append(
            f"Another {family}: {kinds.mean():.3f} in the mean over {len(kinds)} kinds ({kinds.mean() - base:+.3f}); "
            f"best {best} with {kinds.max():.3f}, worst {worst} with {kinds.min():.3f}; alignment "
            f"{mean_of(group, 'alignment'):.3f}."
        )
    return said


def damaged(masks: np.ndarray, damage: str, level: float, seed: int) -> np.ndarray:
    """Masks spoilt: bool, same shape. level: pixels of a picture 128 high, or for "drop" a share of the frames.

    Raises ValueError for an unknown damage.
    """
    pixels = level * masks.shape[1] / 128
    sequence = MaskSequence(masks)
    if damage == "erode":
        return edit.erode(sequence, pixels).masks
    if damage == "dilate":
        return edit.dilate(sequence, pixels).masks
    rng = np.random.default_rng(seed)
    if damage == "shift":
        turn = rng.uniform(0, 2 * np.pi)
        return edit.move(sequence, pixels * np.cos(turn), pixels * np.sin(turn)).masks
    if damage == "drop":
        out = masks.copy()
        later = 1 + rng.permutation(len(masks) - 1)
        out[later[: round(level * len(later))]] = False
        return out
    raise ValueError(f"damage {damage!r}: use erode, dilate, shift or drop")


def robustness_cells(subject: Subject, config: ExperimentsConfig, maker: Maker) -> list[Cell]:
    """Frame 1 is made from the sound mask: what is damaged is what the later frames are told."""
    sizes = config.mask_robustness
    requests, generation = subject.asked(sizes.videos), config.generation
    grid = [("none", 0.0)] + [(name, level) for name in DAMAGES for level in getattr(sizes, name)]
    out = []
    for damage, level in grid:

        def one(request: Request, damage: str = damage, level: float = level) -> Measured:
            sequence = MaskSequence.load(request.masks)
            masks = sequence.masks
            given = masks if damage == "none" else damaged(masks, damage, level, config.seed + request.seed)
            first = maker.first_frame(request.prompt, masks[0], request.seed, generation, request.negative_prompt)
            frames = maker.video(subject.adapter, request, given, first, generation, fps=sequence.fps)
            maker.strip(frames, f"{damage}-{level:g}-{request.name}")
            return maker.measure(frames, masks, request, given)

        out.append(_cell({"damage": damage, "level": level}, subject, requests, generation, one))
    return out


DAMAGES = ("erode", "dilate", "shift", "drop")
HALF = 0.8
"""A damage counts as felt where the IoU with the sound masks is under this share of what sound masks reach."""


def conclude_robustness(table: pd.DataFrame, frames: pd.DataFrame) -> list[str]:
    sound = table[table["damage"] == "none"]
    base = mean_of(sound, "iou")
    said = [
        f"With sound masks the IoU is {base:.3f} over {len(sound)} videos; the damaged ones are held against the same."
    ]
    for damage in DAMAGES:
        group = table[table["damage"] == damage]
        if group.empty:
            continue
        means = group.groupby("level")["iou"].mean()
        levels, values = np.r_[0.0, means.index.to_numpy(float)], np.r_[base, means.to_numpy(float)]
        at, unit = turning_point(levels, values, HALF), "of the masks" if damage == "drop" else "pixels of 128"
        last = paired(group[group["level"] == levels[-1]], sound, "iou")
        said.append(
            f"{damage.capitalize()}: "
            + (
                f"under {HALF:.0%} of that from {at:g} {unit} on"
                if at is not None
                else f"never under {HALF:.0%} of that"
            )
            + f"; at {levels[-1]:g} the change is {last}, and the overlap with the mask given is "
            f"{mean_of(group[group['level'] == levels[-1]], 'iou_given'):.3f}."
        )
    return said
