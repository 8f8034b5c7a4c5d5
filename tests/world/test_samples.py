"""The sample clips in datasets/ are what their script renders."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mvmodel.masks import MaskSequence
from mvmodel.video.frames import read_frames
from mvmodel.world.samples import SAMPLE_SCENES, write_samples

DATASETS = Path(__file__).parents[2] / "datasets"
SHIPPED, TRUTH = DATASETS / "samples", DATASETS / "ground_truth"


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("datasets")
    write_samples(folder / "samples", folder / "ground_truth")
    return folder


def test_shipped_files_are_reproduced(rendered: Path) -> None:
    for shipped in (SHIPPED, TRUTH):
        names = sorted(path.relative_to(DATASETS).as_posix() for path in shipped.iterdir())
        files = (rendered / shipped.name).iterdir()
        assert names == sorted(path.relative_to(rendered).as_posix() for path in files)
    for name in ("samples/manifest.csv", "ground_truth/truth.csv"):
        assert (DATASETS / name).read_text() == (rendered / name).read_text()
    # Another x264 may write other bytes, but the pictures stay the same.
    for name in ("horse-meadow.mp4", "owl-night.mp4"):
        assert np.abs(read_frames(SHIPPED / name).astype(int) - read_frames(rendered / "samples" / name)).mean() < 1


def test_they_are_small_varied_and_have_their_masks(rendered: Path) -> None:
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) < 6_000_000
    truth = pd.read_csv(TRUTH / "truth.csv")
    assert truth["motion"].value_counts().to_dict() == dict.fromkeys(SAMPLE_SCENES, 7)
    assert truth["object"].is_unique
    for _, group in truth.groupby("motion"):
        assert group["background"].nunique() >= 6
    for file in truth["file"]:
        sequence = MaskSequence.load(TRUTH / f"{Path(file).stem}.npz")
        frames = read_frames(SHIPPED / file)
        assert sequence.masks.shape == frames.shape[:3]
        assert (sequence.coverage() > 0.03).all()
