"""Two objects, each with its own mask: `python -m benchmarks.two_objects` says how often each is where it should be.

The judge looks for each object's word in the finished frames and is never shown a mask. A video counts when every
object overlaps its own mask by `--iou` or more on average, and more than the other object's. The same requests run with
masks bound to their words (the union acting on the other words, or nothing) and with one merged mask; the true clips
give the ceiling.

The tiny pack's models were trained on clips whose first-named object is on the left, so that the order of the words
alone tells a merged mask which object is where. Only scenes that break with it say what binding is worth: swapped (the
same clips, named the other way round), alike (objects of similar look, named either way) and crossing (they change
sides, named either way). Cells are kept one by one; a stopped run goes on where it was.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.measurements import MeasurementLog
from benchmarks.workers import add_cell_options, load_pack_once, measure_missing, use_one_thread

if TYPE_CHECKING:
    from mvmodel.packs import Pack

CONDITIONS = ("bound", "bound, other words without mask", "merged")
TRUE_CLIPS = "true clips"
ALIKE = (
    ("horse", "cow"), ("dog", "cat"), ("car", "bus"), ("truck", "tractor"), ("rooster", "duck"), ("ball", "apple"),
    ("fish", "whale"), ("pig", "elephant"), ("rabbit", "cat"), ("penguin", "owl"), ("balloon", "ball"),
    ("bus", "truck"),
)  # fmt: skip
Cells = dict[tuple[str, str], list[np.ndarray]]
"""(scene, setting) -> a table of overlaps a video."""


def make_as_named(number: int, frames: int) -> Any:
    """Side by side, the first-named on the left, as the models were trained."""
    from mvmodel.world.render import HELD_OUT, random_clip

    return random_clip((HELD_OUT, number, 72), frames=frames, second_object=1.0)


def make_swapped(number: int, frames: int) -> Any:
    """The same clip, its objects named the other way round."""
    return swap_names(make_as_named(number, frames))


def make_alike(number: int, frames: int) -> Any:
    """Side by side, two of similar look; every other one named the other way round."""
    from mvmodel.world.render import HELD_OUT, random_clip

    clip = random_clip((HELD_OUT, number, 75), frames=frames, objects=ALIKE[number % len(ALIKE)], pan=0.0)
    return swap_names(clip) if number % 2 else clip


def make_crossing(number: int, frames: int) -> Any:
    """Two that pass each other and change sides; every other one named the other way round."""
    from mvmodel.world.motions import SpritePoses
    from mvmodel.world.render import HELD_OUT, AnimatedSprite, RenderedClip, compose_caption, render
    from mvmodel.world.scenes import BACKGROUNDS
    from mvmodel.world.sprites import OBJECTS

    rng = np.random.default_rng((HELD_OUT, number, 76))
    names = tuple(str(name) for name in rng.choice(list(OBJECTS), 2, replace=False))
    background = str(rng.choice(list(BACKGROUNDS)))
    t, still = np.linspace(0, 1, frames), np.ones(frames)
    actors = []
    for index, name in enumerate(names):
        direction = 1 - 2 * index
        x, y = 0.5 + direction * (0.5 * t - 0.25), np.full(frames, 0.36 + 0.3 * index + rng.uniform(-0.03, 0.03))
        poses = SpritePoses(x, y, still, still, 4 * np.sin(2 * np.pi * t), direction)
        actors.append(AnimatedSprite(name, "glide", float(rng.uniform(0.34, 0.40)), poses))
    pictures, instances = render(actors, background, rng)
    clip = RenderedClip(pictures, instances, compose_caption(names, background), names, ("glide", "glide"), background)
    return swap_names(clip) if number % 2 else clip


def swap_names(clip: Any) -> Any:
    """The clip with its objects in the other order: in its caption, its words and its masks."""
    from mvmodel.world.render import compose_caption

    names = clip.objects[::-1]
    caption = compose_caption(names, clip.background)
    return replace(clip, objects=names, instances=clip.instances[::-1], motions=clip.motions[::-1], caption=caption)


SCENES: dict[str, Callable[[int, int], Any]] = {
    "as named": make_as_named,
    "swapped": make_swapped,
    "alike": make_alike,
    "crossing": make_crossing,
}


def compute_overlaps(pack: Pack, frames: np.ndarray, clip: Any, stride: int = 2) -> np.ndarray:
    """IoU of where each object is found (rows) with each object's mask (columns), mean over frames 2..n."""
    from mvmodel.metrics.adherence import find_foreground, iou

    frames_judged = slice(1, None, stride)
    detections = [
        find_foreground(frames[frames_judged], pack.segmenter(), pack.scorer(), [word]) for word in clip.objects
    ]
    return np.array([[iou(one, masks[frames_judged]).mean() for masks in clip.instances] for one in detections])


def are_in_place(overlaps: np.ndarray, least: float) -> bool:
    """Is every object over its own mask, by at least `least` and more than over any other."""
    own_overlaps = np.diag(overlaps)
    return bool((own_overlaps >= least).all() and (overlaps.argmax(axis=1) == np.arange(len(overlaps))).all())


