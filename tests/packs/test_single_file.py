"""Packs from checkpoints of other people: converted right, or refused by what they are."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel
from typer.testing import CliRunner

from mvmodel.cli import app
from mvmodel.errors import PackError
from mvmodel.packs import load_pack
from mvmodel.packs.single_file import write_pack_from_checkpoint
from tests.packs.original_layout import write_original_checkpoint


@pytest.fixture(scope="module")
def checkpoint(
    small_pack_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, torch.Tensor]]:
    """The small pack's models as one file in the original layout, and its tensors."""
    file = tmp_path_factory.mktemp("checkpoint") / "community.safetensors"
    return file, write_original_checkpoint(load_pack(small_pack_folder), file)


def test_a_single_file_gives_the_models_that_it_was_written_from(small_pack, checkpoint, tmp_path: Path):
    folder = write_pack_from_checkpoint(checkpoint[0], tmp_path / "mine", small_pack.folder, licence="CC0-1.0")
    pack = load_pack(folder)
    for part in ("unet", "vae", "text_encoder"):
        expected, actual = getattr(small_pack, part)().state_dict(), getattr(pack, part)().state_dict()
        assert expected.keys() == actual.keys()
        assert all(torch.allclose(expected[name], actual[name].float(), atol=2e-3) for name in expected), part
    assert pack.info.name == "mine" and pack.info.licence.startswith("CC0-1.0 (community.safetensors)")
    assert pack.check_hashes() == []
    assert pack.info.size == small_pack.info.size
    shared = Path("controlnet") / "diffusion_pytorch_model.safetensors"
    assert (folder / shared).samefile(small_pack.folder / shared)


def write_narrow_pack(small: Path, folder: Path) -> Path:
    """A pack with every layer of Stable Diffusion 1.5 and few channels in each."""
    shutil.copytree(small, folder)
    unet = UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16, 32, 64, 64),
        norm_num_groups=8,
        attention_head_dim=8,
        cross_attention_dim=32,
    )
    vae = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 16, 32, 32),
        layers_per_block=2,
        norm_num_groups=4,
    )
    text = CLIPTextConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=12, num_attention_heads=4, projection_dim=32
    )
    parts = {
        "unet": unet,
        "controlnet": ControlNetModel.from_unet(unet),
        "vae": vae,
        "text_encoder": CLIPTextModel(text),
    }
    for part, model in parts.items():
        shutil.rmtree(folder / part)
        model.save_pretrained(folder / part)
    return folder


@pytest.mark.slow
def test_a_file_with_every_weight_of_stable_diffusion_1_5_is_converted(small_pack_folder: Path, tmp_path: Path):
    base = load_pack(write_narrow_pack(small_pack_folder, tmp_path / "base"))
    file = tmp_path / "v1-5.safetensors"
    extra = {  # what published files hold beside the models
        "cond_stage_model.transformer.text_model.embeddings.position_ids": torch.arange(77)[None],
        "model_ema.decay": torch.tensor(0.99),
        "betas": torch.zeros(1000),
        "alphas_cumprod": torch.zeros(1000),
    }
    keys = list(write_original_checkpoint(base, file, **extra))
    prefixes = ("model.diffusion_model.", "first_stage_model.", "cond_stage_model.")
    counts = [sum(key.startswith(prefix) for key in keys) for prefix in prefixes]
    assert counts == [686, 248, 197], "the published checkpoint's numbers of tensors"
    pack = load_pack(write_pack_from_checkpoint(file, tmp_path / "mine", base.folder))
    for part in ("unet", "vae", "text_encoder"):
        expected, actual = getattr(base, part)().state_dict(), getattr(pack, part)().state_dict()
        assert expected.keys() == actual.keys()
        assert all(torch.allclose(expected[name], actual[name].float(), atol=2e-3) for name in expected), part


