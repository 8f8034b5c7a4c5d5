"""`mvmodel packs check`: a pack's quality on held-out renders, by judges that were trained on renders only."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch

from mvmodel.generation.config import GenerationConfig
from mvmodel.world.render import HELD_OUT, article, caption_of, random_clip, stills
from mvmodel.world.scenes import BACKGROUNDS
from mvmodel.world.sprites import OBJECTS

FLOORS = {
    "vae_psnr": 28.0,
    "vae_psnr_object": 22.0,
    "text_object": 0.70,
    "text_background": 0.90,
    "controlnet_iou": 0.70,
    "segmenter_iou_point": 0.85,
    "segmenter_iou_automatic": 0.80,
    "scorer_object": 0.95,
    "scorer_background": 0.97,
}
"""What the tiny pack must reach. PSNR in dB, the rest shares of 1."""


def autoencoder(pack: Any, count: int = 128) -> dict[str, float]:
    """PSNR of the autoencoder's copy, over whole pictures and inside the objects' masks (errors pooled)."""
    from mvmodel.foundation.vae import quality

    found = quality(pack.vae(), count)
    return {"vae_psnr": found["psnr"], "vae_psnr_object": found["psnr_object"]}


def scorer(pack: Any, count: int = 384) -> dict[str, float]:
    """Zero-shot accuracy on held-out renders: the right object, the right background, each among all."""
    drawn = list(stills(HELD_OUT, 40_000, count, second_object=0))
    objects, backgrounds = classify(pack, np.stack([s.image for s in drawn]))
    return {
        "scorer_object": float(np.mean([o == s.objects[0] for o, s in zip(objects, drawn, strict=True)])),
        "scorer_background": float(np.mean([b == s.background for b, s in zip(backgrounds, drawn, strict=True)])),
    }


def classify(pack: Any, pictures: np.ndarray) -> tuple[list[str], list[str]]:
    """The object word and the background name that the scorer sees in each picture, uint8 (n, h, w, 3)."""
    judge = pack.scorer()
    images = judge.images(pictures)
    objects = images @ judge.texts([article(name) for name in OBJECTS]).T
    backgrounds = images @ judge.texts(list(BACKGROUNDS.values())).T
    return (
        [list(OBJECTS)[i] for i in objects.argmax(axis=1)],
        [list(BACKGROUNDS)[i] for i in backgrounds.argmax(axis=1)],
    )


def segmenter(pack: Any, count: int = 96) -> dict[str, float]:
    """IoU on held-out renders from one random point, from the box, and of the best-rated automatic mask."""
    from mvmodel.metrics.adherence import find_foreground

    rng = np.random.default_rng(5)
    judge = pack.segmenter()
    point, box, automatic = [], [], []
    for position in range(count):
        clip = random_clip((HELD_OUT, position, 41), frames=1, second_object=0)
        mask, frame = clip.masks[0], clip.frames
        if mask.sum() < 60:
            continue
        encoding = judge.encode(frame)[0]
        rows, columns = np.nonzero(mask)
        pick = int(rng.integers(len(rows)))
        masks, scores = judge.predict(
            encoding, points=np.array([[columns[pick], rows[pick]]], float), labels=np.array([1])
        )
        point.append(_iou(masks[int(np.argmax(scores))], mask))
        corners = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], float)
        masks, scores = judge.predict(encoding, box=corners)
        box.append(_iou(masks[int(np.argmax(scores))], mask))
        automatic.append(_iou(find_foreground(frame, judge, pack.scorer(), list(clip.objects))[0], mask))
    return {
        "segmenter_iou_point": float(np.mean(point)),
        "segmenter_iou_box": float(np.mean(box)),
        "segmenter_iou_automatic": float(np.mean(automatic)),
    }


def _iou(found: np.ndarray, truth: np.ndarray) -> float:
    return float((found & truth).sum() / max(1, (found | truth).sum()))


@torch.no_grad()
def text_to_image(pack: Any, count: int = 144, seed: int = 9) -> dict[str, float]:
    """Generated pictures whose object and background the scorer, which never saw a generated picture, gets right."""
    from mvmodel.foundation.text_to_image import TextToImage, generate

    rng = np.random.default_rng(seed)
    names = [str(rng.choice(list(OBJECTS))) for _ in range(count)]
    places = [str(rng.choice(list(BACKGROUNDS))) for _ in range(count)]
    model = TextToImage(pack.text_encoder(), pack.unet())
    pictures = []
    for start in range(0, count, 24):
        prompts = [
            caption_of((n,), p) for n, p in zip(names[start : start + 24], places[start : start + 24], strict=True)
        ]
        pictures.append(generate(model, pack.vae(), pack.tokenizer(), pack.scheduler(), prompts, seed + start))
    objects, backgrounds = classify(pack, np.concatenate(pictures))
    return {
        "text_object": float(np.mean([a == b for a, b in zip(objects, names, strict=True)])),
        "text_background": float(np.mean([a == b for a, b in zip(backgrounds, places, strict=True)])),
    }


def controlnet(pack: Any, count: int = 48) -> dict[str, float]:
    """IoU of first frames with their masks by the automatic judge, which is not shown the masks."""
    from mvmodel.generation.first_frame import control_frames
    from mvmodel.metrics.adherence import find_foreground

    scores = []
    for start in range(0, count, 12):
        drawn = list(stills(HELD_OUT, 60_000 + start, 12, second_object=0))
        masks = np.stack([s.mask for s in drawn])
        prompts = [caption_of(s.objects, s.background) for s in drawn]
        seeds = list(range(start, start + len(drawn)))
        frames = control_frames(pack, prompts, masks, seeds, GenerationConfig())
        for frame, still in zip(frames, drawn, strict=True):
            found = find_foreground(frame[None], pack.segmenter(), pack.scorer(), list(still.objects))[0]
            scores.append(_iou(found, still.mask))
    return {"controlnet_iou": float(np.mean(scores))}


def check_pack(pack: Any, quick: bool = False) -> dict[str, Any]:
    """Measure everything; `quick` on a quarter of the pictures. Keys of `quality` are those of `FLOORS` and more."""
    share = 4 if quick else 1
    began = time.time()
    quality: dict[str, float] = {}
    if not pack.info.objects:
        return {
            "name": pack.info.name,
            "hash": pack.hash,
            "random": pack.info.random,
            "quality": {},
            "damaged": pack.check_hashes(),
        }
    for part, count in ((autoencoder, 128), (scorer, 384), (segmenter, 96), (text_to_image, 144), (controlnet, 48)):
        quality |= part(pack, count // share)
    return {
        "name": pack.info.name,
        "hash": pack.hash,
        "random": pack.info.random,
        "quality": {name: round(value, 4) for name, value in quality.items()},
        "floors": FLOORS,
        "below": sorted(name for name, floor in FLOORS.items() if quality[name] < floor),
        "damaged": pack.check_hashes(),
        "hashes": pack.info.hashes,
        "seconds": round(time.time() - began, 1),
    }
