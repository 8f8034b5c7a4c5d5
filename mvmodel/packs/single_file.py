"""Makes a pack from a checkpoint of Stable Diffusion 1.x: a single .safetensors file, or a folder in diffusers' layout.

The ControlNet, the segmenter, the scorer, and the configurations of the other models come from a pack that exists.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline
from diffusers.loaders.single_file_utils import SingleFileComponentError
from safetensors import SafetensorError, safe_open

from mvmodel.errors import PackError
from mvmodel.files import atomic_folder, hash_file, write_json
from mvmodel.packs.device import move_model
from mvmodel.packs.info import check_parts_fit, read_pack_info

PredictionType = Literal["epsilon", "v_prediction"]
CHECKPOINT_PARTS = ("vae", "unet", "text_encoder", "tokenizer", "scheduler")
"""Parts that come from the checkpoint. A single file has no tokenizer and no scheduler; those are the other pack's."""
UNET_PREFIX, VAE_PREFIX, TEXT_PREFIX = "model.diffusion_model.", "first_stage_model.", "cond_stage_model.transformer."
CONVERSION_ERRORS = (SingleFileComponentError, OSError, ValueError, KeyError, RuntimeError, TypeError)
"""What diffusers raises for files that it cannot convert."""
WEIGHTS_NAMES = {
    "vae": "diffusion_pytorch_model.safetensors",
    "unet": "diffusion_pytorch_model.safetensors",
    "text_encoder": "model.safetensors",
}
"""Names of the files with weights in diffusers' layout."""
PARAMETERIZATION_KEYS = {"v_pred": "prediction_type", "ztsnr": "rescale_betas_zero_snr"}
"""Empty tensors by which community checkpoints say that they predict v, or were trained with zero terminal SNR."""


OTHER_KINDS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("a checkpoint of Stable Diffusion XL", ("conditioner.embedders.",), ()),
    ("a checkpoint of Stable Diffusion 2", ("cond_stage_model.model.",), ()),
    ("a LoRA, which changes a checkpoint and is none", ("lora_", "lycoris_"), (".lora_", ".hada_w", ".lokr_w")),
    ("a checkpoint of a transformer model", ("double_blocks.", "blocks.0."), (".double_blocks.", ".joint_blocks.")),
    ("a ControlNet", ("control_model.", "controlnet_cond_embedding."), ()),
    ("an IP-Adapter", ("image_proj.", "ip_adapter."), ()),
    ("a motion module, which changes a checkpoint and is none", (), (".motion_modules.",)),
    ("an embedding of words (textual inversion)", ("emb_params", "clip_l", "clip_g"), ()),
    ("a UNet alone; give its folder in diffusers' layout, with the other models", ("down_blocks.", "conv_in."), ()),
    ("an autoencoder alone; give it with --vae beside a checkpoint", ("decoder.conv_in.", "decoder.mid"), ()),
)
"""What other files are, and what the names of their tensors begin with, or hold."""


