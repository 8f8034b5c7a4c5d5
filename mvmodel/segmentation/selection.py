"""Which segmenter makes a clip's masks: the pack's own, another one, or the first whose masks are not weak."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Protocol

import numpy as np

from mvmodel.errors import PackError
from mvmodel.files import hash_file, hash_folder
from mvmodel.segmentation.config import ExtractConfig
from mvmodel.segmentation.downloads import SEGMENTER_SOURCES, check_published, find_segmenter, locate_segmenter
from mvmodel.segmentation.protocols import SegmenterProtocol
from mvmodel.segmentation.sam_loading import find_model_type, load_sam
from mvmodel.segmentation.segmenter import Segmenter
from mvmodel.segmentation.tracking import MaskExtraction, extract_masks
from mvmodel.segmentation.u2net import U2NetSegmenter
from mvmodel.segmentation.video_segmenter import VideoSegmenter

PACK_SEGMENTER = "pack"
_CHECKPOINT_SUFFIXES = (".pth", ".pt", ".safetensors")
_SHORT_HASH = 12


class SegmenterPack(Protocol):
    """What is needed of a pack: `mvmodel.packs.loader.Pack` is one."""

    @property
    def device(self) -> str: ...

    def segmenter(self) -> SegmenterProtocol: ...

    def knows_footage(self, frames: np.ndarray) -> bool: ...


@dataclass(frozen=True)
class NamedSegmenter:
    """A segmenter that is loaded when it is first needed. name: for people. weights: its hash, for recipes."""

    name: str
    weights: str
    load: Callable[[], SegmenterProtocol]


@dataclass(frozen=True)
class SegmenterChoice:
    """Segmenters in the order in which they are tried.

    knows_footage: Whether the pack knows such frames. Its own segmenter is tried last on footage that it does not know:
    there it can be sure of a wrong mask.
    """

    segmenters: Sequence[NamedSegmenter]
    knows_footage: Callable[[np.ndarray], bool] = lambda frames: True

    @property
    def recipe(self) -> Mapping[str, str]:
        """Name -> hash of the weights."""
        return {segmenter.name: segmenter.weights for segmenter in self.segmenters}

    def extract(
        self,
        frames: np.ndarray,
        config: ExtractConfig = ExtractConfig(),
        fps: float = 8.0,
        progress: Callable[[int, int], None] | None = None,
    ) -> tuple[MaskExtraction, str]:
        """Masks of a clip by the first segmenter whose masks are not weak, and that segmenter's name.

        If all are weak, the masks with the highest salience are returned, and empty ones only if all are empty.
        Arguments are those of `extract_masks`.
        """
        weak: list[tuple[MaskExtraction, str]] = []
        for segmenter in self.order(frames):
            extraction = extract_masks(frames, segmenter.load(), config, fps, progress)
            if not extraction.quality.weak:
                return extraction, segmenter.name
            weak.append((extraction, segmenter.name))

        def rate(pair: tuple[MaskExtraction, str]) -> tuple[bool, float]:
            extraction, _ = pair
            return bool(extraction.sequence.masks.any()), extraction.quality.salience or 0.0

        return max(weak, key=rate)

    def order(self, frames: np.ndarray) -> Sequence[NamedSegmenter]:
        """The segmenters in the order in which they are tried on these frames."""
        if len(self.segmenters) == 1 or self.knows_footage(frames):
            return self.segmenters
        return sorted(self.segmenters, key=lambda segmenter: segmenter.name == PACK_SEGMENTER)


def choose_segmenters(setting: str, pack: SegmenterPack, pack_weights: str = "") -> SegmenterChoice:
    """The segmenters that a setting allows.

    Args:
        setting: "auto", "pack", a name in `SEGMENTER_SOURCES`, or a path: an .onnx of U-2-Net, a checkpoint of
            segment-anything, or a folder with a SAM 2 or EdgeTAM video model of transformers.
        pack: The pack, whose segmenter is loaded only when it is needed.
        pack_weights: Hash of the pack's segmenter, for recipes.

    Raises:
        PackError: There is no such segmenter, or it is not on this machine.
    """
    pack_segmenter = NamedSegmenter(PACK_SEGMENTER, pack_weights, pack.segmenter)
    if setting == PACK_SEGMENTER:
        return SegmenterChoice([pack_segmenter], pack.knows_footage)
    if setting == "auto":
        available = [(name, path) for name in SEGMENTER_SOURCES if (path := find_segmenter(name)) is not None]
        return SegmenterChoice(
            [pack_segmenter, *(_open_named(name, path, pack.device) for name, path in available[:1])],
            pack.knows_footage,
        )
    path = locate_segmenter(setting)
    assert path is not None, "only `auto` and `pack` name no weights"
    if setting in SEGMENTER_SOURCES:
        return SegmenterChoice([_open_named(setting, path, pack.device)], pack.knows_footage)
    weights = hash_folder(path) if path.is_dir() else hash_file(path)
    name = f"{path.name} {weights[:_SHORT_HASH]}"
    segmenter = NamedSegmenter(name, weights, partial(_load_once, path, pack.device))
    return SegmenterChoice([segmenter], pack.knows_footage)


def load_independent_segmenter() -> U2NetSegmenter | None:
    """U-2-Netp, which no part of a pack was trained with; None if its weights are not on this machine."""
    path = find_segmenter("u2netp")
    return None if path is None else _load_published_u2netp(path)


@cache
def _load_published_u2netp(path: Path) -> U2NetSegmenter:
    check_published("u2netp", path)
    return U2NetSegmenter(path)


def _open_named(name: str, path: Path, device: str) -> NamedSegmenter:
    check_published(name, path)
    weights = hash_folder(path) if path.is_dir() else hash_file(path)
    return NamedSegmenter(name, weights, partial(_load_once, path, device))


@cache
def _load_once(path: Path, device: str) -> SegmenterProtocol:
    """Loads weights by what they are. They are kept: many clips are segmented by one process."""
    if path.is_dir():
        return VideoSegmenter.from_pretrained(path, device)
    if path.suffix == ".onnx":
        return U2NetSegmenter(path)
    if path.suffix in _CHECKPOINT_SUFFIXES:
        return Segmenter(load_sam(find_model_type(path), path), device=device)
    raise PackError(
        f"{path} is no segmenter; give an .onnx of U-2-Net, a checkpoint of segment-anything "
        f"({', '.join(_CHECKPOINT_SUFFIXES)}), or a folder with a SAM 2 or EdgeTAM video model"
    )
