"""How well foreground is found and followed: on held-out renders, and on real sequences with true masks if given.

Real sequences are a folder of NAME/frames and NAME/masks. They are measured with the pack's segmenter, with U-2-Netp if
it is on this machine, and with an oracle in the segmenter's place, which isolates seeds and tracking from a segmenter's
weights.
"""

from __future__ import annotations

import platform
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from benchmarks.measurements import MeasurementLog
from benchmarks.oracle import OracleSegmenter
from benchmarks.sequence_variants import VARIANTS, make_variant
from benchmarks.throughput import measure_throughput
from benchmarks.workers import load_pack_once
from mvmodel.code_version import code_version
from mvmodel.config import Config

Figures = dict[str, float]

REAL_SEQUENCES = Path(__file__).resolve().parents[2] / "shared" / "clips" / "masked_sequences"
"""Where real sequences are looked for when no folder is given."""
PANS = {"one": (0.0,), "panned": (0.4, -0.4, 0.3, -0.3), "two": (0.0, 0.3, 0.0, -0.3)}
"""Kinds of held-out renders, and the camera's ways that they take in turn."""


class MasksConfig(Config):
    """How much is measured. clips: of each kind, `frames` frames long. real_frames: most frames of each real sequence.
    throughput: frames by encoder, "tiny" or a segment-anything type with random weights."""

    clips: int = Field(12, ge=1)
    frames: int = Field(12, ge=2)
    real_frames: int | None = Field(None, ge=2)
    sequences: Path | None = None
    """Folder of real sequences. Default: `REAL_SEQUENCES`."""
    segmenters: tuple[str, ...] = ()
    """Segmenters for the real sequences, as in the settings of masks. Default: pack, u2netp if it is here, oracle."""
    variants: bool = False
    """Also measure every real sequence mirrored, at half size and so on, see `benchmarks.sequence_variants`."""
    renders: bool = True
    """Also measure renders, throughput and sentences."""
    throughput: dict[str, int] = {"tiny": 32, "vit_b": 4}

    @classmethod
    def quick(cls) -> MasksConfig:
        """The smallest that goes through every part, to see that it runs."""
        return cls(clips=1, frames=4, real_frames=3, throughput={"tiny": 4})


def _per_object(extraction: Any, truth: np.ndarray) -> float:
    """Mean J over the true objects, each matched to one found object at most (best assignment)."""
    from scipy.optimize import linear_sum_assignment

    from mvmodel.segmentation.davis_metrics import region_similarity

    table = np.array([[region_similarity(mask, true) for mask in extraction.per_instance] for true in truth])
    rows, columns = linear_sum_assignment(-table)
    return float(table[rows, columns].sum() / len(truth))


def measure_render(kind: str, number: int, frames: int) -> Figures:
    """J and F of the pack's segmenter on one held-out render, and whether the first prompt lies in a true mask.

    kind: "one" object, "panned" (one under a camera pan), or "two" (half of them under a pan), whose `each` is the mean
    J of the objects one by one.
    """
    from mvmodel.segmentation.davis_metrics import contour_accuracy, region_similarity
    from mvmodel.segmentation.tracking import extract_masks
    from mvmodel.world.render import HELD_OUT, random_clip

    seed = (HELD_OUT, 820_000 + 1000 * list(PANS).index(kind) + number)
    pan = PANS[kind][number % len(PANS[kind])]
    clip = random_clip(seed, frames=frames, pan=pan, second_object=1.0 if kind == "two" else 0.0)
    extraction = extract_masks(clip.frames, load_pack_once(None).segmenter())
    figures = _prompt(extraction, clip.masks) | {
        "j": region_similarity(extraction.sequence.masks, clip.masks),
        "f": contour_accuracy(extraction.sequence.masks, clip.masks),
        "objects": float(len(extraction.sequence.per_instance)),
    }
    return figures | ({"each": _per_object(extraction.sequence, clip.instances)} if kind == "two" else {})


def measure_real_sequence(folder: Path, name: str, frames: int | None, variant: str = "") -> Figures:
    """The same on the first `frames` frames of a real sequence, or on a variant of them.

    name: of a segmenter, or "oracle".
    """
    from mvmodel.segmentation.davis_metrics import contour_accuracy, region_similarity
    from mvmodel.segmentation.selection import choose_segmenters
    from mvmodel.segmentation.tracking import extract_masks
    from mvmodel.video.decode import decode_video

    sequence_frames = decode_video(folder / "frames", end=frames).frames
    truth = decode_video(folder / "masks", end=frames).frames[..., 0] > 127
    sequence_frames, truth = make_variant(variant, sequence_frames, truth)
    if name == "oracle":
        oracle: Any = OracleSegmenter(sequence_frames, truth)
        extraction = extract_masks(sequence_frames, oracle)
    else:
        extraction, _ = choose_segmenters(name, load_pack_once(None)).extract(sequence_frames)
    region = region_similarity(extraction.sequence.masks, truth)
    return {"j": region, "f": contour_accuracy(extraction.sequence.masks, truth)} | _prompt(extraction, truth)