def write_pack_from_checkpoint(
    checkpoint: Path,
    folder: Path,
    base: Path,
    *,
    vae: Path | None = None,
    prediction_type: PredictionType | None = None,
    licence: str = "not stated; see the checkpoint's publisher",
) -> Path:
    """Write a pack to `folder` and return it. Weights are stored in half precision.

    Args:
        checkpoint: A .safetensors file in the original layout of Stable Diffusion 1.x, or a folder with the parts of
            `CHECKPOINT_PARTS` in diffusers' layout.
        folder: An existing one is replaced.
        base: Folder of a pack of Stable Diffusion 1.x, such as sd15. Its files are linked where that is possible.
        vae: A .safetensors file with another autoencoder, in the original layout.
        prediction_type: What the UNet predicts; None is what the checkpoint says, else epsilon.
        licence: Of the checkpoint.

    Raises:
        PackError: The file cannot be read, is no complete checkpoint of Stable Diffusion 1.x, or does not fit the
            ControlNet of `base`; names the reason.
    """
    checkpoint, base = Path(checkpoint), Path(base)
    info = read_pack_info(base)
    with atomic_folder(folder) as out:
        for part in ("controlnet", "segmenter", "scorer"):
            _link_folder(base / part, out / part)
        if checkpoint.is_dir():
            _link_diffusers_folder(checkpoint, out)
            options: dict[str, Any] = {}
        else:
            keys = _read_keys(checkpoint)
            _check_architecture(checkpoint, keys, vae is not None)
            options = {PARAMETERIZATION_KEYS[key]: True for key in PARAMETERIZATION_KEYS if key in keys}
            if options.pop("prediction_type", False):
                options["prediction_type"] = "v_prediction"
            _convert_single_file(checkpoint, base, out, with_vae=vae is None)
        if vae is not None:
            _convert_vae(vae, base, out)
        if prediction_type is not None:
            options["prediction_type"] = prediction_type
        _set_scheduler_options(out / "scheduler" / "scheduler_config.json", options)
        try:
            check_parts_fit(out)
        except PackError as error:  # it names the folder, which has another name until it is whole
            raise PackError(str(error).replace(str(out), str(folder))) from error
        files = sorted(path for path in out.rglob("*") if path.is_file())
        description = info.model_dump(mode="json", exclude={"quality", "start_adapter", "random"}) | {
            "name": folder.name,
            "description": f"{checkpoint.name} with the other models of {info.name}.",
            "licence": f"{licence} ({checkpoint.name}); {info.licence} (other models)",
            "random": info.random,
            "made_by": {"checkpoint": checkpoint.name, "base": info.name, "vae": vae.name if vae else None, **options},
            "hashes": {path.relative_to(out).as_posix(): hash_file(path) for path in files},
        }
        write_json(out / "pack.json", description)
    return folder


