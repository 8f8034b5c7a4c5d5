"""The foundation stages by name: what each needs and how it is run. `python -m mvmodel.foundation [STAGE ...]`."""

from __future__ import annotations

from pathlib import Path

from mvmodel.errors import InputError

STAGES = ("vae", "text_to_image", "controlnet", "segmenter", "scorer", "start_adapter", "pack")


def run_stage(stage: str, folder: Path, out: Path | None = None) -> Path:
    """Train one stage inside `folder`, resuming what was stopped; "pack" assembles the pack at `out`.

    Raises InputError for an unknown stage, or when a stage it builds on has not been trained.
    """
    if stage not in STAGES:
        raise InputError(f"there is no foundation stage {stage!r}; use one of {', '.join(STAGES)}")
    folder = Path(folder)
    if stage == "pack":
        from mvmodel.foundation.pack import assemble

        return assemble(folder, out) if out else assemble(folder)
    own = folder / stage
    if (own / "done").exists():
        return own
    _train(stage, folder, own)
    (own / "done").touch()
    return own


def _train(stage: str, folder: Path, own: Path) -> None:
    if stage == "vae":
        from mvmodel.foundation import vae

        vae.run(own)
    elif stage == "segmenter":
        from mvmodel.foundation import segmenter

        segmenter.run(own)
    elif stage == "scorer":
        from mvmodel.foundation import scorer

        scorer.run(own)
    elif stage == "text_to_image":
        from diffusers import AutoencoderKL

        from mvmodel.foundation import text_to_image

        text_to_image.run(own, AutoencoderKL.from_pretrained(_need(folder / "vae" / "model")).eval())
    else:
        models = load_models(folder)
        if stage == "controlnet":
            from mvmodel.foundation import controlnet

            controlnet.run(
                own,
                models.vae,
                models.unet,
                models.text_encoder,
                models.tokenizer,
                models.scheduler,
                cache=folder / "text_to_image",
            )
        else:
            from mvmodel.foundation import start_adapter

            start_adapter.run(own, models)


def _need(path: Path) -> Path:
    if not path.is_dir():
        raise InputError(f"{path} is missing; train that stage first (python -m mvmodel.foundation)")
    return path


def load_models(folder: Path):  # type: ignore[no-untyped-def]  # importing the type would import torch
    """The trained text-to-image models of a foundation folder, as `start_adapter.Models`."""
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
    from transformers import AutoTokenizer, CLIPTextModel

    from mvmodel.foundation.start_adapter import Models

    text = folder / "text_to_image"
    return Models(
        vae=AutoencoderKL.from_pretrained(_need(folder / "vae" / "model")).eval(),
        unet=UNet2DConditionModel.from_pretrained(_need(text / "unet")).eval(),
        text_encoder=CLIPTextModel.from_pretrained(_need(text / "text_encoder")).eval(),
        tokenizer=AutoTokenizer.from_pretrained(str(_need(text / "tokenizer"))),
        scheduler=DDIMScheduler.from_pretrained(_need(text / "scheduler")),
    )