def _prompt(extraction: Any, truth: np.ndarray) -> Figures:
    if extraction.prompt is None:
        return {"prompt_inside": 0.0}
    frame, x, y = extraction.prompt
    return {"prompt_inside": float(truth[frame, int(y), int(x)])}


def measure_masks(
    config: MasksConfig | None = None, file: Path = Path(".mvmodel/benchmarks/masks.jsonl")
) -> dict[str, Any]:
    """Everything above that can be measured here, clip by clip, kept in `file`: a stopped run goes on.

    one, panned, two: clips, mean J and F, worst J, shares of clips at J 0.8 or more, of first prompts inside a true
    mask, of clips with the right number of objects. real, real_summary: of real sequences where there are some.
    throughput: with the pack's encoder ("tiny") and with random ones of published sizes.
    """
    from benchmarks.sentences import measure_sentences

    config = config or MasksConfig()
    parts = (Path(__file__).with_name(f"{name}.py") for name in ("masks", "oracle", "sequence_variants", "throughput"))
    code = code_version(*parts)
    recipe = {"frames": config.frames, "code": code, "pack": load_pack_once(None).hash, "machine": platform.node()}
    measure_once = MeasurementLog(file, recipe).measure_here

    out: dict[str, Any] = _measure_real_sequences(config, measure_once)
    if not config.renders:
        return out
    for kind in PANS:
        rows = [measure_once(f"{kind} {n}", measure_render, kind, n, config.frames) for n in range(config.clips)]
        out[kind] = summarize(rows, 2 if kind == "two" else 1)
    for model, frames in config.throughput.items():
        model_type = None if model == "tiny" else model
        out[f"throughput {model}"] = measure_once(
            f"throughput {model} {frames}", measure_throughput, frames, 256, model_type
        )
    return out | {"sentences": measure_once("sentences", measure_sentences)}


def _measure_real_sequences(config: MasksConfig, measure_once: Callable[..., Figures]) -> dict[str, Any]:
    """real: sequence -> segmenter -> J. real_summary: mean J, mean F and share of prompts inside, by segmenter.

    With variants also variants: sequence -> variant -> segmenter -> J; variants_summary: variant -> segmenter -> mean.
    """
    from mvmodel.segmentation.downloads import find_segmenter

    has_u2netp = find_segmenter("u2netp") is not None
    names = config.segmenters or ("pack", *(("u2netp",) if has_u2netp else ()), "oracle")
    length = f"{config.real_frames or 'all'} frames"
    folders = sorted(path for path in (config.sequences or REAL_SEQUENCES).glob("*") if (path / "masks").is_dir())
    figures = {
        (folder.name, name): measure_once(
            f"{folder.name} {length} {name}",
            measure_real_sequence,
            folder,
            name,
            config.real_frames,
        )
        for folder in folders
        for name in names
    }
    real = {folder.name: {name: figures[folder.name, name]["j"] for name in names} for folder in folders}
    summary = {
        key: {name: float(np.mean([figures[folder.name, name][key] for folder in folders])) for name in names}
        for key in ("j", "f", "prompt_inside")
        if folders
    }
    if not config.variants:
        return {"real": real, "real_summary": summary}
    variants: dict[str, Any] = {folder.name: {variant: {} for variant in VARIANTS} for folder in folders}
    for folder, variant, name in product(folders, VARIANTS, names):
        call = measure_real_sequence, folder, name, config.real_frames, variant
        variants[folder.name][variant][name] = measure_once(f"{folder.name} {variant} {length} {name}", *call)["j"]
    means = {
        variant: {name: float(np.mean([rows[variant][name] for rows in variants.values()])) for name in names}
        for variant in VARIANTS
        if folders
    }
    return {"real": real, "real_summary": summary, "variants": variants, "variants_summary": means}


def summarize(rows: list[Figures], objects: int) -> Figures:
    """Means and ends of the figures of clips that show so many objects."""
    region = np.array([row["j"] for row in rows])
    figures = {
        "clips": len(rows),
        "j": float(region.mean()),
        "f": float(np.mean([row["f"] for row in rows])),
        "j_worst": float(region.min()),
        "j_above_0.8": float((region >= 0.8).mean()),
        "prompt_inside": float(np.mean([row["prompt_inside"] for row in rows])),
        "objects_right": float(np.mean([row["objects"] == objects for row in rows])),
    }
    each = [row["each"] for row in rows if "each" in row]
    return figures | ({"j_per_object": float(np.mean(each))} if each else {})
