"""Downloads the parts of a pack from the Hugging Face Hub into one folder that the loader reads.

Prefers half-precision safetensors. Downloads no pickled files, except the checkpoint of segment-anything, which its
loader reads without running code.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, snapshot_download

from mvmodel.errors import PackError
from mvmodel.files import hash_file, user_cache_folder, write_json

SAM_FILE = "checkpoints/sam_vit_b_01ec64.pth"
PACK_SOURCES: dict[str, dict[str, str]] = {
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
"""Pack -> part -> Hugging Face repository."""
PACK_DESCRIPTIONS: dict[str, dict[str, Any]] = {
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
"""Pack -> its `pack.json`, without hashes."""


def pull_pack(name: str, folder: Path | None = None) -> Path:
    """Downloads the pack `name` and returns its folder. Skips parts that were downloaded before.

    Args:
        name: a key of `PACK_SOURCES`.
        folder: where the pack is written; `user_cache_folder()`/packs/`name` if None.

    Raises:
        PackError: the name is unknown, or a repository cannot be reached or has no usable file.
    """
    if name not in PACK_SOURCES:
        raise PackError(f"there is no pack {name!r} to fetch; there are {', '.join(PACK_SOURCES)}")
    out = Path(folder) if folder else user_cache_folder() / "packs" / name
    if (out / "pack.json").exists():
        return out
    for part, repository in PACK_SOURCES[name].items():
        if not (out / part / ".complete").exists():
            _download_part(repository, part, out)
    for mark in out.glob("*/.complete"):
        mark.unlink()
    files = sorted(p for p in out.rglob("*") if p.is_file())
    hashes = {p.relative_to(out).as_posix(): hash_file(p) for p in files}
    write_json(
        out / "pack.json", {**PACK_DESCRIPTIONS[name], "made_by": {"sources": PACK_SOURCES[name]}, "hashes": hashes}
    )
    return out


def select_files(part: str, files: Sequence[str]) -> dict[str, str]:
    """Selects the files of a repository that make up `part`: file -> its name in the part's folder.

    Raises PackError if the weights are not among the files.
    """
    if part == "segmenter":
        selected = {SAM_FILE: "sam.pth"} if SAM_FILE in files else {}
    elif part == "scorer":
        names = ("open_clip_config.json", "open_clip_model.safetensors")
        extra = [f for f in files if f in ("tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt")]
        selected = {name: name for name in (*names, *extra)} if set(names) <= set(files) else {}
    elif part in ("tokenizer", "scheduler"):
        selected = {f: f.removeprefix(f"{part}/") for f in files if f.startswith(f"{part}/")}
    else:
        prefix = "" if part == "controlnet" else f"{part}/"
        stem = "model" if part == "text_encoder" else "diffusion_pytorch_model"
        weights = [f"{prefix}{stem}.fp16.safetensors", f"{prefix}{stem}.safetensors"]
        best = next((f for f in weights if f in files), None)
        selected = {best: f"{stem}.safetensors", f"{prefix}config.json": "config.json"} if best else {}
    if not selected:
        raise PackError(f"the publisher of the {part} has no weights that can be used; assemble the pack by hand")
    return selected


def _download_part(repository: str, part: str, out: Path) -> None:
    try:
        files = select_files(part, HfApi().list_repo_files(repository))
        snapshot = Path(snapshot_download(repository, allow_patterns=list(files)))
        (out / part).mkdir(parents=True, exist_ok=True)
        for source, name in files.items():
            shutil.copyfile(snapshot / source, out / part / name)
    except PackError:
        raise
    except Exception as error:  # the hub's client, its transport and the disk each raise their own kinds
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise PackError(
            f"the {part} cannot be fetched from {repository} ({reason}); check the network and run the command again, "
            f"finished parts are not downloaded twice"
        ) from error
    (out / part / ".complete").touch()
