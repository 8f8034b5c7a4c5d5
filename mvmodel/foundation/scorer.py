"""The tiny scorer: an open_clip CLIP (ResNet image tower, two-layer text tower) trained on renders.

Captions repeat within a batch, so a picture has several right texts: the loss spreads its target over all of them.
Part of the pictures are objects cut out on grey, which is how the judge shows candidates to the scorer.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from open_clip.model import CLIP
from safetensors.torch import save_file

from mvmodel.foundation.tokenizer import MAX_TOKENS, build_tokenizer
from mvmodel.foundation.warm_start import load_matching_weights
from mvmodel.metrics.adherence import cut_out
from mvmodel.text import with_article
from mvmodel.training.cpu_kernels import use_float32_group_norm
from mvmodel.training.loop import train
from mvmodel.training.optimizer import LoopConfig
from mvmodel.world.render import HELD_OUT, TRAIN, RenderedStill, render_stills
from mvmodel.world.scenes import BACKGROUNDS
from mvmodel.world.sprites import OBJECTS

SCORER_LOOP = LoopConfig(
    steps=1300, batch=48, lr=1.5e-3, warmup=80, ema=0.99, final_lr=0.02, checkpoint_every=400, sample_every=1300
)
SIDE = 96
CUT_OUT = 0.3
"""Share of pictures shown as a cut-out."""


def model_config() -> dict[str, Any]:
    """open_clip's `model_cfg`."""
    return {
        "embed_dim": 64,
        "vision_cfg": {"image_size": SIDE, "layers": [1, 1, 1, 1], "width": 16, "patch_size": None},
        "text_cfg": {
            "context_length": MAX_TOKENS,
            "vocab_size": len(build_tokenizer()),
            "width": 64,
            "heads": 4,
            "layers": 2,
            "no_causal_mask": True,
            "pool_type": "first",
            "hf_tokenizer_name": "words",
        },
    }


PREPROCESS = {
    "size": SIDE,
    "mode": "RGB",
    "mean": [0.48145466, 0.4578275, 0.40821073],
    "std": [0.26862954, 0.26130258, 0.27577711],
    "interpolation": "bicubic",
    "resize_mode": "shortest",
    "fill_color": 0,
}


def build_scorer() -> Any:
    config = model_config()
    config["text_cfg"].pop("hf_tokenizer_name")
    return CLIP(**config)


