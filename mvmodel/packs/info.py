"""Reads `pack.json` and finds packs on this machine. Imports nothing heavy."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasChoices, Field, ValidationError

from mvmodel.config import Config, describe_validation_error
from mvmodel.errors import PackError
from mvmodel.files import hash_file, hash_value, is_inside_name, user_cache_folder
from mvmodel.picture_size import PictureSize, Size

SHIPPED_PACKS = Path(__file__).parent
"""Folder of the packs that ship with mvmodel."""
PACK_PARTS = ("vae", "unet", "text_encoder", "tokenizer", "scheduler", "controlnet", "segmenter", "scorer")
"""Folders that every pack must have."""
ControlKind = Literal["mask", "scribble", "softedge", "segmentation", "canny"]
"""What a ControlNet is shown of a mask; `mvmodel.backends.image_unet.control_pictures` draws it."""


PART_CLASSES = {
    "vae": re.compile("AutoencoderKL"),
    "unet": re.compile("UNet2DConditionModel"),
    "text_encoder": re.compile("CLIPTextModel|CLIPModel"),
    "controlnet": re.compile("ControlNetModel"),
    "scheduler": re.compile("(?!FlowMatch).*"),
}
"""Classes of diffusers and transformers whose configurations are read; of schedulers, all that add noise by betas."""
PART_DESCRIPTIONS = {
    "vae": "an AutoencoderKL",
    "unet": "a UNet2DConditionModel",
    "text_encoder": "a CLIPTextModel",
    "controlnet": "a ControlNetModel",
    "scheduler": "a DDIMScheduler or another one with betas",
}
_MAX_NAMED_CLIPS = 3
LARGE_UNET_BYTES = 4e8
"""Stable Diffusion 1.5's UNet takes 1.7e9 bytes in half precision, the tiny pack's 4e6."""


def _check_inside(name: str) -> str:
    if not is_inside_name(name):
        raise ValueError(f"{name!r} is not a path inside the pack's folder")
    return name


InsidePath = Annotated[str, AfterValidator(_check_inside)]
"""A path relative to the pack's folder that stays inside it: packs come from strangers."""


class SegmenterInfo(Config):
    """A segment-anything model type and its checkpoint, relative to the pack's folder."""

    type: str
    checkpoint: InsidePath


class ScorerInfo(Config):
    """An open_clip model: a `folder` of the pack in open_clip's layout, or a `model` name and its `checkpoint`."""

    folder: InsidePath | None = None
    model: str | None = None
    checkpoint: InsidePath | None = None


class GenerationInfo(Config):
    """Generation settings that suit a pack's models. None takes `backends.generation_config.GENERIC_SAMPLING`."""

    steps: int | None = Field(None, ge=1)
    """Denoising steps of the frames after frame 1."""
    guidance_scale: float | None = Field(None, ge=1)
    """Guidance of the frames after frame 1."""
    first_frame_guidance: float | None = Field(None, ge=1)
    """Guidance of frame 1 under the ControlNet."""
    control_scale: float | None = Field(None, ge=0)
    """Strength of the ControlNet."""
    later_frames: dict[str, Any] = {}
    """Values of the options in `backends.generation_config.LATER_FRAME_OPTIONS`, for runs that do not set them."""


class TrainingInfo(Config):
    """Training settings that suit a pack's models. None takes the default of `backends.training_config.TrainConfig`."""

    steps: int | None = Field(None, ge=1)
    """Optimizer steps."""
    lr: float | None = Field(None, gt=0)
    """Learning rate of the query deltas and the temporal attention."""
    mask_lr: float | None = Field(None, gt=0)
    """Learning rate of the mask encoder and projections."""
    warmup: int | None = Field(None, ge=0)
    """Steps over which the learning rates rise from 0."""
    checkpoint_every: int | None = Field(None, ge=1)
    """Steps between checkpoints."""
    gradient_checkpointing: bool | None = None
    """Recompute activations in the backward pass."""


