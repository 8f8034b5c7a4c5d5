"""Fetching a pack's parts from their publishers on the Hugging Face hub, into one folder that the loader reads.

Half-precision safetensors are taken where a publisher has them; nothing pickled is, but for segment-anything's own
checkpoint, which its loader reads without running code.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mvmodel.errors import PackError
from mvmodel.files import hash_file, user_cache_folder, write_json

SAM_FILE = "checkpoints/sam_vit_b_01ec64.pth"
SOURCES: dict[str, dict[str, str]] = {
    "sd15": {
        "vae": "stable-diffusion-v1-5/stable-diffusion-v1-5",
        "unet": "stable-diffusion-v1-5/stable-diffusion-v1-5",
        "text_encoder": "stable-diffusion-v1-5/stable-diffusion-v1-5",
        "tokenizer": "stable-diffusion-v1-5/stable-diffusion-v1-5",
        "scheduler": "stable-diffusion-v1-5/stable-diffusion-v1-5",
        "controlnet": "lllyasviel/control_v11p_sd15_seg",
        "segmenter": "ybelkada/segment-anything",
        "scorer": "laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
    }
}
"""Pack -> part -> the repository that it comes from."""
ABOUT: dict[str, dict[str, Any]] = {
    "sd15": {
        "name": "sd15",
        "description": "Stable Diffusion 1.5, a segmentation ControlNet, SAM ViT-B and OpenCLIP ViT-B-32.",
        "licence": "CreativeML Open RAIL-M (diffusion, ControlNet), Apache-2.0 (SAM), MIT (OpenCLIP)",
        "resolution": 512,
        "frames": 16,
        "fps": 8,
        "segmenter": {"type": "vit_b", "checkpoint": "segmenter/sam.pth"},
        "scorer": {"folder": "scorer"},
        "generation": {"guidance_scale": 7.5, "first_frame_guidance": 7.5},
    }
}


def pull(name: str, folder: Path | None = None) -> Path:
    """Fetch pack `name` into `folder` (the usual place when None) and return it; parts that are there are kept.

    Raises PackError for an unknown name, or when a publisher cannot be reached or has no file that can be used.
    """
    if name not in SOURCES:
        raise PackError(f"there is no pack {name!r} to fetch; there are {', '.join(SOURCES)}")
    out = Path(folder) if folder else user_cache_folder() / "packs" / name
    if (out / "pack.json").exists():
        return out
    for part, repository in SOURCES[name].items():
        if not (out / part / ".complete").exists():
            _fetch(repository, part, out)
    for mark in out.glob("*/.complete"):
        mark.unlink()
    files = sorted(p for p in out.rglob("*") if p.is_file())
    hashes = {p.relative_to(out).as_posix(): hash_file(p) for p in files}
    write_json(out / "pack.json", {**ABOUT[name], "made_by": {"sources": SOURCES[name]}, "hashes": hashes})
    return out


def wanted(part: str, files: Sequence[str]) -> dict[str, str]:
    """Which of a repository's files make up `part`: file there -> name inside the part's folder.

    Raises PackError when the weights are not among them.
    """
    if part == "segmenter":
        chosen = {SAM_FILE: "sam.pth"} if SAM_FILE in files else {}
    elif part == "scorer":
        names = ("open_clip_config.json", "open_clip_model.safetensors")
        extra = [f for f in files if f in ("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt")]
        chosen = {name: name for name in (*names, *extra)} if set(names) <= set(files) else {}
    elif part in ("tokenizer", "scheduler"):
        chosen = {f: f.removeprefix(f"{part}/") for f in files if f.startswith(f"{part}/")}
    else:
        before = "" if part == "controlnet" else f"{part}/"
        stem = "model" if part == "text_encoder" else "diffusion_pytorch_model"
        weights = [f"{before}{stem}.fp16.safetensors", f"{before}{stem}.safetensors"]
        best = next((f for f in weights if f in files), None)
        chosen = {best: f"{stem}.safetensors", f"{before}config.json": "config.json"} if best else {}
    if not chosen:
        raise PackError(f"the publisher of the {part} has no weights that can be used; assemble the pack by hand")
    return chosen


def _fetch(repository: str, part: str, out: Path) -> None:
    from huggingface_hub import HfApi, hf_hub_download

    try:
        for source, name in wanted(part, HfApi().list_repo_files(repository)).items():
            cached = hf_hub_download(repository, source)
            (out / part).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(cached, out / part / name)
    except PackError:
        raise
    except Exception as error:  # the hub's client, its transport and the disk each raise their own kinds
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise PackError(
            f"the {part} cannot be fetched from {repository} ({reason}); see to the network and pull again, it goes on"
        ) from error
    (out / part / ".complete").touch()
