"""Training clips from a folder of raw footage. `mvmodel.training.training_set` starts from ingested clips instead."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from mvmodel.backends.training_config import TrainingClip
from mvmodel.masks.clip_masks import load_footage_masks
from mvmodel.packs import Pack
from mvmodel.progress import track
from mvmodel.segmentation.catalogue_masks import describe_weak_masks, get_clip_masks
from mvmodel.segmentation.config import ExtractConfig
from mvmodel.segmentation.saliency import find_moving_areas
from mvmodel.segmentation.selection import choose_segmenters
from mvmodel.text import motion_slug
from mvmodel.training.captions import propose_caption
from mvmodel.video.config import IngestConfig
from mvmodel.video.ingestion import ingest


@dataclass(frozen=True)
class LoadedClips:
    """The usable clips of a folder.

    motions: clip name -> slug of the motion that the manifest names, "" without one. left_out: file or clip -> why it
    cannot be used. segmenters: clip name -> which segmenter made its masks, "" for the user's own. unknown: clips of
    footage that the pack's image model does not know. caption_notes: clip name -> what is cut of a long caption.
    remarks: clip name -> what its frames do not show.
    """

    clips: list[TrainingClip] = field(default_factory=list)
    motions: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    segmenters: dict[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    caption_notes: dict[str, str] = field(default_factory=dict)
    remarks: dict[str, str] = field(default_factory=dict)


def load_training_clips(
    pack: Pack,
    folder: Path,
    select: Callable[[Mapping[str, Any]], bool] = lambda row: True,
    segmenter: str = ExtractConfig().segmenter,
    overflow: Literal["quarantine", "letterbox"] = "quarantine",
    mask_fit: Literal["crop", "pad", "stretch"] | None = None,
) -> LoadedClips:
    """Ingest a folder of footage at the pack's length, frame rate and size, with masks and captions.

    Uses the user's masks, or else a segmenter's; the manifest's captions, or else the pack's scorer. Leaves out
    clips whose masks are weak.

    Args:
        pack: Provides size, segmenter and scorer.
        folder: Videos, or folders of frames, with an optional manifest.
        segmenter: Which one, as in the settings of masks.
        overflow: As in `IngestConfig`.
        mask_fit: As in `IngestConfig`.
        select: Called with a clip's row of the catalogue; False skips the clip before its masks are computed.
    """
    info, loaded = pack.info, LoadedClips()
    config = IngestConfig(frames=info.frames, fps=info.fps, size=info.size, overflow=overflow, mask_fit=mask_fit)
    segmenters = choose_segmenters(segmenter, pack)
    with tempfile.TemporaryDirectory() as work:
        catalogue = ingest(
            folder, Path(work) / "clips", config, read_masks=load_footage_masks, find_saliency=find_moving_areas
        )
        for refused in catalogue.quarantine.to_dict(orient="records"):
            loaded.left_out[str(refused["file"])] = str(refused["reason"])
        for name in track(catalogue.clips, "masks of clips"):
            row, frames = catalogue.row(name), catalogue.frames(name)
            if not select(row):
                continue
            masks = get_clip_masks(catalogue, name, segmenters)
            if not masks.known:
                loaded.unknown.append(name)
            if masks.quality.weak:
                loaded.left_out[name] = describe_weak_masks(masks)
                continue
            caption = row["caption"] or propose_caption(pack, frames)
            loaded.clips.append(TrainingClip(name, frames, masks.sequence.masks, caption))
            loaded.segmenters[name] = masks.segmenter
            if row["caption_note"]:
                loaded.caption_notes[name] = str(row["caption_note"])
            if row["crop_note"]:
                loaded.remarks[name] = str(row["crop_note"])
            loaded.motions[name] = motion_slug(str(row["motion"])) if row["motion"] else ""
    return loaded
