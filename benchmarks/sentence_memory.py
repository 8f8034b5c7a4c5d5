"""Peak memory of a mask sequence from a sentence (`mvmodel masks from-text`), in a process of its own.

Measured, not counted: the highest resident memory of the process, libraries and models included, and by how much it
rises while the pictures of the noun are drawn and cut out. Denoising steps do not change the peak: two are enough.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

from benchmarks.machine import describe_machine, publish_report, round_numbers
from benchmarks.measurements import Figures, measure_peak_memory, read_status, run_in_fresh_process
from mvmodel.picture_size import parse_size_option

SENTENCE = "a dog runs from left to right"


def measure_sentence(pack: str, size: str, pictures: int, steps: int, together: bool) -> Figures:
    """Peak memory in MB. together: all pictures are drawn at once, as they were before their number had a limit."""
    from mvmodel.authoring.config import TextToMasksConfig
    from mvmodel.authoring.text_to_masks import text_to_masks
    from mvmodel.backends import shape_models
    from mvmodel.packs import load_pack

    models = load_pack(pack, "cpu", size=parse_size_option(size))
    if together:
        shape_models.BATCH_PIXELS = pictures * models.info.size.width * models.info.size.height
    models.unet(), models.vae(), models.text_encoder(), models.segmenter(), models.scorer()
    config = TextToMasksConfig(pictures_per_noun=pictures, steps=steps)
    shapes = shape_models.load_shape_models(models)
    began = time.perf_counter()
    rise = measure_peak_memory(lambda: _make_masks(text_to_masks, shapes, models, config))
    return {"peak_mb": read_status("VmHWM"), "rise_mb": rise, "seconds": time.perf_counter() - began}


def _make_masks(text_to_masks: Any, shapes: Any, models: Any, config: Any) -> None:
    """A random pack's pictures are noise, in which no foreground may be found: the peak is before that."""
    from mvmodel.errors import InputError

    info = models.info
    try:
        text_to_masks(SENTENCE, shapes, info.frames, info.fps, info.size.shape, config)
    except InputError:
        if not info.random:
            raise


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks sentence_memory", description=__doc__)
    parser.add_argument("--pack", default="tiny")
    parser.add_argument("--size", default="512x512")
    parser.add_argument("--pictures", type=int, default=4, help="pictures of the noun")
    parser.add_argument("--steps", type=int, default=2, help="denoising steps of a picture")
    parser.add_argument("--together", action="store_true", help="also draw all pictures at once, for comparison")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--out", type=Path, help="also write the JSON to this file")
    options = parser.parse_args(arguments)
    ways = {"limited": False} | ({"together": True} if options.together else {})
    figures = {
        name: run_in_fresh_process(
            measure_sentence, options.pack, options.size, options.pictures, options.steps, is_together
        )
        for name, is_together in ways.items()
    }
    report = {"pack": options.pack, "size": options.size, "pictures": options.pictures, **round_numbers(figures)}
    report["on"] = describe_machine()
    publish_report(report, report, options.out, options.json)


if __name__ == "__main__":
    main()
