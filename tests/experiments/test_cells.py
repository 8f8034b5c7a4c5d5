from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.code_version import PACKAGE, import_closure
from mvmodel.errors import InputError
from mvmodel.experiments.bench import METRICS_CODE, TUNING_CODE, VIDEO_CODE
from mvmodel.experiments.cells import Cell, FirstFrameSpec, Task


def test_whatever_decides_the_video_is_in_the_recipe(task):
    cell = Cell({"condition": "full"}, task, "own", GenerationConfig())
    shifted = np.roll(task.masks, 4, axis=2)
    variations = [
        replace(cell, task=replace(task, prompt="a cat")),
        replace(cell, task=task.with_seed_offset(1)),
        replace(cell, task=replace(task, masks=shifted), control_masks=task.masks),
        replace(cell, task=replace(task, words=("cat",))),
        replace(cell, generation=GenerationConfig(alpha=0.3)),
        replace(cell, control_masks=shifted),
        replace(cell, mask_term=False),
        replace(cell, first=FirstFrameSpec(latent_noise=0.5)),
    ]
    recipes = {one.recipe(adapter="a") for one in (cell, *variations)}
    assert len(recipes) == len(variations) + 1
    assert cell.recipe(adapter="b") not in recipes


def test_what_only_names_the_cell_is_not(task):
    cell = Cell({"condition": "full"}, task, "own", GenerationConfig())
    renamed = replace(cell, factors={"alpha": 0.2}, task=replace(task, name="another"), control_masks=task.masks.copy())
    assert renamed.recipe(adapter="a") == cell.recipe(adapter="a")


def test_code_of_other_parts_does_not_count():
    assert len({VIDEO_CODE, METRICS_CODE, TUNING_CODE}) == 3
    files = {path.relative_to(PACKAGE).as_posix() for path in import_closure("mvmodel.experiments.cell_video")}
    assert {"masks/edit.py", "backends/image_unet/latents.py", "backends/image_unet/denoiser.py"} <= files
    files = {path.relative_to(PACKAGE).as_posix() for path in import_closure("mvmodel.experiments.cell_metrics")}
    assert "metrics/adherence.py" in files and "backends/image_unet/denoiser.py" not in files


def test_a_task_without_a_first_mask_is_refused():
    with pytest.raises(InputError, match="first mask is empty"):
        Task("empty", "a horse", np.zeros((2, 8, 8), bool), 1, ("horse",))
