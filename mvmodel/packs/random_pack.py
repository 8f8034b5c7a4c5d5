"""Writes packs with random weights, for tests and benchmarks. They load like real packs.

`sd15` has the shapes of Stable Diffusion 1.5, SAM ViT-B and OpenCLIP ViT-B-32. `small` has the same classes with a few
hundred thousand weights. Their `pack.json` has `random: true`, and every report says so.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import open_clip
import torch
from diffusers import AutoencoderKL, ControlNetModel, DDIMScheduler, UNet2DConditionModel
from open_clip.model import CLIP
from open_clip.tokenizer import bytes_to_unicode
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel

from mvmodel.errors import InputError
from mvmodel.files import atomic_folder, hash_file, write_json
from mvmodel.packs.device import move_model
from mvmodel.packs.sources import PACK_DESCRIPTIONS
from mvmodel.segmentation.sam_loading import load_sam

RANDOM_PACK_KINDS = ("sd15", "small")


def write_random_pack(kind: str, folder: Path, seed: int = 0, device: str = "cpu") -> Path:
    """Writes a random pack to `folder` and returns the folder.

    Args:
        kind: "sd15" (float16, about 3 GB) or "small" (float32).
        folder: the pack's folder. An existing one is replaced.
        seed: of the random weights.
        device: where they are drawn. A GPU is many times faster and draws other numbers than the CPU.

    Raises:
        InputError: the kind is unknown.
    """
    if kind not in RANDOM_PACK_KINDS:
        raise InputError(f"there is no fake pack {kind!r}; use one of {', '.join(RANDOM_PACK_KINDS)}")
    torch.manual_seed(seed)
    full, sd15 = kind == "sd15", PACK_DESCRIPTIONS["sd15"]
    dtype = torch.float16 if full else torch.float32
    with atomic_folder(folder) as out, torch.device(device):
        move_model(build_vae(full), dtype).save_pretrained(out / "vae")
        unet = build_unet(full)
        move_model(ControlNetModel.from_unet(unet), dtype).save_pretrained(out / "controlnet")
        move_model(unet, dtype).save_pretrained(out / "unet")
        del unet
        write_clip_tokenizer(out / "tokenizer")
        build_text_encoder(full).to(dtype).save_pretrained(out / "text_encoder")
        DDIMScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            clip_sample=False,
            set_alpha_to_one=False,
            steps_offset=1,
        ).save_pretrained(out / "scheduler")
        segmenter = _write_segmenter(full, out / "segmenter", dtype)
        scorer = _write_scorer(full, out / "scorer", dtype)
        files = sorted(p for p in out.rglob("*") if p.is_file())
        write_json(
            out / "pack.json",
            {
                "name": f"{kind}-random",
                "description": "Random weights of full architecture; pictures are noise.",
                "licence": "Apache-2.0 (random numbers)",
                "size": sd15["size"] if full else 64,
                "frames": 16 if full else 4,
                "fps": 8,
                "segmenter": segmenter,
                "scorer": scorer,
                **({name: sd15[name] for name in ("generation", "training", "control")} if full else {}),
                "random": True,
                "made_by": {"seed": seed, "kind": kind},
                "hashes": {p.relative_to(out).as_posix(): hash_file(p) for p in files},
            },
        )
    return folder


def build_vae(full: bool) -> AutoencoderKL:
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(128, 256, 512, 512) if full else (8, 8, 8, 8),
        layers_per_block=2 if full else 1,
        latent_channels=4,
        norm_num_groups=32 if full else 4,
        sample_size=512 if full else 64,
        scaling_factor=0.18215,
    )


def build_unet(full: bool) -> UNet2DConditionModel:
    if full:  # the published configuration of Stable Diffusion 1.5
        return UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8)
    return UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16, 32),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=32,
        attention_head_dim=2,
        norm_num_groups=8,
    )


def build_text_encoder(full: bool) -> CLIPTextModel:
    if full:
        return CLIPTextModel(
            CLIPTextConfig(
                hidden_size=768,
                intermediate_size=3072,
                num_hidden_layers=12,
                num_attention_heads=12,
                projection_dim=768,
            )
        )
    return CLIPTextModel(
        CLIPTextConfig(
            hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2, projection_dim=32
        )
    )


def write_clip_tokenizer(folder: Path) -> None:
    """Writes CLIP's byte-pair vocabulary, which open_clip includes, as a tokenizer folder of transformers."""
    source = Path(open_clip.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"
    merges = gzip.decompress(source.read_bytes()).decode().split("\n")[1 : 49152 - 256 - 2 + 1]
    letters = list(bytes_to_unicode().values())
    words = letters + [letter + "</w>" for letter in letters] + ["".join(pair.split()) for pair in merges]
    words += ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    config = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": 77,
        "bos_token": "<|startoftext|>",
        "eos_token": "<|endoftext|>",
        "unk_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
        "do_lower_case": True,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2))


def _write_segmenter(full: bool, folder: Path, dtype: torch.dtype) -> dict[str, str]:
    kind = "vit_b" if full else "tiny"
    folder.mkdir()
    state = {name: value.to(dtype).contiguous() for name, value in load_sam(kind, None).state_dict().items()}
    save_file(state, folder / "sam.safetensors")
    return {"type": kind, "checkpoint": "segmenter/sam.safetensors"}


def _write_scorer(full: bool, folder: Path, dtype: torch.dtype) -> dict[str, str]:
    config = open_clip.get_model_config("ViT-B-32")
    if not full:
        config["embed_dim"] = 16
        config["vision_cfg"] |= {"image_size": 32, "layers": 1, "width": 64, "patch_size": 8}
        config["text_cfg"] |= {"width": 32, "heads": 2, "layers": 1}
    folder.mkdir()
    model = CLIP(**config)
    state = {name: value.to(dtype).contiguous() for name, value in model.state_dict().items()}
    save_file(state, folder / "open_clip_model.safetensors")
    side = config["vision_cfg"]["image_size"]
    preprocess = {
        "size": side,
        "mean": list(open_clip.constants.OPENAI_DATASET_MEAN),
        "std": list(open_clip.constants.OPENAI_DATASET_STD),
        "interpolation": "bicubic",
        "resize_mode": "shortest",
    }
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": preprocess}))
    return {"folder": "scorer"}
