"""Masks of ingested clips: the user's own where there are any, else extracted; each clip is computed once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from mvmodel.cache import Cache
from mvmodel.files import hash_file, hash_value
from mvmodel.masks import MaskSequence
from mvmodel.progress import track
from mvmodel.segmentation.config import ExtractConfig
from mvmodel.segmentation.quality import MaskQuality, measure_quality
from mvmodel.segmentation.selection import SegmenterChoice
from mvmodel.video.catalogue import Catalogue
from mvmodel.workers import Workers

QUALITY_TABLE = "quality.parquet"


@dataclass(frozen=True)
class ClipMasks:
    """A clip's masks, their quality, and whether the user supplied them. Supplied masks never count as weak.

    segmenter: Which one made them, "" for supplied masks. known: Whether the pack's image model knows such footage.
    """

    sequence: MaskSequence
    quality: MaskQuality
    source: Literal["supplied", "segmenter"]
    segmenter: str = ""
    known: bool = True


def get_clip_masks(
    catalogue: Catalogue,
    clip: str,
    segmenters: SegmenterChoice,
    config: ExtractConfig = ExtractConfig(),
) -> ClipMasks:
    """The masks of one clip: those that came with it, else those that a segmenter finds.

    Args:
        catalogue: Where the clip was ingested to.
        clip: Its name.
        segmenters: Loaded only if no masks were supplied.
        config: Settings of extraction and of quality.
    """
    row, file = catalogue.row(clip), catalogue.masks_file(clip)
    if file is not None:
        supplied = MaskSequence.load(file)
        quality = measure_quality(supplied.masks, config=config.quality)
        known = segmenters.knows_footage(catalogue.frames(clip))
        return ClipMasks(supplied, quality.model_copy(update={"weak": False}), "supplied", known=known)
    frames = catalogue.frames(clip)
    extracted, name = segmenters.extract(frames, config, fps=row["fps"])
    known = segmenters.knows_footage(frames)
    return ClipMasks(extracted.sequence, extracted.quality, "segmenter", name, known)


def describe_weak_masks(masks: ClipMasks) -> str:
    """Why a clip with weak masks cannot be used, and what to do, in one sentence."""
    reasons = "; ".join(masks.quality.reasons)
    return (
        f"no reliable mask was found by the segmenter {masks.segmenter} ({reasons}); put masks of your own next to the "
        f"clip, or choose another segmenter"
    )


def write_clip_masks(
    folder: Path,
    catalogue: Catalogue,
    segmenters: SegmenterChoice,
    config: ExtractConfig,
    cache: Cache,
    recipe: Mapping[str, Any],
    workers: Workers | None = None,
) -> None:
    """Write CLIP.npz for every clip of a catalogue, and quality.parquet with one row per clip.

    folder: where to write; exists. The other arguments are those of `compute_clip_masks`.
    """
    rows = []
    for clip, item in compute_clip_masks(catalogue, segmenters, config, cache, recipe, workers=workers):
        shutil.copyfile(item / "masks.npz", folder / f"{clip}.npz")
        rows.append(_read_item(clip, item))
    pd.DataFrame(rows).to_parquet(folder / QUALITY_TABLE, index=False)


def write_mask_share(
    folder: Path,
    catalogue: Catalogue,
    clips: Collection[str],
    segmenters: SegmenterChoice,
    config: ExtractConfig,
    cache: Cache,
    recipe: Mapping[str, Any],
) -> None:
    """Compute the masks of some clips, which `write_clip_masks` then finds in `cache`; writes only quality.parquet."""
    items = compute_clip_masks(catalogue, segmenters, config, cache, recipe, clips)
    pd.DataFrame([_read_item(clip, item) for clip, item in items]).to_parquet(folder / QUALITY_TABLE, index=False)


def compute_clip_masks(
    catalogue: Catalogue,
    segmenters: SegmenterChoice,
    config: ExtractConfig,
    cache: Cache,
    recipe: Mapping[str, Any],
    clips: Collection[str] | None = None,
    workers: Workers | None = None,
) -> Iterator[tuple[str, Path]]:
    """(clip, folder of its masks in `cache`) of every clip, in the order of the catalogue.

    A clip's masks are kept in `cache` and computed again only if the clip, its supplied masks, `config` or `recipe`
    changed, so that adding one clip costs one clip.

    Args:
        catalogue: The ingested clips.
        segmenters: Loaded only for clips without supplied masks that are not cached.
        config: Settings of extraction.
        cache: Keeps the results per clip.
        recipe: What else decides a result: the code version.
        clips: Names of the clips; None is all.
        workers: Processes that work on several clips at once; None is this process alone.
    """
    recipe = {**recipe, "config": config.model_dump(mode="json"), "segmenters": dict(segmenters.recipe)}
    calls: list[tuple[Any, ...]] = []
    for index, clip in enumerate(catalogue.table.itertuples()):
        if clips is None or clip.clip in clips:
            supplied = catalogue.masks_file(str(clip.clip))
            inputs = {"content": clip.content, "fps": clip.fps, "supplied": hash_file(supplied) if supplied else ""}
            row = Catalogue(catalogue.folder, catalogue.table[index : index + 1], catalogue.quarantine[:0])
            calls.append((cache, hash_value({**recipe, **inputs}), row, str(clip.clip), segmenters, config))
    if workers is None or workers.count == 1:
        items: Iterable[Path] = (_get_or_build(*call) for call in track(calls, "masks of clips"))
    else:
        items = workers.map(_get_or_build, calls)
    for (_, _, _, name, *_), item in zip(calls, items, strict=True):
        yield name, item


def _get_or_build(
    cache: Cache, recipe: str, catalogue: Catalogue, name: str, segmenters: SegmenterChoice, config: ExtractConfig
) -> Path:
    """The cached folder with the masks of one clip and their quality."""

    def build(item: Path) -> None:
        _write_item(item, get_clip_masks(catalogue, name, segmenters, config))

    return cache.get_or_build("masks", recipe, build)


def read_mask_quality(folder: Path) -> pd.DataFrame:
    """The table that `write_clip_masks` wrote: clip, the fields of `MaskQuality`, source, segmenter and known."""
    return pd.read_parquet(folder / QUALITY_TABLE)


def find_unknown_clips(folder: Path) -> list[str]:
    """Clips of footage that the pack's image model does not know. folder: where `write_clip_masks` wrote."""
    quality = read_mask_quality(folder)
    return [str(clip) for clip in quality["clip"][~quality["known"].astype(bool)]] if len(quality) else []


def _write_item(folder: Path, masks: ClipMasks) -> None:
    masks.sequence.save(folder / "masks.npz")
    quality = masks.quality.model_dump()
    record = {**quality, "reasons": "; ".join(quality["reasons"]), "source": masks.source}
    record |= {"segmenter": masks.segmenter, "known": masks.known}
    (folder / "quality.json").write_text(json.dumps(record))


def _read_item(clip: str, folder: Path) -> dict[str, Any]:
    """A clip's row of the table of quality."""
    return {"clip": clip, **json.loads((folder / "quality.json").read_text())}
