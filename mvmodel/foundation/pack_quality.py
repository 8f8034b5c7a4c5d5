"""`mvmodel packs check`: a pack's quality on held-out renders, by judges that were trained on renders only."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.backends.image_unet.first_frame import generate_first_frames
from mvmodel.foundation.few_shot_quality import measure_few_shot
from mvmodel.foundation.open_pack_quality import CheckSize, check_open_pack
from mvmodel.foundation.text_to_image import TextToImage, sample_pictures
from mvmodel.foundation.vae import measure_reconstruction
from mvmodel.masks.geometry import bounding_box, mask_iou
from mvmodel.metrics.adherence import cut_out, find_foreground
from mvmodel.metrics.config import JudgeConfig
from mvmodel.packs import Pack
from mvmodel.progress import track
from mvmodel.text import with_article
from mvmodel.world.render import HELD_OUT, compose_caption, random_clip, render_stills
from mvmodel.world.scenes import BACKGROUNDS
from mvmodel.world.sprites import OBJECTS

FLOORS = {
    "vae_psnr": 32.0,
    "vae_psnr_object": 25.0,
    "text_object": 0.90,
    "text_background": 0.97,
    "text_two_objects": 0.70,
    "controlnet_iou": 0.85,
    "segmenter_iou_point": 0.90,
    "segmenter_iou_box": 0.92,
    "segmenter_iou_automatic": 0.90,
    "scorer_object": 0.98,
    "scorer_background": 0.99,
    "judge_ceiling": 0.85,
    "few_shot_share": 0.75,
}
"""What the tiny pack must reach. PSNR in dB, the rest shares of 1."""
CEILINGS = {"few_shot_share_without_mask": 0.35, "megabytes": 40.0}
"""What it must stay below: without the mask term little may follow the mask, and the pack must stay small."""


def measure_autoencoder(pack: Pack, count: int = 128) -> dict[str, float]:
    """PSNR of the autoencoder's copy, of whole pictures and inside the objects' masks, see `measure_reconstruction`."""
    qualities = measure_reconstruction(pack.vae(), count)
    return {f"vae_{name}": value for name, value in qualities.items()}


def measure_scorer(pack: Pack, count: int = 384) -> dict[str, float]:
    """Zero-shot accuracy on held-out renders: the right object, the right background, each among all."""
    rendered_stills = list(render_stills(HELD_OUT, 40_000, count, second_object=0))
    objects, backgrounds = classify_pictures(pack, np.stack([s.image for s in rendered_stills]))
    return {
        "scorer_object": float(np.mean([o == s.objects[0] for o, s in zip(objects, rendered_stills, strict=True)])),
        "scorer_background": float(
            np.mean([b == s.background for b, s in zip(backgrounds, rendered_stills, strict=True)])
        ),
    }


def classify_pictures(pack: Pack, pictures: np.ndarray) -> tuple[list[str], list[str]]:
    """The object word and the background name that the scorer sees in each picture, uint8 (n, h, w, 3)."""
    judge = pack.scorer()
    images = judge.images(pictures)
    objects = images @ judge.texts([with_article(name) for name in OBJECTS]).T
    backgrounds = images @ judge.texts(list(BACKGROUNDS.values())).T
    return (
        [list(OBJECTS)[i] for i in objects.argmax(axis=1)],
        [list(BACKGROUNDS)[i] for i in backgrounds.argmax(axis=1)],
    )


def measure_segmenter(pack: Pack, count: int = 96) -> dict[str, float]:
    """IoU on held-out renders from one random point, from the box, and of the best-rated automatic mask."""
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
            encoding, point_coords=np.array([[columns[pick], rows[pick]]], float), point_labels=np.array([1])
        )
        point.append(mask_iou(masks[int(np.argmax(scores))], mask))
        masks, scores = judge.predict(encoding, box=np.array(bounding_box(mask), float))
        box.append(mask_iou(masks[int(np.argmax(scores))], mask))
        automatic.append(mask_iou(find_foreground(frame, judge, pack.scorer(), list(clip.objects))[0], mask))
    return {
        "segmenter_iou_point": float(np.mean(point)),
        "segmenter_iou_box": float(np.mean(box)),
        "segmenter_iou_automatic": float(np.mean(automatic)),
    }


def generate_pictures(pack: Pack, prompts: list[str], seed: int) -> np.ndarray:
    """Pictures of the prompts by the text-to-image model alone, uint8 (prompts, side, side, 3)."""
    model = TextToImage(pack.text_encoder(), pack.unet())
    pictures = []
    for start in range(0, len(prompts), 24):
        part = prompts[start : start + 24]
        pictures.append(sample_pictures(model, pack.vae(), pack.tokenizer(), pack.scheduler(), part, seed + start))
    return np.concatenate(pictures)


def measure_text_to_image(pack: Pack, count: int = 500, seed: int = 9) -> dict[str, float]:
    """Generated pictures whose object and background the scorer, which never saw a generated picture, gets right."""
    rng = np.random.default_rng(seed)
    names = [str(rng.choice(list(OBJECTS))) for _ in range(count)]
    places = [str(rng.choice(list(BACKGROUNDS))) for _ in range(count)]
    pictures = generate_pictures(pack, [compose_caption((n,), p) for n, p in zip(names, places, strict=True)], seed)
    objects, backgrounds = classify_pictures(pack, pictures)
    return {
        "text_object": float(np.mean([a == b for a, b in zip(objects, names, strict=True)])),
        "text_background": float(np.mean([a == b for a, b in zip(backgrounds, places, strict=True)])),
    }


def measure_two_objects(pack: Pack, count: int = 96, seed: int = 19) -> dict[str, float]:
    """Pictures of two objects in which both are found, by `objects_in`; beside it the same on held-out renders."""
    rng = np.random.default_rng(seed)
    pairs = [tuple(str(n) for n in rng.choice(list(OBJECTS), 2, replace=False)) for _ in range(count)]
    places = [str(rng.choice(list(BACKGROUNDS))) for _ in range(count)]
    pictures = generate_pictures(
        pack, [compose_caption(pair, background) for pair, background in zip(pairs, places, strict=True)], seed
    )
    rendered = list(render_stills(HELD_OUT, 80_000, count, second_object=1.0))
    return {
        "text_two_objects": float(
            np.mean([set(p) <= find_objects(pack, i) for p, i in zip(pairs, pictures, strict=True)])
        ),
        "two_objects_on_renders": float(np.mean([set(s.objects) <= find_objects(pack, s.image) for s in rendered])),
    }


def find_objects(pack: Pack, picture: np.ndarray) -> set[str]:
    """What stands in a picture, uint8 (h, w, 3): the scorer's word for every automatic mask, cut out on grey."""
    config, segmenter, judge = JudgeConfig(), pack.segmenter(), pack.scorer()
    masks = [c.mask for c in segmenter.automatic(segmenter.encode(picture[None])[0])]
    masks = [mask for mask in masks if config.min_area <= mask.mean() <= config.max_area]
    if not masks:
        return set()
    images = judge.images(np.stack([cut_out(picture, mask, config) for mask in masks]))
    table = judge.texts([with_article(name) for name in OBJECTS])
    return {list(OBJECTS)[row] for row in (images @ table.T).argmax(axis=1)}