def measure_cell(
    pack: str, scene: str, setting: str, number: int, seed: int, frames: int, given_first: bool
) -> dict[str, Any]:
    """The overlaps in one video."""
    import torch

    from mvmodel.backends.generation_config import GenerationConfig
    from mvmodel.backends.image_unet.first_frame import generate_first_frames
    from mvmodel.backends.image_unet.long_video import pipeline_options
    from mvmodel.backends.instances import Instance
    from mvmodel.text import with_article
    from mvmodel.video.tensors import to_uint8

    models, clip = load_pack_once(pack), SCENES[scene](number, frames)
    if setting == TRUE_CLIPS:
        return {"overlaps": compute_overlaps(models, clip.frames, clip).tolist()}
    named_instances = [
        Instance(with_article(word), masks) for word, masks in zip(clip.objects, clip.instances, strict=True)
    ]
    instances: Sequence[Instance] | None = None if setting == "merged" else named_instances
    config, noise_seed = GenerationConfig(), seed * 1000 + number
    first = clip.frames[0]
    if not given_first:
        first = generate_first_frames(
            models, [clip.caption], clip.masks[:1], [noise_seed], config, instances=instances
        )[0]
    options = {**pipeline_options(config), "generator": torch.Generator().manual_seed(noise_seed)}
    options["unbound_words"] = "none" if "without" in setting else "union"
    video = _pipeline(pack)(clip.caption, clip.masks, first, instances=instances, **options).frames[0]
    return {"overlaps": compute_overlaps(models, to_uint8(video), clip).tolist()}


@cache
def _pipeline(pack: str) -> Any:
    from mvmodel.backends.generation_config import GenerationConfig
    from mvmodel.backends.image_unet.build import build_pipeline

    return build_pipeline(load_pack_once(pack), load_pack_once(pack).start_adapter(), GenerationConfig())


def format_table(overlaps_by_cell: Cells, least: float) -> str:
    """Markdown: share of videos with every object in its place and mean IoU with the own mask, with 95 % intervals."""
    from mvmodel.metrics.report_card import bootstrap_interval

    out = ["| scenes | setting | videos | objects in place | IoU with the own mask |", "|---|---|---|---|---|"]
    for (scene, setting), tables in overlaps_by_cell.items():
        cells = []
        for values in ([float(are_in_place(t, least)) for t in tables], [float(np.diag(t).mean()) for t in tables]):
            low, high = bootstrap_interval(np.array(values))
            cells.append(f"{np.mean(values):.2f} ({low:.2f}–{high:.2f})")
        out.append(f"| {scene} | {setting} | {len(tables)} | {cells[0]} | {cells[1]} |")
    return "\n".join(out)


def format_statement(overlaps_by_cell: Cells, least: float) -> str:
    """What the rows say of binding against merging, a sentence a scene; its interval is over pairs of videos."""
    from mvmodel.metrics.report_card import bootstrap_interval

    sentences = []
    for scene in dict.fromkeys(scene for scene, _ in overlaps_by_cell):
        pair = [
            [float(are_in_place(t, least)) for t in overlaps_by_cell.get((scene, name), ())]
            for name in ("bound", "merged")
        ]
        if not pair[0] or len(pair[0]) != len(pair[1]):
            continue
        gap = np.array(pair[0]) - np.array(pair[1])
        low, high = bootstrap_interval(gap)
        verdict = "no difference that these videos show"
        if low > 0 or high < 0:
            verdict = "binding puts more objects in place" if low > 0 else "binding puts fewer objects in place"
        sentences.append(
            f"{scene}: {np.mean(pair[0]):.0%} of {len(gap)} videos bound, {np.mean(pair[1]):.0%} merged "
            f"(difference {gap.mean():+.2f}, {low:+.2f} to {high:+.2f}): {verdict}."
        )
    return "\n".join(sentences)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks two_objects", description=__doc__)
    add_cell_options(parser, "two_objects.jsonl")
    parser.add_argument("--scenes", nargs="+", choices=list(SCENES), default=list(SCENES))
    parser.add_argument("--settings", nargs="+", choices=CONDITIONS, default=list(CONDITIONS))
    parser.add_argument("--videos", type=int, default=12, help="clips a kind of scene")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1], help="videos a clip, each from its own noise")
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--iou", type=float, default=0.3)
    parser.add_argument("--given-first", action="store_true", help="frame 1 from the clip, not from the ControlNet")
    options = parser.parse_args(arguments)
    use_one_thread()
    log = MeasurementLog(
        options.out, {"pack": load_pack_once(options.pack).hash, "frames": options.frames, "first": options.given_first}
    )
    cells_wanted = [
        (scene, setting, number, seed)
        for seed in options.seeds
        for number in range(options.videos)
        for scene in options.scenes
        for setting in (TRUE_CLIPS, *options.settings)
        if setting != TRUE_CLIPS or seed == options.seeds[0]  # the true clip has no noise
    ]
    key = "{}/{}/{}/{}".format
    if not options.table:
        cells = {key(*one): (options.pack, *one, options.frames, options.given_first) for one in cells_wanted}
        measure_missing(log, measure_cell, cells, options.workers)
    rows = log.rows()
    overlaps_by_cell: Cells = {
        (scene, setting): [] for scene in options.scenes for setting in (*options.settings, TRUE_CLIPS)
    }
    for one in cells_wanted:
        if key(*one) in rows:
            overlaps_by_cell[one[0], one[1]].append(np.array(rows[key(*one)]["overlaps"]))
    overlaps_by_cell = {name: tables for name, tables in overlaps_by_cell.items() if tables}
    print(format_table(overlaps_by_cell, options.iou))
    print()
    print(format_statement(overlaps_by_cell, options.iou))


if __name__ == "__main__":
    main()