def test_v_prediction_is_read_from_the_file_or_the_option(small_pack, checkpoint, tmp_path: Path):
    marked = tmp_path / "v.safetensors"
    save_file(checkpoint[1] | {"v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)}, marked)
    pack = load_pack(write_pack_from_checkpoint(marked, tmp_path / "v", small_pack.folder))
    assert pack.scheduler().config.prediction_type == "v_prediction"
    assert pack.scheduler().config.rescale_betas_zero_snr
    chosen = write_pack_from_checkpoint(
        checkpoint[0], tmp_path / "chosen", small_pack.folder, prediction_type="v_prediction"
    )
    assert load_pack(chosen).scheduler().config.prediction_type == "v_prediction"
    assert small_pack.scheduler().config.prediction_type == "epsilon"


def test_another_autoencoder_comes_from_its_own_file(small_pack, checkpoint, tmp_path: Path):
    tensors = checkpoint[1]
    prefix = "first_stage_model."
    pruned, vae = tmp_path / "pruned.safetensors", tmp_path / "vae.safetensors"
    save_file({name: value for name, value in tensors.items() if not name.startswith(prefix)}, pruned)
    save_file({n.removeprefix(prefix): v * 0.5 for n, v in tensors.items() if n.startswith(prefix)}, vae)
    with pytest.raises(PackError, match="pruned.safetensors has no autoencoder; give one with --vae"):
        write_pack_from_checkpoint(pruned, tmp_path / "a", small_pack.folder)
    pack = load_pack(write_pack_from_checkpoint(pruned, tmp_path / "b", small_pack.folder, vae=vae))
    name = "decoder.conv_out.weight"
    expected = small_pack.vae().state_dict()[name] * 0.5
    assert torch.allclose(pack.vae().state_dict()[name].float(), expected, atol=1e-3)
    with pytest.raises(PackError, match="pruned.safetensors (is no autoencoder|lacks .* weights of the vae)"):
        write_pack_from_checkpoint(pruned, tmp_path / "c", small_pack.folder, vae=pruned)


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["conditioner.embedders.0.weight"], "is a checkpoint of Stable Diffusion XL"),
        (["cond_stage_model.model.ln_final.weight"], "is a checkpoint of Stable Diffusion 2"),
        (["lora_unet_down_blocks_0.lora_up.weight"], "is a LoRA"),
        (["double_blocks.0.img_attn.weight"], "is a checkpoint of a transformer model"),
        (["control_model.input_hint_block.0.weight"], "is a ControlNet"),
        (["controlnet_cond_embedding.conv_in.weight", "down_blocks.0.x"], "is a ControlNet"),
        (["lycoris_down_blocks_0.hada_w1_a"], "is a LoRA"),
        (["model.diffusion_model.joint_blocks.0.x"], "is a checkpoint of a transformer model"),
        (["ip_adapter.1.to_k_ip.weight"], "is an IP-Adapter"),
        (["down_blocks.0.motion_modules.0.norm.bias"], "is a motion module"),
        (["emb_params"], "is an embedding of words"),
        (["conv_in.weight", "down_blocks.0.resnets.0.conv1.weight"], "is a UNet alone"),
        (["encoder.conv_in.weight", "decoder.conv_in.weight"], "is an autoencoder alone; give it with --vae"),
        (["model.diffusion_model.out.0.weight"], "has no text encoder and no autoencoder; use a complete checkpoint"),
    ],
)
def test_other_files_are_refused_by_what_they_are(small_pack, tmp_path: Path, names: list[str], reason: str):
    file = tmp_path / "file.safetensors"
    save_file({name: torch.zeros(1) for name in names}, file)
    with pytest.raises(PackError, match=reason):
        write_pack_from_checkpoint(file, tmp_path / "pack", small_pack.folder)
    assert not (tmp_path / "pack").exists()


def test_inpainting_pickles_damage_and_missing_weights_are_refused(small_pack, checkpoint, tmp_path: Path):
    tensors = dict(checkpoint[1])
    key = "model.diffusion_model.input_blocks.0.0.weight"
    file = tmp_path / "file.safetensors"
    save_file(tensors | {key: torch.zeros(16, 9, 3, 3)}, file)
    with pytest.raises(PackError, match="is an inpainting model, whose UNet takes 9 channels"):
        write_pack_from_checkpoint(file, tmp_path / "pack", small_pack.folder)
    del tensors["model.diffusion_model.middle_block.0.in_layers.2.weight"]
    save_file(tensors, file)
    with pytest.raises(PackError, match=r"file.safetensors (lacks|is no checkpoint)"):
        write_pack_from_checkpoint(file, tmp_path / "pack", small_pack.folder)
    file.write_bytes(b"not safetensors")
    with pytest.raises(PackError, match="cannot be read"):
        write_pack_from_checkpoint(file, tmp_path / "pack", small_pack.folder)
    with pytest.raises(PackError, match="model.ckpt is not a .safetensors file; pickled checkpoints can run code"):
        write_pack_from_checkpoint(tmp_path / "model.ckpt", tmp_path / "pack", small_pack.folder)


