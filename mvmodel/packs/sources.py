"""Where the models of a pack are published, under which licence, and how large they are. Imports nothing heavy."""

from __future__ import annotations

from typing import Any

from mvmodel.config import Config
from mvmodel.errors import PackError
from mvmodel.packs.info import ControlKind

PULL_STATE = ".pull.json"
"""File in an unfinished pack: its sources and their revisions, so that a resumed download does not mix two."""


class Source(Config):
    """A repository on the Hugging Face Hub that publishes a part of a pack."""

    repository: str
    publisher: str
    licence: str
    megabytes: float
    """Size of the files that are downloaded, in units of 10^6 bytes. If the hub answers, its own figure replaces it."""


OPEN_RAIL_M = "CreativeML Open RAIL-M"
STABLE_DIFFUSION = "stable-diffusion-v1-5/stable-diffusion-v1-5"
STABLE_DIFFUSION_PUBLISHER = "Stable Diffusion community, a mirror of Runway's repository"
CONTROLNETS: dict[ControlKind, str] = {
    "scribble": "lllyasviel/control_v11p_sd15_scribble",
    "softedge": "lllyasviel/control_v11p_sd15_softedge",
    "segmentation": "lllyasviel/control_v11p_sd15_seg",
    "canny": "lllyasviel/control_v11p_sd15_canny",
}
"""Kind of control picture -> repository of the ControlNet 1.1 that was trained on it. Nobody trained one on masks."""
SAM_VIT_B = Source(
    repository="ybelkada/segment-anything",
    publisher="Younes Belkada, a mirror of Meta's checkpoint",
    licence="Apache-2.0",
    megabytes=375,
)
PACK_SOURCES: dict[str, dict[str, Source]] = {
    "sd15": {
        **{
            part: Source(
                repository=STABLE_DIFFUSION,
                publisher=STABLE_DIFFUSION_PUBLISHER,
                licence=OPEN_RAIL_M,
                megabytes=megabytes,
            )
            for part, megabytes in (
                ("vae", 167),
                ("unet", 1719),
                ("text_encoder", 246),
                ("tokenizer", 1.6),
                ("scheduler", 0.1),
            )
        },
        "controlnet": Source(
            repository=CONTROLNETS["scribble"], publisher="Lvmin Zhang", licence=OPEN_RAIL_M, megabytes=723
        ),
        "segmenter": SAM_VIT_B,
        "scorer": Source(
            repository="laion/CLIP-ViT-B-32-laion2B-s34B-b79K", publisher="LAION", licence="MIT", megabytes=609
        ),
    }
}
"""Pack -> part -> its source."""
PACK_DESCRIPTIONS: dict[str, dict[str, Any]] = {
    "sd15": {
        "name": "sd15",
        "description": "Stable Diffusion 1.5, a ControlNet 1.1, SAM ViT-B and OpenCLIP ViT-B-32.",
        "licence": "CreativeML Open RAIL-M (diffusion, ControlNet), Apache-2.0 (SAM), MIT (OpenCLIP)",
        "size": "512x320",
        "frames": 16,
        "fps": 8,
        "segmenter": {"type": "vit_b", "checkpoint": "segmenter/sam.pth"},
        "scorer": {"folder": "scorer"},
        "generation": {"guidance_scale": 7.5, "first_frame_guidance": 7.5},
        "training": {
            "steps": 3000,
            "lr": 3e-5,
            "mask_lr": 3e-4,
            "warmup": 100,
            "checkpoint_every": 250,
        },
        "control": "scribble",
    }
}
"""Pack -> its `pack.json`, without hashes. docs/sd15.md gives the reasons for its settings."""


def find_pack_sources(name: str, control: ControlKind | None = None) -> dict[str, Source]:
    """Part -> source of the pack `name`, with the ControlNet that was trained on `control`; None is the pack's own.

    Raises PackError if there is no such pack, or no ControlNet for that kind of picture.
    """
    if name not in PACK_SOURCES:
        raise PackError(f"there is no pack {name!r} to fetch; there are {', '.join(PACK_SOURCES)}")
    sources = dict(PACK_SOURCES[name])
    if control is None:
        return sources
    if control not in CONTROLNETS:
        raise PackError(
            f"nobody publishes a ControlNet for {control!r} that fits {name}; use one of {', '.join(CONTROLNETS)}"
        )
    sources["controlnet"] = sources["controlnet"].model_copy(update={"repository": CONTROLNETS[control]})
    return sources


def describe_pack(name: str, control: ControlKind | None = None) -> dict[str, Any]:
    """The `pack.json` of `PACK_DESCRIPTIONS`, for a ControlNet that was trained on `control`."""
    return PACK_DESCRIPTIONS[name] | ({"control": control} if control else {})
