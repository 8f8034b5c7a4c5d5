"""Options and arguments that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

MAX_SEED = 2**63 - 1


class OverflowName(StrEnum):
    """What `IngestConfig.overflow` may be."""

    quarantine = "quarantine"
    letterbox = "letterbox"


class FitName(StrEnum):
    """Rules of `mvmodel.masks.fit`."""

    crop = "crop"
    pad = "pad"
    stretch = "stretch"


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for other programs.")]
PackName = Annotated[
    str | None, typer.Option("--pack", help="Name or folder of the model pack. Default: $MVMODEL_PACK, then tiny.")
]
RunSize = Annotated[
    str | None,
    typer.Option(
        "--size",
        metavar="WIDTHxHEIGHT",
        help='Width and height in pixels, such as "512x320", or one number for a square. Default: the pack\'s.',
    ),
]
SegmenterName = Annotated[
    str,
    typer.Option(
        "--segmenter",
        help="auto, pack, u2netp, sam_vit_b, sam_vit_l, sam_vit_h, sam2.1-tiny, sam2.1-large, edgetam, or a path of "
        "weights. auto: the pack's own, or another one if its masks are weak.",
    ),
]
Memory = Annotated[
    str,
    typer.Option(
        "--memory",
        help="How much is done to save memory: auto (by the free memory), 24gb, 16gb, 12gb or 8gb.",
    ),
]
Overflow = Annotated[
    OverflowName,
    typer.Option(
        "--overflow",
        help="Clips whose masks need more of the picture than a clip of this size shows: leave them out, or letterbox "
        "them.",
    ),
]
FitMasks = Annotated[
    FitName,
    typer.Option(
        "--fit",
        help="How masks of another shape are fitted: crop (a window around the foreground), pad or stretch.",
    ),
]
FitClipMasks = Annotated[
    FitName | None,
    typer.Option(
        "--fit",
        help="How clips' own masks of another shape lie on their frames: crop (from the middle), pad or stretch. "
        "Default: such clips are left out.",
    ),
]
Overwrite = Annotated[
    bool,
    typer.Option(
        "--overwrite",
        help="Replace outputs that exist. Without it, only unchanged outputs of mvmodel are replaced. "
        "Inputs are never overwritten.",
    ),
]
Seed = Annotated[
    int, typer.Option("--seed", help="Random seed. The same seed gives the same result.", min=0, max=MAX_SEED)
]

MasksArgument = Annotated[
    Path, typer.Argument(metavar="MASKS", help="A folder of PNGs, a GIF, a video, an .npz, .npy or COCO .json.")
]
MasksOut = Annotated[
    Path, typer.Option("--out", help="Output file: .npz, .json (COCO), .gif or .mp4; or a folder for PNGs.")
]
PreviewOut = Annotated[
    Path | None, typer.Option("--preview", help="Also write a .gif or .mp4 preview and a contact sheet.")
]
Invert = Annotated[bool, typer.Option("--invert", "--black", help="The object is black or transparent in the masks.")]
Every = Annotated[
    int | None,
    typer.Option("--every", help="The masks are of every n-th frame; those between are interpolated.", min=2),
]
LibraryFolder = Annotated[
    Path | None,
    typer.Option("--library", help="Folder of a mask_library asset. Default: the newest one under .mvmodel."),
]