class PackInfo(Config):
    """`pack.json`."""

    name: str
    description: str = ""
    licence: str
    size: Size = Field(validation_alias=AliasChoices("size", "resolution"))
    """Width and height in pixels of clips and videos, as "512x320", or one number for a square. Older packs call it
    resolution."""
    frames: int = Field(ge=2)
    """Frames of a training clip and of a generated video."""
    fps: float = Field(gt=0)
    objects: list[str] = []
    """Object words that the models know. Empty if the vocabulary is open."""
    backgrounds: dict[str, str] = {}
    """Background name -> its phrase in captions."""
    segmenter: SegmenterInfo
    scorer: ScorerInfo
    start_adapter: InsidePath | None = None
    generation: GenerationInfo = GenerationInfo()
    """Defaults for generation settings that a run leaves unset."""
    training: TrainingInfo = TrainingInfo()
    """Defaults for training settings that a run leaves unset."""
    control: ControlKind = "mask"
    """What the pack's ControlNet was trained to be shown."""
    min_reconstruction: float | None = Field(None, gt=0)
    """Lowest mean of PSNR and SNR, in dB, at which the autoencoder reproduces footage that the image model knows. None:
    it knows all footage."""
    sizes: dict[str, float] = {}
    """Size -> IoU of generated videos with their masks, where it was measured (`python -m benchmarks shapes`)."""
    random: bool = False
    """The weights are random numbers, for tests and benchmarks. Every report says so."""
    made_by: dict[str, Any] = {}
    """How the weights were made: configs, seeds, seconds."""
    quality: dict[str, float] = {}
    """What `mvmodel packs check` measured when the pack was built."""
    hashes: dict[str, str] = {}
    """File -> SHA-256."""


def describe_unknown_footage(pack: PackInfo, clips: Sequence[str]) -> str:
    """One sentence for clips that a pack's image model does not know, with the ways on."""
    names = ", ".join(clips[:_MAX_NAMED_CLIPS]) + (", ..." if len(clips) > _MAX_NAMED_CLIPS else "")
    return (
        f"the image model of the pack {pack.name} cannot draw footage such as {names}: masks and motions of it can be "
        f"used, for objects that the pack knows, but videos that look like it need a pack that knows photographs "
        f"(mvmodel packs pull sd15)"
    )


def get_default_pack_name() -> str:
    """Returns `MVMODEL_PACK` if it is set, else "tiny"."""
    return os.environ.get("MVMODEL_PACK", "tiny")


def find_pack_folder(name_or_folder: str | Path) -> Path:
    """Returns a pack's folder: a path as it is, or the folder of a shipped or downloaded pack of that name.

    Raises PackError if there is no such pack.
    """
    path = Path(name_or_folder)
    for folder in (path, SHIPPED_PACKS / path, user_cache_folder() / "packs" / path):
        if (folder / "pack.json").is_file():
            return folder
    names = ", ".join(sorted(list_packs())) or "none"
    raise PackError(
        f"there is no model pack {str(name_or_folder)!r} (known: {names}); give a folder with a pack.json, or fetch "
        f"one with `mvmodel packs pull sd15`"
    )


def list_packs() -> dict[str, Path]:
    """Returns name -> folder of the packs on this machine."""
    folders = {}
    for root in (SHIPPED_PACKS, user_cache_folder() / "packs"):
        for file in sorted(root.glob("*/pack.json")):
            folders[file.parent.name] = file.parent
    return folders


def read_pack_info(folder: Path) -> PackInfo:
    """Reads and validates `pack.json`. Raises PackError if it is missing or invalid."""
    file = folder / "pack.json"
    try:
        return PackInfo.model_validate(json.loads(file.read_text(encoding="utf-8-sig")))  # Notepad writes a mark
    except ValidationError as error:
        reason = describe_validation_error(error, PackInfo)
    except (OSError, ValueError) as error:  # no JSON, or no UTF-8
        reason = str(error).splitlines()[0]
    raise PackError(f"{file} does not describe a model pack ({reason}); rewrite it or download the pack again")


def has_large_unet(folder: Path) -> bool:
    """Whether a pack's UNet is so large that a CPU takes minutes for what a GPU does in seconds; reads no weights."""
    return sum(file.stat().st_size for file in (folder / "unet").glob("*.safetensors")) > LARGE_UNET_BYTES


