"""`python -m mvmodel.foundation.gallery PACK OUT [SEED]`: what a pack's pictures look like, as three JPEGs.

text_to_image.jpg and first_frames.jpg are 6 rows of 8, every object on two backgrounds; on first frames and in
videos.jpg (a video a row, 8 of its frames) the control mask's outline is drawn.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.backends.load import load_backend
from mvmodel.foundation.controlnet import draw_outlines
from mvmodel.foundation.pack_quality import generate_pictures
from mvmodel.generation.requests import generate_video
from mvmodel.masks import MaskSequence
from mvmodel.packs import Pack, load_pack
from mvmodel.video.contact_sheet import contact_sheet
from mvmodel.video.sampling import evenly_spaced_indices
from mvmodel.world.render import HELD_OUT, compose_caption, random_clip, render_stills
from mvmodel.world.scenes import BACKGROUNDS
from mvmodel.world.sprites import OBJECTS

ROWS, COLUMNS = 6, 8


def scenes() -> list[tuple[str, str]]:
    """Object and background of each of the 48 pictures."""
    names, places = list(OBJECTS), list(BACKGROUNDS)
    count = ROWS * COLUMNS
    return [(names[i % len(names)], places[(i + 3 * (i // len(names))) % len(places)]) for i in range(count)]


def text_to_image(pack: Pack, seed: int) -> np.ndarray:
    """48 pictures by the text-to-image model alone, uint8 (48, side, side, 3)."""
    return generate_pictures(pack, [compose_caption((name,), background) for name, background in scenes()], seed)


def first_frames(pack: Pack, seed: int) -> np.ndarray:
    """48 first frames by the ControlNet on held-out masks, their outlines drawn, uint8 (48, side, side, 3)."""
    stills = list(render_stills(HELD_OUT, 90_000 + seed * 100, ROWS * COLUMNS, second_object=0))
    masks = np.stack([still.mask for still in stills])
    frames = []
    for start in range(0, len(stills), COLUMNS):
        span = slice(start, start + COLUMNS)
        prompts = [compose_caption(still.objects, still.background) for still in stills[span]]
        seeds = [seed + start + i for i in range(len(prompts))]
        frames.append(load_backend(pack).first_frames(prompts, masks[span], seeds, GenerationConfig()))
    return draw_outlines(np.concatenate(frames), masks)


def videos(pack: Pack, seed: int) -> np.ndarray:
    """8 frames each of 6 videos by the start adapter on held-out mask sequences, uint8 (48, side, side, 3)."""
    config, backend = GenerationConfig(), load_backend(pack)
    rows = []
    for number in range(ROWS):
        clip = random_clip((HELD_OUT, number, 90 + seed), pack.info.frames, pan=0.0)
        first = backend.first_frames([clip.caption], clip.masks[:1], [seed + number], config)[0]
        masks = MaskSequence(clip.masks)
        frames = generate_video(backend, pack.start_adapter(), clip.caption, masks, first, config, seed + number)
        indices = evenly_spaced_indices(COLUMNS, len(frames), repeat=True)
        rows.append(draw_outlines(frames[indices], clip.masks[indices]))
    return np.concatenate(rows)


def main(arguments: list[str]) -> int:
    pack, out = load_pack(arguments[0]), Path(arguments[1])
    seed = int(arguments[2]) if len(arguments) > 2 else 5
    out.mkdir(parents=True, exist_ok=True)
    for make in (text_to_image, first_frames, videos):
        pictures = make(pack, seed)
        contact_sheet(pictures, columns=COLUMNS).save(out / f"{make.__name__}.jpg", quality=90)
        print(out / f"{make.__name__}.jpg")
    return 0


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))
