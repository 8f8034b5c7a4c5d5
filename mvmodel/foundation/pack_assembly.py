"""Assembles the tiny pack from the trained parts, in half precision, and measures it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from transformers import CLIPTextModel

from mvmodel.errors import InputError
from mvmodel.files import atomic_folder, hash_file, write_json
from mvmodel.foundation.pack_quality import check_pack
from mvmodel.packs.info import SHIPPED_PACKS, read_pack_info
from mvmodel.packs.loader import Pack
from mvmodel.world.scenes import BACKGROUNDS
from mvmodel.world.sprites import OBJECTS

RESOLUTION, FRAMES, FPS = 128, 12, 8.0
MIN_RECONSTRUCTION = 20.7
"""Mean of PSNR and SNR in dB: the samples and 30 renders are at 21.9 or more, photographs at 18.3 or less, blurred ones
at 19.6 or less."""
LATER_FRAMES = {
    "control_frames": "every",
    "noise_prior": "mixed",
    "noise_follow": True,
    "background": "plate",
    "background_paste": True,
    "color_fix": "lowpass",
    "draft_strength": 1.0,
    "draft_end": 0.8,
    "guidance_interval": [0.3, 1.0],
}
"""The best of `python -m benchmarks later_frames`, "H" there; the camera stands still where it is unknown."""
GENERATION = {"steps": 10, "guidance_scale": 2.5, "first_frame_guidance": 1.5, "later_frames": LATER_FRAMES}
"""Recommended to whoever samples: more lowers how well these small models follow a mask."""
_STAGES = ("vae", "decoder", "text_to_image", "controlnet", "segmenter", "scorer", "start_adapter")


TRAINED_FOLDERS = {
    "vae": Path("decoder", "model"),
    "unet": Path("text_to_image", "unet"),
    "text_encoder": Path("text_to_image", "text_encoder"),
    "tokenizer": Path("text_to_image", "tokenizer"),
    "scheduler": Path("text_to_image", "scheduler"),
    "controlnet": Path("controlnet", "controlnet"),
    "segmenter": Path("segmenter", "segmenter"),
    "scorer": Path("scorer", "scorer"),
    "start_adapter": Path("start_adapter", "adapter"),
}
"""A pack's parts, and where in a foundation folder each is trained to."""


def assemble_pack(
    foundation: Path,
    out: Path = SHIPPED_PACKS / "tiny",
    check: bool = True,
    quick: bool = False,
    start: Path | None = None,
) -> Path:
    """Gather what the trainers left in `foundation` into a pack at `out`; returns `out`.

    start: a pack that lends the parts which have not been trained in `foundation`. Raises InputError naming the stage
    that has not been trained when there is none.
    """
    sources = {part: foundation / folder for part, folder in TRAINED_FOLDERS.items()}
    untrained_parts = sorted(part for part, source in sources.items() if not source.is_dir())
    for part in untrained_parts:
        if start is None or not (start / part).is_dir():
            raise InputError(f"{sources[part]} is missing: train the {part} first (make foundation)")
        sources[part] = start / part
    classes = {
        "vae": AutoencoderKL,
        "unet": UNet2DConditionModel,
        "controlnet": ControlNetModel,
        "text_encoder": CLIPTextModel,
    }
    with atomic_folder(out) as pack_folder:
        for part, source in sources.items():
            if part in classes:
                model: Any = classes[part].from_pretrained(source)
                model.half().save_pretrained(pack_folder / part, safe_serialization=True)
            else:
                shutil.copytree(source, pack_folder / part)
        for file in (
            pack_folder / "segmenter" / "sam.safetensors",
            pack_folder / "scorer" / "open_clip_model.safetensors",
        ):
            state = load_file(file)
            halves = {k: v.half().contiguous() if v.dtype == torch.float32 else v for k, v in state.items()}
            save_file(halves, file)
        info = {
            "name": "tiny",
            "description": "Small models of the motion world: 24 objects on 8 backgrounds, 128x128 pixels.",
            "licence": "Apache-2.0; trained on renders of Noto Color Emoji (SIL OFL 1.1)",
            "size": RESOLUTION,
            "frames": FRAMES,
            "fps": FPS,
            "objects": list(OBJECTS),
            "backgrounds": BACKGROUNDS,
            "segmenter": {"type": "tiny", "checkpoint": "segmenter/sam.safetensors"},
            "scorer": {"folder": "scorer"},
            "start_adapter": "start_adapter",
            "generation": GENERATION,
            "min_reconstruction": MIN_RECONSTRUCTION,
            "made_by": _history(foundation, start),
        }
        files = sorted(p for p in pack_folder.rglob("*") if p.is_file())
        info["hashes"] = {p.relative_to(pack_folder).as_posix(): hash_file(p) for p in files}
        write_json(pack_folder / "pack.json", info)
        if check:
            info["quality"] = check_pack(Pack(pack_folder), quick)["quality"]
            write_json(pack_folder / "pack.json", info)
        (pack_folder / "README.md").write_text(_card(info))
    return out