def _read_keys(checkpoint: Path) -> dict[str, tuple[int, ...]]:
    """Name -> shape of the tensors in a file. Raises PackError if it is no safetensors file."""
    if checkpoint.suffix.lower() != ".safetensors":
        raise PackError(
            f"{checkpoint} is not a .safetensors file; pickled checkpoints can run code, and other kinds of files are "
            f"not known, so convert it with a tool that you trust"
        )
    try:
        with safe_open(checkpoint, "pt") as tensors:
            return {name: tuple(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise PackError(f"{checkpoint} cannot be read ({error}); download it again") from error


def _check_architecture(checkpoint: Path, keys: dict[str, tuple[int, ...]], has_vae: bool) -> None:
    """Raise PackError, saying what the file is, unless it is a checkpoint of Stable Diffusion 1.x."""

    def has(prefix: str) -> bool:
        return any(key.startswith(prefix) for key in keys)

    for kind, prefixes, infixes in OTHER_KINDS:
        if any(has(prefix) for prefix in prefixes) or any(infix in key for key in keys for infix in infixes):
            raise PackError(f"{checkpoint} is {kind}; packs take checkpoints of Stable Diffusion 1.x")
    parts = {"UNet": UNET_PREFIX, "text encoder": TEXT_PREFIX} | ({} if has_vae else {"autoencoder": VAE_PREFIX})
    missing = [name for name, prefix in parts.items() if not has(prefix)]
    if missing:
        hint = "give one with --vae" if missing == ["autoencoder"] else "use a complete checkpoint"
        raise PackError(f"{checkpoint} has no {' and no '.join(missing)}; {hint}")
    channels = keys.get(f"{UNET_PREFIX}input_blocks.0.0.weight", (0, 4))[1]
    if channels != 4:
        kinds = {9: "an inpainting model", 8: "an InstructPix2Pix model"}
        raise PackError(
            f"{checkpoint} is {kinds.get(channels, 'another model')}, whose UNet takes {channels} channels; packs take "
            f"text-to-image checkpoints"
        )


def _convert_single_file(checkpoint: Path, base: Path, out: Path, with_vae: bool) -> None:
    """Write the models of a file in diffusers' layout. Configurations, tokenizer and scheduler are those of `base`."""
    parts = CHECKPOINT_PARTS if with_vae else CHECKPOINT_PARTS[1:]
    with tempfile.TemporaryDirectory() as temporary:
        configs = Path(temporary)
        for part in parts:
            (configs / part).symlink_to((base / part).resolve())
        write_json(configs / "model_index.json", _model_index(parts))
        try:
            pipeline = StableDiffusionPipeline.from_single_file(
                str(checkpoint),
                config=str(configs),
                local_files_only=True,
                torch_dtype=torch.float16,
                safety_checker=None,
                requires_safety_checker=False,
                **({} if with_vae else {"vae": None}),
            )
        except CONVERSION_ERRORS as error:
            reason = str(error).strip().splitlines()[0]
            raise PackError(
                f"{checkpoint} is no checkpoint of the architecture of {base} ({reason}); packs take checkpoints of "
                f"Stable Diffusion 1.x"
            ) from error
    for part in parts:
        component = getattr(pipeline, part)
        has_weights = isinstance(component, torch.nn.Module)
        if has_weights:
            _refuse_missing_weights(checkpoint, part, component)
            move_model(component, torch.float16)
            component.save_pretrained(out / part)
        else:
            _link_folder(base / part, out / part)


def _convert_vae(vae: Path, base: Path, out: Path) -> None:
    _read_keys(vae)
    shutil.rmtree(out / "vae", ignore_errors=True)
    try:
        model = AutoencoderKL.from_single_file(str(vae), config=str(base), subfolder="vae", local_files_only=True)
    except CONVERSION_ERRORS as error:
        reason = str(error).strip().splitlines()[0]
        raise PackError(
            f"{vae} is no autoencoder of Stable Diffusion 1.x ({reason}); give another with --vae"
        ) from error
    _refuse_missing_weights(vae, "vae", model)
    move_model(model, torch.float16).save_pretrained(out / "vae")


def _refuse_missing_weights(file: Path, part: str, model: torch.nn.Module) -> None:
    """Raise PackError if weights of a model were not in the file: they are then left on the meta device."""
    missing = [name for name, value in model.named_parameters() if value.is_meta]
    if missing:
        raise PackError(f"{file} lacks {len(missing)} weights of the {part}, such as {missing[0]}; download it again")


def _model_index(parts: Sequence[str]) -> dict[str, Any]:
    """diffusers' description of a pipeline with these parts."""
    classes = {
        "vae": ["diffusers", "AutoencoderKL"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "scheduler": ["diffusers", "DDIMScheduler"],
    }
    index: dict[str, Any] = {part: classes[part] for part in parts}
    return {
        "_class_name": "StableDiffusionPipeline",
        **index,
        "safety_checker": [None, None],
        "feature_extractor": [None, None],
    }


def _link_diffusers_folder(checkpoint: Path, out: Path) -> None:
    missing = [part for part in CHECKPOINT_PARTS if not (checkpoint / part).is_dir()]
    if missing:
        raise PackError(
            f"{checkpoint} lacks the folders {', '.join(missing)}; give a folder in diffusers' layout or a "
            f".safetensors file"
        )
    for part in CHECKPOINT_PARTS:
        _link_folder(checkpoint / part, out / part)
    for part, name in WEIGHTS_NAMES.items():
        _check_weights(checkpoint / part, out / part, name)


def _check_weights(source: Path, target: Path, name: str) -> None:
    """Take the half-precision variant of weights if there is no other. Raises PackError if files are missing."""
    file, variant, index = target / name, target / name.replace(".", ".fp16."), target / f"{name}.index.json"
    if file.is_file():
        return
    if index.is_file():
        try:
            shards = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise PackError(f"{source / index.name} is no list of weights ({error}); download it again") from error
        missing = [shard for shard in shards if not (target / shard).is_file()]
        if missing:
            raise PackError(f"{source} lacks {', '.join(missing)}, which {index.name} names; download it again")
    elif variant.is_file():
        variant.rename(file)
    else:
        pickles = any(source.glob("*.bin")) or any(source.glob("*.pt"))
        reason = "only pickled weights, which can run code and are not loaded" if pickles else "no weights"
        raise PackError(f"{source} holds {reason}; put {name} there")


def _link_folder(source: Path, target: Path) -> None:
    """Make the files of a folder appear in another one: as hard links, or as copies between file systems."""
    for file in sorted(path for path in source.rglob("*") if path.is_file()):
        place = target / file.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(file.resolve(), place)
        except OSError:
            shutil.copyfile(file, place)


def _set_scheduler_options(file: Path, options: dict[str, Any]) -> None:
    config = json.loads(file.read_text())
    if options:
        write_json(file, config | options)  # atomic: replaces a hard link without touching the other pack's file