def read_size_multiple(folder: Path) -> int:
    """What width and height in pixels must be divisible by: the factors of the pack's autoencoder and UNet, multiplied.

    Reads their config.json, so that a size is checked before weights are loaded. Raises PackError if one is missing.
    """
    halvings = 0
    for part in ("vae", "unet"):
        try:
            halvings += len(_read_part_config(folder, part)["block_out_channels"]) - 1
        except (KeyError, TypeError) as error:
            file = folder / part / "config.json"
            raise PackError(f"{file} does not describe a model ({error}); fetch or assemble the pack again") from error
    return int(2**halvings)


def read_run_info(folder: Path, size: PictureSize | None = None) -> PackInfo:
    """`read_pack_info` with the size of a run in place of the pack's; None keeps the pack's.

    Raises InputError, which names a size that can be used, if the pack's models cannot process that size.
    """
    info = read_pack_info(folder)
    if size is None:
        info.size.check_multiple(read_size_multiple(folder), info.name)
        return info
    size.check_multiple(read_size_multiple(folder), info.name)
    return info.model_copy(update={"size": size})


def hash_pack_files(folder: Path) -> dict[str, str]:
    """Path in the pack -> SHA-256, of every file except `pack.json` and READMEs."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in ("pack.json", "README.md"))
    return {p.relative_to(folder).as_posix(): hash_file(p) for p in files}


def hash_pack(folder: Path, info: PackInfo) -> str:
    """Hash of a pack's files, hexadecimal. Uses the hashes in `pack.json` if there are any."""
    return hash_value(info.hashes or hash_pack_files(folder))


def check_parts(folder: Path) -> None:
    """Raise PackError, naming the parts, if parts of a pack are missing or do not fit each other."""
    missing = [part for part in PACK_PARTS if not (folder / part).is_dir()]
    if missing:
        raise PackError(f"model pack {folder} lacks {', '.join(missing)}; fetch or assemble it again")
    check_parts_fit(folder)


def _read_part_config(folder: Path, part: str) -> dict[str, Any]:
    """The configuration of a model. Raises PackError if it is none, or describes a model of another class."""
    file = folder / part / ("scheduler_config.json" if part == "scheduler" else "config.json")
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
        if not isinstance(config, dict):
            raise ValueError("it is no JSON object")
    except (OSError, ValueError) as error:
        raise PackError(f"{file} does not describe a model ({error}); fetch or assemble the pack again") from error
    name = config.get("_class_name") or next(iter(config.get("architectures") or ()), None)
    if name and not PART_CLASSES[part].fullmatch(str(name)):
        raise PackError(
            f"model pack {folder}: its {part} is of the class {name}; packs take the models of Stable Diffusion 1.x, "
            f"whose {part} is {PART_DESCRIPTIONS[part]}"
        )
    return config


def check_parts_fit(folder: Path) -> None:
    """Raise PackError, naming the parts, if the models of a pack do not fit each other or predict what is unknown here.

    Reads their configurations only.
    """
    configs = {part: _read_part_config(folder, part) for part in PART_CLASSES}
    unet, controlnet = configs["unet"], configs["controlnet"]
    if unet.get("addition_embed_type"):
        raise PackError(
            f"model pack {folder}: its unet wants more than a text ({unet['addition_embed_type']}), as that of Stable "
            f"Diffusion XL does; packs take the models of Stable Diffusion 1.x"
        )
    pairs = [
        (
            "unet takes texts",
            unet.get("cross_attention_dim"),
            "text_encoder",
            configs["text_encoder"].get("hidden_size"),
        ),
        ("unet takes latents", unet.get("in_channels"), "vae", configs["vae"].get("latent_channels", 4)),
        ("controlnet takes texts", controlnet.get("cross_attention_dim"), "unet", unet.get("cross_attention_dim")),
        ("controlnet has levels", controlnet.get("block_out_channels"), "unet", unet.get("block_out_channels")),
    ]
    for claim, expected, part, actual in pairs:
        if expected != actual:
            raise PackError(
                f"model pack {folder}: its {claim} of {expected}, but its {part} has {actual}; use parts that fit"
            )
    if configs["vae"].get("shift_factor"):
        raise PackError(
            f"model pack {folder}: its vae shifts latents, which Stable Diffusion's does not; use another vae"
        )
    prediction_type = configs["scheduler"].get("prediction_type", "epsilon")
    if prediction_type not in ("epsilon", "v_prediction"):
        raise PackError(
            f"model pack {folder}: its unet predicts {prediction_type}; packs take models that predict epsilon or "
            f"v_prediction"
        )
