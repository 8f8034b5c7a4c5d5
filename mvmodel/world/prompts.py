"""The sample requests in datasets/prompts: `python -m mvmodel.world.prompts OUT` writes them again.

For each sample motion, prompts and mask sequences that its training clips do not have: other objects, other
backgrounds, paths from the held-out split.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from mvmodel.files import atomic_folder
from mvmodel.masks import MaskSequence
from mvmodel.world.render import HELD_OUT, random_clip

FRAMES, FPS, SIDE = 12, 8.0, 128

HELD_OUT_SCENES: dict[str, tuple[tuple[str, str], ...]] = {
    "gallop": (("rabbit", "dusk"), ("car", "snow"), ("fish", "forest"), ("penguin", "desert")),
    "bounce": (("pig", "meadow"), ("turtle", "sea"), ("cat", "snow"), ("truck", "desert")),
    "zigzag": (("apple", "meadow"), ("dog", "dusk"), ("balloon", "sea"), ("tractor", "forest")),
}
"""Motion -> (object, background) of its requests."""


def write_prompts(out: Path) -> Path:
    """Write requests.csv and masks/*.npz to `out`, which is replaced when they are complete; returns `out`."""
    with atomic_folder(out) as folder:
        (folder / "masks").mkdir()
        rows = []
        for motion, scenes in HELD_OUT_SCENES.items():
            for number, (name, background) in enumerate(scenes):
                seed = (HELD_OUT, 70_000 + 100 * list(HELD_OUT_SCENES).index(motion) + number)
                clip = random_clip(seed, FRAMES, SIDE, motion, (name,), background, pan=0.0)
                file = f"masks/{motion}-{name}-{background}.npz"
                MaskSequence(clip.masks, FPS).save(folder / file)
                rows.append([f"{motion}-{name}-{background}", motion, clip.caption, file, number + 1])
        with open(folder / "requests.csv", "w", newline="", encoding="utf-8") as table:
            writer = csv.writer(table, lineterminator="\n")
            writer.writerow(["name", "motion", "prompt", "masks", "seed"])
            writer.writerows(rows)
    return out


if __name__ == "__main__":
    print(write_prompts(Path(sys.argv[1])))
