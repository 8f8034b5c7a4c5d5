"""Masks of ingested clips: the user's own where there are any, else extracted; each clip is computed once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from mvmodel.cache import Cache
from mvmodel.files import hash_file, hash_folder, hash_value
from mvmodel.masks import MaskSequence
from mvmodel.masks.clip_masks import load_clip_masks, locate_masks
from mvmodel.progress import track
from mvmodel.segmentation.config import ExtractConfig
from mvmodel.segmentation.protocols import SegmenterProtocol
from mvmodel.segmentation.quality import MaskQuality, measure_quality
from mvmodel.segmentation.tracking import extract_masks
from mvmodel.video.catalogue import Catalogue
from mvmodel.video.containers import holds_pictures, image_files

QUALITY_TABLE = "quality.parquet"


@dataclass(frozen=True)
class ClipMasks:
    """A clip's masks, their quality, and whether the user supplied them. Supplied masks never count as weak."""

    sequence: MaskSequence
    quality: MaskQuality
    source: Literal["supplied", "segmenter"]


def get_clip_masks(
    catalogue: Catalogue,
    clip: str,
    footage: Path,
    load_segmenter: Callable[[], SegmenterProtocol],
    config: ExtractConfig = ExtractConfig(),
) -> ClipMasks:
    """The masks of one clip: those that came with it, else those that the segmenter finds.

    Args:
        catalogue: Where the clip was ingested to.
        clip: Its name.
        footage: The folder that was ingested; supplied masks are below it.
        load_segmenter: Called only if no masks were supplied.
        config: Settings of extraction and of quality.
    """
    row = catalogue.row(clip)
    supplied = load_clip_masks(footage, row)
    if supplied is not None:
        quality = measure_quality(supplied.masks, config=config.quality)
        return ClipMasks(supplied, quality.model_copy(update={"weak": False}), "supplied")
    extracted = extract_masks(catalogue.frames(clip), load_segmenter(), config, fps=row["fps"])
    return ClipMasks(extracted.sequence, extracted.quality, "segmenter")


def write_clip_masks(
    folder: Path,
    catalogue: Catalogue,
    footage: Path,
    load_segmenter: Callable[[], SegmenterProtocol],
    config: ExtractConfig,
    cache: Cache,
    recipe: Mapping[str, Any],
) -> None:
    """Write CLIP.npz for every clip of a catalogue, and quality.parquet with one row per clip.

    A clip's masks are kept in `cache` and computed again only if the clip, its supplied masks, `config` or `recipe`
    changed, so that adding one clip costs one clip.

    Args:
        folder: Where to write; exists.
        catalogue: The ingested clips.
        footage: The folder that was ingested.
        load_segmenter: Called only for clips without supplied masks that are not cached.
        config: Settings of extraction.
        cache: Keeps the results per clip.
        recipe: What else decides a result: code version and hash of the segmenter.
    """
    supplied = hash_supplied_masks(catalogue, footage)
    recipe = {**recipe, "config": config.model_dump(mode="json")}
    rows = []
    for clip in track(list(catalogue.table.itertuples()), "masks of clips"):

        def build(item: Path, name: str = str(clip.clip)) -> None:
            _write_item(item, get_clip_masks(catalogue, name, footage, load_segmenter, config))

        inputs = {"content": clip.content, "fps": clip.fps, "supplied": supplied.get(str(clip.masks), "")}
        item = cache.get_or_build("masks", hash_value({**recipe, **inputs}), build)
        shutil.copyfile(item / "masks.npz", folder / f"{clip.clip}.npz")
        rows.append({"clip": clip.clip, **json.loads((item / "quality.json").read_text())})
    pd.DataFrame(rows).to_parquet(folder / QUALITY_TABLE, index=False)


def read_mask_quality(folder: Path) -> pd.DataFrame:
    """The table that `write_clip_masks` wrote: clip, the fields of `MaskQuality`, and source."""
    return pd.read_parquet(folder / QUALITY_TABLE)


def hash_supplied_masks(catalogue: Catalogue, footage: Path) -> dict[str, str]:
    """Path below `footage` -> hash of the masks there, for all masks that came with clips."""
    paths = {name: locate_masks(footage, name) for name in sorted(set(catalogue.table["masks"])) if name}
    return {name: _hash_masks(path) for name, path in paths.items()}


def _hash_masks(path: Path) -> str:
    if path.is_dir():
        return hash_folder(path)
    if holds_pictures(path):
        return hash_value([[file.name, hash_file(file)] for file in image_files(path)])
    return hash_file(path)


def _write_item(folder: Path, masks: ClipMasks) -> None:
    masks.sequence.save(folder / "masks.npz")
    quality = masks.quality.model_dump()
    record = {**quality, "reasons": "; ".join(quality["reasons"]), "source": masks.source}
    (folder / "quality.json").write_text(json.dumps(record))