def _history(foundation: Path, start: Path | None) -> dict[str, Any]:
    """Each trainer's configuration and the last figures of its curve; of a part that is lent, what its pack says."""
    earlier = read_pack_info(start).made_by if start is not None else {}
    history: dict[str, Any] = {}
    for stage in _STAGES:
        if not (foundation / stage).is_dir():
            history[stage] = earlier.get(stage, {"config": {}})
            continue
        config, curve = foundation / stage / "config.json", foundation / stage / "curve.jsonl"
        rows = [json.loads(line) for line in curve.read_text().splitlines()] if curve.exists() else []
        record = json.loads(config.read_text()) if config.exists() else {}
        history[stage] = {"config": record, "last": rows[-1] if rows else {}}
        rates = [row["rate"] for row in rows if row.get("rate")]
        if record and rates:
            history[stage]["minutes"] = round(rows[-1]["step"] * record["batch"] / rates[-1] / 60)
        for name in ("data", "start"):
            file = foundation / stage / f"{name}.json"
            if file.exists():
                history[stage][name] = json.loads(file.read_text())
    return history


def _legs(record: dict[str, Any]) -> str:
    """Steps of a stage, earlier trainings that it went on from first: "3800 + 3000"."""
    earlier_training = record.get("start", {}).get("made_by")
    trained_steps = record.get("last", {}).get("step", record["config"].get("steps", ""))
    steps_text = str(trained_steps)
    return f"{_legs(earlier_training)} + {steps_text}" if earlier_training else steps_text or "-"


def _describe_data(history: dict[str, Any]) -> str:
    """Sentences of the card on the start adapter's clips and machine; "" where nothing is recorded."""
    data = history.get("start_adapter", {}).get("data", {})
    sentences = []
    if data.get("exclude_motions"):
        names = ", ".join(data["exclude_motions"])
        sentences.append(
            f"The start adapter has seen no clip of the motions {names}, so that tuning on them is a test."
        )
    if data.get("device", "cpu") != "cpu":
        sentences.append(f"It was trained on one {data['device']}.")
    return "\n" + " ".join(sentences) + "\n" if sentences else ""


def _card(info: dict[str, Any]) -> str:
    rows = "\n".join(f"| {name} | {value:.3f} |" for name, value in info.get("quality", {}).items())
    steps = "\n".join(
        f"| {stage} | {_legs(record)} | {record['config'].get('batch', '')} | {record.get('minutes', '-')} |"
        for stage, record in info["made_by"].items()
    )
    return f"""# The tiny pack

{info["description"]} It exists so that everything runs on any machine in minutes. It knows the objects
{", ".join(info["objects"])}, and the backgrounds {", ".join(info["backgrounds"])}; of anything else it knows nothing.

## Training
Every model was trained on renders of `mvmodel.world` (training split), with `python -m mvmodel.foundation`. "a + b" is
a training of b steps that went on, with a warm-up and a learning rate of its own, from the weights after a steps.
Minutes are those of the last training, on two CPU cores; of a stage taken over from an earlier pack they are not known.

| stage | steps | pictures a step | minutes |
|---|---|---|---|
{steps}
{_describe_data(info["made_by"])}
## Measured on held-out renders
`mvmodel packs check tiny` prints these; PSNR in dB, the rest are shares of 1. Generated pictures are judged by the
pack's segmenter and scorer, which were trained on renders only.

| what | value |
|---|---|
{rows}

## What it cannot do
- Anything but those words, one or two objects, and still or gently panning backgrounds; an unknown word is no word.
- Details: 128 pixels a side go through 16 x 16 latent cells, so whiskers, spokes and stars blur.
- Draw every shape without a mask: from text alone two or three of the 24 objects still come out as a blur.
- Tell people anything about photographs. Its segmenter and scorer have seen renders only.

## Licence
{info["licence"]}.
"""
