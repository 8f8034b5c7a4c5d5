"""The foundation stages by name: what each needs and how it is run. `python -m mvmodel.foundation [STAGE ...]`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from mvmodel.errors import InputError

STAGES = ("vae", "text_to_image", "controlnet", "decoder", "segmenter", "scorer", "start_adapter", "pack")


def run_stage(
    stage: str,
    folder: Path,
    out: Path | None = None,
    start: Path | None = None,
    changes: dict[str, Any] | None = None,
) -> Path:
    """Train one stage inside `folder`, resuming what was stopped; "pack" assembles the pack at `out`.

    start: a pack whose weights a model goes on from, where they fit; to "pack", it lends what was not trained.
    changes: fields of the stage's `LoopConfig`.

    Raises InputError for an unknown stage, or when a stage it builds on has not been trained.
    """
    if stage not in STAGES:
        raise InputError(f"there is no foundation stage {stage!r}; use one of {', '.join(STAGES)}")
    folder = Path(folder)
    if stage == "pack":
        from mvmodel.foundation.pack import assemble
        from mvmodel.packs.info import SHIPPED

        return assemble(folder, out or SHIPPED / "tiny", start=start)
    own = folder / stage
    if (own / "done").exists():
        return own
    if start is not None:
        _note_start(stage, Path(start), own)
    _train(stage, folder, own, Path(start) if start else None, changes or {})
    (own / "done").touch()
    return own


def _train(stage: str, folder: Path, own: Path, start: Path | None, changes: dict[str, Any]) -> None:
    from importlib import import_module

    module = import_module(f"mvmodel.foundation.{stage}")
    options: dict[str, Any] = {"config": replace(module.CONFIG, **changes), "start": start}
    if stage in ("text_to_image", "decoder"):
        from diffusers import AutoencoderKL

        module.run(own, AutoencoderKL.from_pretrained(_need(folder / "vae" / "model")).eval(), **options)
    elif stage == "controlnet":
        module.run(own, load_models(folder), cache=folder / "text_to_image", **options)
    elif stage == "start_adapter":
        module.run(own, load_models(folder), **options)
    else:
        module.run(own, **options)


def _note_start(stage: str, start: Path, own: Path) -> None:
    """Keep in start.json which pack a stage goes on from, and how that pack's own part was trained."""
    from mvmodel.files import write_json
    from mvmodel.packs.info import read_info
    from mvmodel.packs.loader import Pack

    own.mkdir(parents=True, exist_ok=True)
    earlier = read_info(start).made_by.get(stage, {})
    write_json(own / "start.json", {"pack_hash": Pack(start).hash, "made_by": earlier})


def _need(path: Path) -> Path:
    if not path.is_dir():
        raise InputError(f"{path} is missing; train that stage first (python -m mvmodel.foundation)")
    return path


def load_models(folder: Path):  # type: ignore[no-untyped-def]  # importing the type would import torch
    """The trained text-to-image models of a foundation folder, as `text_to_image.Models`."""
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import AutoTokenizer, CLIPTextModel

    from mvmodel.foundation.text_to_image import Models

    text = folder / "text_to_image"
    return Models(
        vae=AutoencoderKL.from_pretrained(_need(folder / "vae" / "model")).eval(),
        unet=UNet2DConditionModel.from_pretrained(_need(text / "unet")).eval(),
        text_encoder=CLIPTextModel.from_pretrained(_need(text / "text_encoder")).eval(),
        tokenizer=AutoTokenizer.from_pretrained(str(_need(text / "tokenizer"))),
        scheduler=DDIMScheduler.from_pretrained(_need(text / "scheduler")),
    )