def test_a_folder_in_diffusers_layout_is_linked(small_pack, tmp_path: Path):
    source, weights = tmp_path / "theirs", "diffusion_pytorch_model.safetensors"
    for part in ("vae", "unet", "text_encoder", "tokenizer", "scheduler"):
        shutil.copytree(small_pack.folder / part, source / part)
    command = [
        "packs",
        "assemble",
        str(source),
        str(tmp_path / "out"),
        "--base",
        str(small_pack.folder),
        "--v-prediction",
    ]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert load_pack(tmp_path / "out").scheduler().config.prediction_type == "v_prediction"
    own = json.loads((source / "scheduler" / "scheduler_config.json").read_text())
    assert own.get("prediction_type", "epsilon") == "epsilon"
    (source / "unet" / weights).rename(source / "unet" / "diffusion_pytorch_model.fp16.safetensors")
    write_pack_from_checkpoint(source, tmp_path / "half", small_pack.folder)
    assert load_pack(tmp_path / "half").unet() is not None and not (source / "unet" / weights).exists()
    with pytest.raises(PackError, match=r"model pack .*wider: its unet takes texts"):
        config = source / "text_encoder" / "config.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | {"hidden_size": 1024}))
        write_pack_from_checkpoint(source, tmp_path / "wider", small_pack.folder)
    index = {"weight_map": {"a": "part-1.safetensors", "b": "part-2.safetensors"}}
    (source / "vae" / f"{weights}.index.json").write_text(json.dumps(index))
    (source / "vae" / weights).rename(source / "vae" / "part-1.safetensors")
    with pytest.raises(PackError, match=r"theirs/vae lacks part-2.safetensors, which .*index.json names"):
        write_pack_from_checkpoint(source, tmp_path / "again", small_pack.folder)
    (source / "vae" / f"{weights}.index.json").unlink()
    (source / "vae" / "part-1.safetensors").rename(source / "vae" / "diffusion_pytorch_model.bin")
    with pytest.raises(PackError, match="theirs/vae holds only pickled weights"):
        write_pack_from_checkpoint(source, tmp_path / "again", small_pack.folder)
    shutil.rmtree(source / "vae")
    with pytest.raises(PackError, match="theirs lacks the folders vae"):
        write_pack_from_checkpoint(source, tmp_path / "again", small_pack.folder)


@pytest.mark.parametrize(
    ("part", "setting", "value", "reason"),
    [
        ("vae", "latent_channels", 16, "unet takes latents of 4, but its vae has 16"),
        ("text_encoder", "hidden_size", 1024, "unet takes texts of 32, but its text_encoder has 1024"),
        ("controlnet", "block_out_channels", [8, 8], "controlnet has levels"),
        ("scheduler", "prediction_type", "sample", "predicts sample"),
        ("vae", "shift_factor", 0.1159, "vae shifts latents"),
        ("vae", "_class_name", "AutoencoderTiny", "its vae is of the class AutoencoderTiny; .* is an AutoencoderKL"),
        ("unet", "_class_name", "UNet3DConditionModel", "its unet is of the class UNet3DConditionModel"),
        ("unet", "addition_embed_type", "text_time", "as that of Stable Diffusion XL does"),
        ("text_encoder", "architectures", ["T5EncoderModel"], "its text_encoder is of the class T5EncoderModel"),
        ("controlnet", "_class_name", "T2IAdapter", "its controlnet is of the class T2IAdapter"),
        ("scheduler", "_class_name", "FlowMatchEulerDiscreteScheduler", "another one with betas"),
    ],
)
def test_parts_that_do_not_fit_are_named(small_pack_folder: Path, tmp_path: Path, part, setting, value, reason):
    folder = shutil.copytree(small_pack_folder, tmp_path / "pack")
    file = folder / part / ("scheduler_config.json" if part == "scheduler" else "config.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | {setting: value}))
    with pytest.raises(PackError, match=reason):
        load_pack(folder)
