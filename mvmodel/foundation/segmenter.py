"""The tiny segmenter: segment-anything's classes at small sizes, trained on renders with point, box and mask prompts.

A point on the ground has no object to give; there the predicted quality is trained to be 0, so that automatic masks
hold objects only. Pictures are blurred and noised at random, since the judge must also read generated frames.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from segment_anything.modeling import Sam

from mvmodel.foundation.warm_start import load_matching_weights
from mvmodel.masks.geometry import bounding_box
from mvmodel.segmentation.sam_loading import build_tiny_sam
from mvmodel.training.loop import train
from mvmodel.training.optimizer import LoopConfig
from mvmodel.world.motions import MOTIONS
from mvmodel.world.render import HELD_OUT, TRAIN, random_clip

SEGMENTER_LOOP = LoopConfig(
    steps=1600, batch=16, lr=1e-3, warmup=80, ema=0.99, final_lr=0.02, checkpoint_every=400, sample_every=800
)


def _picture(split: int, position: int) -> tuple[np.ndarray, np.ndarray]:
    """One frame of a random clip and its instances, bool (objects, side, side)."""
    rng = np.random.default_rng((split, position, 11))
    clip = random_clip((split, position, 12), frames=1, motion=str(rng.choice(MOTIONS)), second_object=0.3)
    return clip.frames[0], clip.instances[:, 0]


def _roughen(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    out: np.ndarray = image.astype(np.float32)
    if rng.random() < 0.6:
        out = cv2.GaussianBlur(out, (0, 0), float(rng.uniform(0.3, 1.8)))
    if rng.random() < 0.5:
        out = out + rng.normal(0, rng.uniform(1, 8), image.shape)
    out = (out - 128) * rng.uniform(0.85, 1.15) + 128 + rng.uniform(-12, 12, 3)
    return np.clip(out, 0, 255).astype(np.float32)


def _point_in(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    rows, columns = np.nonzero(mask)
    pick = int(rng.integers(len(rows)))
    return np.array([columns[pick], rows[pick]], np.float32)


def _box_of(mask: np.ndarray, rng: np.random.Generator, jitter: float = 0.06) -> np.ndarray:
    box = np.array(bounding_box(mask), np.float32)
    size = np.array([box[2] - box[0], box[3] - box[1]] * 2)
    return (box + rng.normal(0, jitter, 4) * size).astype(np.float32)


def _prior_of(mask: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A mask as tracking would hand it on: shifted, grown or shrunk; logits of (1, 64, 64)."""
    shift = np.array([[1, 0, rng.normal(0, 4)], [0, 1, rng.normal(0, 4)]], np.float32)
    rough = cv2.warpAffine(mask.astype(np.float32), shift, mask.shape[::-1])
    rough = cv2.GaussianBlur(rough, (0, 0), 3.0) > rng.uniform(0.3, 0.7)
    small = cv2.resize(rough.astype(np.float32), (64, 64), interpolation=cv2.INTER_AREA)
    return ((small - 0.5) * 16)[None]


def make_batch(index: int, config: LoopConfig) -> list[dict[str, torch.Tensor]]:
    rng = np.random.default_rng((config.seed, index, 13))
    items = []
    for number in range(config.batch):
        image, instances = _picture(TRAIN, 20_000_000 + index * config.batch + number)
        visible_masks = [mask for mask in instances if mask.sum() > 40]
        union: np.ndarray = np.logical_or.reduce(instances, axis=0)
        points, targets = [], []
        for _ in range(2):
            mask = visible_masks[int(rng.integers(len(visible_masks)))] if visible_masks else union
            on_object = bool(visible_masks)
            points.append(_point_in(mask if on_object else ~union, rng))
            targets.append(mask if on_object else np.zeros_like(union))
        ground = ~union
        points.append(_point_in(ground, rng))
        targets.append(np.zeros_like(union))
        framed = visible_masks[int(rng.integers(len(visible_masks)))] if visible_masks else np.zeros_like(union)
        items.append(
            {
                "image": torch.from_numpy(_roughen(image, rng)).permute(2, 0, 1),
                "points": torch.from_numpy(np.stack(points)),
                "targets": torch.from_numpy(np.stack(targets)).float(),
                "box": torch.from_numpy(_box_of(framed, rng) if visible_masks else np.array([0, 0, 8, 8], np.float32)),
                "prior": torch.from_numpy(_prior_of(framed, rng)).float(),
                "prior_point": torch.from_numpy(_point_in(framed if visible_masks else ground, rng)),
                "framed": torch.from_numpy(framed).float(),
            }
        )
    return items