def _to_tensor(pictures: np.ndarray) -> torch.Tensor:
    """uint8 (n, side, side, 3) to the tower's input, (n, 3, SIDE, SIDE)."""
    x = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    x = F.interpolate(x, (SIDE, SIDE), mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
    mean, std = (torch.tensor(PREPROCESS[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    return (x - mean) / std


def _augment(still: RenderedStill, rng: np.random.Generator) -> tuple[np.ndarray, str | None]:
    """A picture as the tower sees it, and its background, None for a cut-out."""
    image: np.ndarray = still.image
    background: str | None = still.background
    if len(still.objects) == 1 and still.mask.sum() > 40 and rng.random() < CUT_OUT:
        mask = still.mask
        if rng.random() < 0.5:
            kernel = np.ones((3, 3), np.uint8)
            mask = (cv2.dilate if rng.random() < 0.5 else cv2.erode)(mask.astype(np.uint8), kernel).astype(bool)
            mask = mask if mask.sum() > 40 else still.mask
        image, background = cv2.resize(cut_out(image, mask), (128, 128), interpolation=cv2.INTER_LINEAR), None
    if rng.random() < 0.6:
        image = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.3, 1.8)))
    out = (image.astype(np.float32) - 128) * rng.uniform(0.85, 1.15) + 128 + rng.uniform(-12, 12, 3)
    return np.clip(out, 0, 255).astype(np.uint8), background


def _texts() -> list[str]:
    """Every text a batch is scored against: objects, backgrounds, and both together."""
    objects = [with_article(name) for name in OBJECTS]
    together = [f"{with_article(name)} {phrase}" for name in OBJECTS for phrase in BACKGROUNDS.values()]
    return objects + list(BACKGROUNDS.values()) + together


def train_scorer(
    folder: Path, config: LoopConfig = SCORER_LOOP, start: Path | None = None, evaluation_pictures: int = 512
) -> Any:
    """Train the scorer. With every sample, its accuracy on `evaluation_pictures` held-out pictures is measured."""
    use_float32_group_norm()
    torch.manual_seed(config.seed)
    tokenizer = build_tokenizer()
    clip = build_scorer()
    if start is not None:
        load_matching_weights(clip, start / "scorer")
    texts = _texts()
    ids = tokenizer(texts, padding="max_length", max_length=MAX_TOKENS, return_tensors="pt").input_ids
    objects, backgrounds = list(OBJECTS), list(BACKGROUNDS)
    pair_start = len(objects) + len(backgrounds)

    def batch(index: int) -> tuple[torch.Tensor, ...]:
        rng = np.random.default_rng((config.seed, index, 17))
        pictures, rows, truth = [], [], torch.zeros(config.batch, len(texts))
        for row, still in enumerate(
            render_stills(TRAIN, 30_000_000 + index * config.batch, config.batch, second_object=0.1)
        ):
            picture, background = _augment(still, rng)
            pictures.append(picture)
            rows.append(row)
            for name in still.objects:
                truth[row, objects.index(name)] = 1
                if background is not None:
                    background_index = backgrounds.index(background)
                    truth[row, len(objects) + background_index] = 1
                    truth[row, pair_start + objects.index(name) * len(backgrounds) + background_index] = 1
        single = torch.tensor([float(r.sum() == 3) for r in truth])
        return _to_tensor(np.stack(pictures)), truth, single

    def loss(
        net: torch.nn.Module, batch_tensors: tuple[torch.Tensor, ...], step: int
    ) -> tuple[torch.Tensor, dict[str, float]]:
        x, truth, _ = batch_tensors
        image, text, scale = net(x, ids)[:3]
        logits = scale.float() * image.float() @ text.float().T
        total = logits.new_zeros(())
        spans = (slice(0, len(objects)), slice(len(objects), pair_start), slice(pair_start, None))
        for span in spans:
            truth_span = truth[:, span]
            has_truth = truth_span.sum(dim=1) > 0
            if has_truth.any():
                share = truth_span[has_truth] / truth_span[has_truth].sum(dim=1, keepdim=True)
                total = total + F.cross_entropy(logits[has_truth][:, span], share)
        present = truth[:, pair_start:].sum(dim=0) > 0
        columns = truth[:, pair_start:][:, present]
        if present.any():
            total = total + F.cross_entropy(logits[:, pair_start:][:, present].T, (columns / columns.sum(dim=0)).T)
        hit = truth[:, : len(objects)].gather(1, logits[:, : len(objects)].argmax(dim=1, keepdim=True)).mean()
        return total, {"object": float(hit)}

    def sample(_: torch.nn.Module, png: Path) -> dict[str, float]:
        return measure_accuracy(clip, tokenizer, evaluation_pictures)

    train("scorer", clip, batch, loss, config, folder, sample)
    save_scorer(clip, tokenizer, folder / "scorer")
    return clip


@torch.no_grad()
def measure_accuracy(clip: Any, tokenizer: Any, count: int = 512) -> dict[str, float]:
    """Zero-shot on held-out renders with one object: share with the right object and background among all."""
    objects, backgrounds = list(OBJECTS), list(BACKGROUNDS)
    texts = [with_article(name) for name in objects] + list(BACKGROUNDS.values())
    ids = tokenizer(texts, padding="max_length", max_length=MAX_TOKENS, return_tensors="pt").input_ids
    table = F.normalize(clip.encode_text(ids).float(), dim=-1)
    correct = np.zeros(2)
    for start in range(0, count, 64):
        rendered_stills = list(render_stills(HELD_OUT, start, min(64, count - start), second_object=0))
        image = F.normalize(clip.encode_image(_to_tensor(np.stack([s.image for s in rendered_stills]))).float(), dim=-1)
        logits = image @ table.T
        object_indices = logits[:, : len(objects)].argmax(dim=1).tolist()
        placed = logits[:, len(objects) :].argmax(dim=1).tolist()
        correct += [
            sum(objects[n] == s.objects[0] for n, s in zip(object_indices, rendered_stills, strict=True)),
            sum(backgrounds[n] == s.background for n, s in zip(placed, rendered_stills, strict=True)),
        ]
    return {"object": correct[0] / count, "background": correct[1] / count}


def save_scorer(clip: Any, tokenizer: Any, folder: Path) -> None:
    """Write open_clip's folder form: `local-dir:` of open_clip loads it."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {"model_cfg": model_config(), "preprocess_cfg": PREPROCESS}
    (folder / "open_clip_config.json").write_text(json.dumps(config, indent=2))
    save_file({k: v.contiguous() for k, v in clip.state_dict().items()}, folder / "open_clip_model.safetensors")
    tokenizer.save_pretrained(folder)
