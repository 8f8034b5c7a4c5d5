"""The training stages of the tiny pack: what each stage builds on, and which function trains it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import AutoTokenizer, CLIPTextModel

from mvmodel.errors import InputError
from mvmodel.files import write_json
from mvmodel.foundation.controlnet import CONTROLNET_LOOP, train_controlnet
from mvmodel.foundation.decoder import DECODER_LOOP, train_decoder
from mvmodel.foundation.pack_assembly import assemble_pack
from mvmodel.foundation.scorer import SCORER_LOOP, train_scorer
from mvmodel.foundation.segmenter import SEGMENTER_LOOP, train_segmenter
from mvmodel.foundation.start_adapter import START_ADAPTER_LOOP, train_start_adapter
from mvmodel.foundation.start_clips import StartAdapterData
from mvmodel.foundation.text_to_image import TEXT_TO_IMAGE_LOOP, TextToImageModels, train_text_to_image
from mvmodel.foundation.vae import AUTOENCODER_LOOP, train_autoencoder
from mvmodel.packs.info import SHIPPED_PACKS, read_pack_info
from mvmodel.packs.loader import Pack
from mvmodel.training.optimizer import LoopConfig

Trainer = Callable[..., Any]
"""`(stage folder, foundation folder, config, start pack)`: trains one stage and writes its weights."""


def _train_autoencoder(out: Path, foundation: Path, config: LoopConfig, start: Path | None) -> None:
    train_autoencoder(out, config, start)


def _train_text_to_image(out: Path, foundation: Path, config: LoopConfig, start: Path | None) -> None:
    train_text_to_image(out, _load_autoencoder(foundation), config, start=start)


def _train_controlnet(out: Path, foundation: Path, config: LoopConfig, start: Path | None) -> None:
    models = load_text_to_image_models(foundation)
    train_controlnet(out, models, foundation / "text_to_image", config, start=start)


def _train_decoder(out: Path, foundation: Path, config: LoopConfig, start: Path | None) -> None:
    train_decoder(out, _load_autoencoder(foundation), config, start)


def _train_segmenter(out: Path, foundation: Path, config: LoopConfig, start: Path | None) -> None:
    train_segmenter(out, config, start)


def _train_scorer(out: Path, foundation: Path, config: LoopConfig, start: Path | None) -> None:
    train_scorer(out, config, start)


def _train_start_adapter(
    out: Path,
    foundation: Path,
    config: LoopConfig,
    start: Path | None,
    data: StartAdapterData = StartAdapterData(),
    models: Path | None = None,
) -> None:
    image_models = load_text_to_image_models(foundation) if models is None else load_pack_models(models)
    train_start_adapter(out, image_models, config, data, start)


TRAINERS: dict[str, tuple[Trainer, LoopConfig]] = {
    "vae": (_train_autoencoder, AUTOENCODER_LOOP),
    "text_to_image": (_train_text_to_image, TEXT_TO_IMAGE_LOOP),
    "controlnet": (_train_controlnet, CONTROLNET_LOOP),
    "decoder": (_train_decoder, DECODER_LOOP),
    "segmenter": (_train_segmenter, SEGMENTER_LOOP),
    "scorer": (_train_scorer, SCORER_LOOP),
    "start_adapter": (_train_start_adapter, START_ADAPTER_LOOP),
}
"""Stage -> the function that trains it, and its default loop, in the order in which the stages run."""
STAGES = (*TRAINERS, "pack")


def run_stage(
    stage: str,
    foundation: Path,
    out: Path | None = None,
    start: Path | None = None,
    changes: dict[str, Any] | None = None,
    data: StartAdapterData | None = None,
    models: Path | None = None,
) -> Path:
    """Trains one stage in the folder `foundation` and returns the stage's folder. Resumes an interrupted training.

    The stage "pack" assembles the pack at `out` and returns it.

    Args:
        stage: one of `STAGES`.
        foundation: folder in which all stages train.
        out: where "pack" writes; the shipped pack's folder if None.
        start: a pack whose weights the training starts from, as far as they fit. "pack" copies parts from it that were
            not trained.
        changes: fields of the stage's `LoopConfig` to replace.
        data: what the stage "start_adapter" is trained on, and where.
        models: a pack whose image models the stage "start_adapter" uses, instead of those trained in `foundation`.

    Raises:
        InputError: the stage is unknown, or a stage that it builds on has not been trained.
    """
    if stage not in STAGES:
        raise InputError(f"there is no foundation stage {stage!r}; use one of {', '.join(STAGES)}")
    foundation = Path(foundation)
    if stage == "pack":
        return assemble_pack(foundation, out or SHIPPED_PACKS / "tiny", start=start)
    stage_folder = foundation / stage
    if (stage_folder / "done").exists():
        return stage_folder
    if start is not None:
        _write_start(stage, Path(start), stage_folder)
    trainer, config = TRAINERS[stage]
    if stage == "start_adapter":
        trainer = partial(trainer, data=data or StartAdapterData(), models=models)
    trainer(stage_folder, foundation, replace(config, **(changes or {})), Path(start) if start else None)
    (stage_folder / "done").touch()
    return stage_folder


def _write_start(stage: str, start: Path, stage_folder: Path) -> None:
    """Writes start.json: which pack the stage starts from, and how that pack's part was trained."""
    stage_folder.mkdir(parents=True, exist_ok=True)
    history = read_pack_info(start).made_by.get(stage, {})
    write_json(stage_folder / "start.json", {"pack_hash": Pack(start).hash, "made_by": history})


def _require_folder(path: Path) -> Path:
    if not path.is_dir():
        raise InputError(f"{path} is missing; train that stage first (python -m mvmodel.foundation)")
    return path


def _load_autoencoder(foundation: Path) -> AutoencoderKL:
    return AutoencoderKL.from_pretrained(_require_folder(foundation / "vae" / "model")).eval()


def load_text_to_image_models(foundation: Path) -> TextToImageModels:
    """Loads the trained text-to-image models of a foundation folder."""
    folder = foundation / "text_to_image"
    return TextToImageModels(
        vae=_load_autoencoder(foundation),
        unet=UNet2DConditionModel.from_pretrained(_require_folder(folder / "unet")).eval(),
        text_encoder=CLIPTextModel.from_pretrained(_require_folder(folder / "text_encoder")).eval(),
        tokenizer=AutoTokenizer.from_pretrained(str(_require_folder(folder / "tokenizer"))),
        scheduler=DDIMScheduler.from_pretrained(_require_folder(folder / "scheduler")),
    )


def load_pack_models(folder: Path) -> TextToImageModels:
    """Loads the text-to-image models of a pack, in float32."""
    pack = Pack(folder, device="cpu", dtype="float32")
    return TextToImageModels(pack.vae(), pack.unet(), pack.text_encoder(), pack.tokenizer(), pack.scheduler())