class SegmenterStep(torch.nn.Module):
    """Encoder once a picture, decoder once a batch for all prompts of all pictures."""

    def __init__(self, sam: Sam) -> None:
        super().__init__()
        self.sam = sam

    def forward(self, items: list[dict[str, torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor]:
        """Mask logits (prompts, 4, 64, 64) and qualities (prompts, 4); a picture's prompts stand together, in the
        order points, box, point with rough mask."""
        sam = self.sam
        images = torch.stack([item["image"] for item in items])
        codes = sam.image_encoder((images - sam.pixel_mean) / sam.pixel_std)
        points = torch.stack([item["points"] for item in items])
        count = points.shape[1]
        prior_points = torch.stack([item["prior_point"] for item in items])[:, None]
        every = torch.cat([points, prior_points], dim=1).flatten(0, 1)[:, None]
        sparse, dense = sam.prompt_encoder(
            points=(every, torch.ones(len(every), 1, dtype=torch.int)), boxes=None, masks=None
        )
        boxed, _ = sam.prompt_encoder(points=None, boxes=torch.stack([item["box"] for item in items]), masks=None)
        _, rough = sam.prompt_encoder(points=None, boxes=None, masks=torch.stack([item["prior"] for item in items]))
        sparse = sparse.unflatten(0, (len(items), count + 1))
        sparse = torch.cat([sparse[:, :count], boxed[:, None], sparse[:, count:]], dim=1).flatten(0, 1)
        no_mask = dense[:1].expand(len(items) * (count + 1), -1, -1, -1).unflatten(0, (len(items), count + 1))
        dense = torch.cat([no_mask, rough[:, None]], dim=1).flatten(0, 1)
        return self.decode(codes.repeat_interleave(count + 2, dim=0), sparse, dense)

    def decode(
        self, codes: torch.Tensor, sparse: torch.Tensor, dense: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """SAM's mask decoder with one picture embedding a prompt; its own method takes one picture at a time."""
        decoder = self.sam.mask_decoder
        queries = torch.cat([decoder.iou_token.weight, decoder.mask_tokens.weight])
        tokens = torch.cat([queries[None].expand(len(codes), -1, -1), sparse], dim=1)
        places = self.sam.prompt_encoder.get_dense_pe().expand(len(codes), -1, -1, -1)
        states, pixels = decoder.transformer(codes + dense, places, tokens)
        upscaled = decoder.output_upscaling(pixels.transpose(1, 2).view_as(codes))
        weights = torch.stack([mlp(states[:, 1 + i]) for i, mlp in enumerate(decoder.output_hypernetworks_mlps)], dim=1)
        return (weights @ upscaled.flatten(2)).unflatten(2, upscaled.shape[2:]), decoder.iou_prediction_head(
            states[:, 0]
        )


def stack_targets(items: list[dict[str, torch.Tensor]]) -> torch.Tensor:
    """What each prompt of `SegmenterStep.forward` asks for, float (prompts, 1, 128, 128)."""
    return torch.cat([torch.cat([i["targets"], i["framed"][None], i["framed"][None]]) for i in items])[:, None]


def compute_loss(
    net: torch.nn.Module, items: list[dict[str, torch.Tensor]], step: int
) -> tuple[torch.Tensor, dict[str, float]]:
    """Dice + cross-entropy on the best of the multimask outputs and on the single one; squared error on quality."""
    logits, scores = (part.float() for part in net(items))
    target = stack_targets(items)
    small = F.interpolate(target, logits.shape[-2:], mode="area").expand_as(logits)
    cross = F.binary_cross_entropy_with_logits(logits, small, reduction="none").mean(dim=(2, 3))
    share = logits.sigmoid()
    dice = 1 - (2 * (share * small).sum(dim=(2, 3)) + 1) / (share.sum(dim=(2, 3)) + small.sum(dim=(2, 3)) + 1)
    each = 4 * cross + dice
    real = (target.sum(dim=(1, 2, 3)) > 0).float()[:, None]
    with torch.no_grad():
        hard = F.interpolate(logits, target.shape[-2:], mode="bilinear", align_corners=False) > 0
        intersection = (hard & (target > 0.5)).sum(dim=(2, 3)).float()
        either = (hard | (target > 0.5)).sum(dim=(2, 3)).float()
        quality = intersection / either.clamp(min=1) * real
    masks = (each[:, :1] + each[:, 1:].min(dim=1, keepdim=True).values) * real
    mask_loss = masks.sum() / real.sum().clamp(min=1)
    score_loss = (scores - quality).square().mean()
    iou = float((quality.max(dim=1, keepdim=True).values * real).sum() / real.sum().clamp(min=1))
    return mask_loss + 2 * score_loss, {"iou": iou, "score": float(score_loss.detach())}


@torch.no_grad()
def measure_iou(sam: Sam, count: int = 64) -> dict[str, float]:
    """IoU on held-out renders from one random point and from the box, single objects, best by predicted quality."""
    net = SegmenterStep(sam)
    rng = np.random.default_rng(3)
    ious: dict[str, list[float]] = {"iou_point": [], "iou_box": []}
    for position in range(count):
        clip = random_clip((HELD_OUT, position, 14), frames=1, second_object=0)
        mask = clip.instances[0, 0]
        if mask.sum() < 40:
            continue
        image = torch.from_numpy(clip.frames[0]).permute(2, 0, 1).float()
        code = sam.image_encoder((image[None] - sam.pixel_mean) / sam.pixel_std)[0]
        point = torch.from_numpy(_point_in(mask, rng))[None, None]
        box = torch.from_numpy(_box_of(mask, rng, 0.0))[None]
        for name, prompt in (
            ("iou_point", ((point, torch.ones(1, 1, dtype=torch.int)), None)),
            ("iou_box", (None, box)),
        ):
            sparse, dense = sam.prompt_encoder(points=prompt[0], boxes=prompt[1], masks=None)
            logits, scores = net.decode(code[None], sparse, dense)
            best = logits[0, int(scores[0].argmax())][None, None]
            hard = (F.interpolate(best, mask.shape, mode="bilinear", align_corners=False)[0, 0] > 0).numpy()
            ious[name].append(float((hard & mask).sum() / (hard | mask).sum()))
    return {name: float(np.mean(values)) for name, values in ious.items()}


def train_segmenter(
    folder: Path, config: LoopConfig = SEGMENTER_LOOP, start: Path | None = None, evaluation_pictures: int = 64
) -> Sam:
    """Train the segmenter. With every sample, its IoU on `evaluation_pictures` held-out pictures is measured."""
    torch.manual_seed(config.seed)
    sam = build_tiny_sam().train()
    if start is not None:
        load_matching_weights(sam, start / "segmenter")

    def sample(_: torch.nn.Module, png: Path) -> dict[str, float]:
        return measure_iou(sam, evaluation_pictures)

    train("segmenter", SegmenterStep(sam), lambda i: make_batch(i, config), compute_loss, config, folder, sample)
    (folder / "segmenter").mkdir(exist_ok=True)
    save_file({k: v.contiguous() for k, v in sam.state_dict().items()}, folder / "segmenter" / "sam.safetensors")
    return sam
