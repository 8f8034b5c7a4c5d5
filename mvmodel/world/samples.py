"""The sample clips in datasets/samples: `python -m mvmodel.world.samples` writes them again.

Three motions of seven clips each, as a user would put them into a folder: most are labelled in the manifest, half have
a caption, some have neither; and four files that ingestion must refuse. The ground truth of every clip, masks included,
is in datasets/ground_truth, for tests.
"""

from __future__ import annotations

import csv
import sys
from dataclasses import dataclass
from pathlib import Path

from mvmodel.files import atomic_folder
from mvmodel.masks import MaskSequence
from mvmodel.video.encode import write_mp4
from mvmodel.world.render import TRAIN, RenderedClip, random_clip

FRAMES, FPS = 16, 8.0
_SEED = 880_000
_LABELLED, _CAPTIONED = 5, 4
"""How many of a motion's clips the manifest labels, and captions."""
_SIDES = (128, 160, 128, 144, 128, 160, 128)

SAMPLE_SCENES: dict[str, tuple[tuple[str, str], ...]] = {
    "gallop": (
        ("horse", "meadow"),
        ("dog", "desert"),
        ("cow", "snow"),
        ("pig", "sea"),
        ("elephant", "dusk"),
        ("cat", "forest"),
        ("tractor", "meadow"),
    ),
    "bounce": (
        ("ball", "meadow"),
        ("apple", "snow"),
        ("rabbit", "desert"),
        ("star", "night"),
        ("mushroom", "dusk"),
        ("duck", "sea"),
        ("balloon", "space"),
    ),
    "zigzag": (
        ("fish", "sea"),
        ("owl", "night"),
        ("penguin", "snow"),
        ("car", "desert"),
        ("whale", "space"),
        ("rooster", "meadow"),
        ("turtle", "dusk"),
    ),
}
"""Motion -> (object, background) of its clips, in order; the first five are labelled."""


@dataclass(frozen=True)
class Sample:
    """A sample clip: its file's name, its render, and its index within its motion."""

    file: str
    clip: RenderedClip
    index: int


def render_samples() -> list[Sample]:
    """Render the sample clips, in manifest order."""
    samples = []
    for number, (motion, scenes) in enumerate(SAMPLE_SCENES.items()):
        for index, (name, background) in enumerate(scenes):
            clip = random_clip(
                (TRAIN, _SEED + 100 * number + index),
                frames=FRAMES,
                side=_SIDES[index],
                motion=motion,
                objects=(name,),
                background=background,
                facing=1 if index % 2 == 0 else -1,
                pan=(0.3 if index == 2 else -0.3) if index in (2, 5) else 0.0,
            )
            samples.append(Sample(f"{name}-{background}.mp4", clip, index))
    return samples


def write_samples(out: Path, ground_truth: Path) -> None:
    """Write datasets/samples to `out`, and masks and labels of all clips to `ground_truth`; both are replaced."""
    samples = render_samples()
    with atomic_folder(Path(out)) as folder:
        for sample in samples:
            write_mp4(folder / sample.file, sample.clip.frames, FPS)
        _write_manifest(folder / "manifest.csv", samples)
        _write_broken(folder, samples[0])
        (folder / "README.md").write_text(_README)
    with atomic_folder(Path(ground_truth)) as folder:
        for sample in samples:
            MaskSequence(sample.clip.masks, FPS).save(folder / f"{Path(sample.file).stem}.npz")
        _write_truth(folder / "truth.csv", samples)


def _write_manifest(path: Path, samples: list[Sample]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["file", "caption", "motion", "start", "end"])
        for sample in samples:
            if sample.index < _LABELLED:
                caption = sample.clip.caption if sample.index < _CAPTIONED else ""
                writer.writerow([sample.file, caption, sample.clip.motion, "", ""])


def _write_truth(path: Path, samples: list[Sample]) -> None:
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["file", "motion", "object", "background", "caption"])
        for sample in samples:
            clip = sample.clip
            writer.writerow([sample.file, clip.motion, clip.objects[0], clip.background, clip.caption])


def _write_broken(folder: Path, sample: Sample) -> None:
    """Write four files that ingestion must refuse, each for another reason."""
    content = (folder / sample.file).read_bytes()
    (folder / "truncated.mp4").write_bytes(content[: len(content) * 6 // 10])
    (folder / "empty.mp4").write_bytes(b"")
    (folder / "notes.mp4").write_text("Shot list: horse on the meadow, dog in the desert. This is no video.\n")
    write_mp4(folder / "one_frame.mp4", sample.clip.frames[:1], FPS)


_README = """# Sample clips

Rendered by `python -m mvmodel.world.samples`; the same command writes them again. Objects are sprites
made from Noto Color Emoji (SIL Open Font License 1.1, see NOTICE); backgrounds are procedural.

Three motions, seven clips each (H.264, 16 frames, 8 frames a second). `manifest.csv` labels five clips of each motion
and captions four; the other two are found by their motion alone. `truncated.mp4`, `empty.mp4`, `notes.mp4` and
`one_frame.mp4` cannot be used and must end in the quarantine. Masks and labels of all clips
are in `datasets/ground_truth`.
"""


if __name__ == "__main__":
    write_samples(*map(Path, sys.argv[1:] or ("datasets/samples", "datasets/ground_truth")))