def measure_controlnet(pack: Pack, count: int = 48) -> dict[str, float]:
    """IoU of first frames with their masks by the automatic judge, which is not shown the masks."""
    scores = []
    for start in range(0, count, 12):
        rendered_stills = list(render_stills(HELD_OUT, 60_000 + start, 12, second_object=0))
        masks = np.stack([s.mask for s in rendered_stills])
        prompts = [compose_caption(s.objects, s.background) for s in rendered_stills]
        seeds = list(range(start, start + len(rendered_stills)))
        frames = generate_first_frames(pack, prompts, masks, seeds, GenerationConfig())
        for frame, still in zip(frames, rendered_stills, strict=True):
            qualities = find_foreground(frame[None], pack.segmenter(), pack.scorer(), list(still.objects))[0]
            scores.append(mask_iou(qualities, still.mask))
    return {"controlnet_iou": float(np.mean(scores))}


MEASUREMENTS: tuple[tuple[Callable[..., dict[str, float]], int], ...] = (
    (measure_autoencoder, 128),
    (measure_scorer, 384),
    (measure_segmenter, 96),
    (measure_text_to_image, 500),
    (measure_two_objects, 96),
    (measure_controlnet, 96),
    (measure_few_shot, 12),
)
"""What is measured, and on how many pictures or videos."""


def check_pack(pack: Pack, quick: bool = False, open_size: CheckSize | None = None) -> dict[str, Any]:
    """Measure everything; `quick` on a quarter of the pictures. Keys of `quality` are those of `FLOORS` and more.

    A pack without a vocabulary of its own is measured by `check_open_pack`, in `open_size` if that is given.
    """
    share = 4 if quick else 1
    began = time.time()
    quality: dict[str, float] = {}
    if not pack.info.objects:
        return {
            "name": pack.info.name,
            "hash": pack.hash,
            "random": pack.info.random,
            **check_open_pack(pack, open_size or (CheckSize.quick() if quick else CheckSize())),
            "damaged": pack.check_hashes(),
            "hashes": pack.info.hashes,
            "seconds": round(time.time() - began, 1),
        }
    for part, count in track(MEASUREMENTS, "check pack"):
        quality |= part(pack, count // share)
    quality["megabytes"] = sum(file.stat().st_size for file in pack.folder.rglob("*.safetensors")) / 1e6
    return {
        "name": pack.info.name,
        "hash": pack.hash,
        "random": pack.info.random,
        "quality": {name: round(value, 4) for name, value in quality.items()},
        "floors": FLOORS,
        "ceilings": CEILINGS,
        "below": sorted(name for name, floor in FLOORS.items() if quality[name] < floor),
        "above": sorted(name for name, ceiling in CEILINGS.items() if quality[name] > ceiling),
        "damaged": pack.check_hashes(),
        "hashes": pack.info.hashes,
        "seconds": round(time.time() - began, 1),
    }
