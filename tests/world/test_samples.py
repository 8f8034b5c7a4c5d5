"""The sample clips in datasets/ are what their script renders."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mvmodel.masks import MaskSequence
from mvmodel.video.frames import read_frames
from mvmodel.world.samples import SAMPLE_SCENES, write_samples

SHIPPED = Path(__file__).parents[2] / "datasets" / "samples"


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_samples(tmp_path_factory.mktemp("samples") / "s")


def test_shipped_files_are_reproduced(rendered: Path) -> None:
    names = sorted(path.relative_to(SHIPPED).as_posix() for path in SHIPPED.rglob("*") if path.is_file())
    assert names == sorted(path.relative_to(rendered).as_posix() for path in rendered.rglob("*") if path.is_file())
    for name in ("manifest.csv", "ground_truth/truth.csv"):
        assert (SHIPPED / name).read_text() == (rendered / name).read_text()
    # Another x264 may write other bytes, but the pictures stay the same.
    for name in ("horse-meadow.mp4", "owl-night.mp4"):
        assert np.abs(read_frames(SHIPPED / name).astype(int) - read_frames(rendered / name)).mean() < 1


def test_they_are_small_varied_and_have_their_masks(rendered: Path) -> None:
    assert sum(path.stat().st_size for path in SHIPPED.rglob("*") if path.is_file()) < 6_000_000
    truth = pd.read_csv(SHIPPED / "ground_truth" / "truth.csv")
    assert truth["motion"].value_counts().to_dict() == dict.fromkeys(SAMPLE_SCENES, 7)
    assert truth["object"].is_unique
    for _, group in truth.groupby("motion"):
        assert group["background"].nunique() >= 6
    for file in truth["file"]:
        sequence = MaskSequence.load(SHIPPED / "ground_truth" / f"{Path(file).stem}.npz")
        frames = read_frames(SHIPPED / file)
        assert sequence.masks.shape == frames.shape[:3]
        assert (sequence.coverage() > 0.03).all()
