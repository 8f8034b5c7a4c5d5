"""What training draws from the cached clips."""

from __future__ import annotations

import pytest
import torch

from mvmodel.backends.image_unet.latents import TrainingLatents, draw_batch
from mvmodel.backends.training_config import TrainConfig


def test_draw_drops_prompt_and_mask_together_and_each_alone():
    data = TrainingLatents(
        torch.randn(3, 2, 4, 4, 8, 8), torch.rand(3, 2, 4, 64, 64), torch.ones(3, 5, 8), torch.zeros(1, 5, 8)
    )

    def shares(**options: float | None) -> dict[tuple[bool, bool], float]:
        config = TrainConfig(clips_per_step=4, **options)
        counts: dict[tuple[bool, bool], float] = {}
        for index in range(100):
            _, _, text, _, _, keep, clean = draw_batch(data, config, index)
            assert clean.min() >= 1 and clean.max() <= 2
            for sentence, flag, clean_frames in zip(text, keep, clean, strict=True):
                key = (bool(sentence.any()), bool(flag))
                counts[key] = counts.get(key, 0) + 1 / 400
                has_context.append(int(clean_frames) > 1)
        return counts

    has_context: list[bool] = []
    assert set(shares(dropout=0.5)) == {(True, True), (False, False)} and not any(has_context)
    assert shares(dropout=0.5)[False, False] == pytest.approx(0.5, abs=0.1)
    separate_dropout = shares(dropout=0.0, text_dropout=0.3, mask_dropout=0.2)
    assert separate_dropout[False, True] == pytest.approx(0.3 * 0.8, abs=0.07)
    assert separate_dropout[True, False] == pytest.approx(0.7 * 0.2, abs=0.07)
    has_context.clear()
    shares(init_from=None)
    assert 0.05 < sum(has_context) / len(has_context) < 0.2, "a quarter of the steps, in half of which 1 is drawn"
    has_context.clear()
    shares(init_from=None, context_share=0.0)
    assert not any(has_context)
    shares(context_share=1.0)
    assert 0.2 < sum(has_context) / len(has_context) < 0.8


def test_timesteps_stay_in_their_range_and_the_whole_range_changes_nothing():
    data = TrainingLatents(
        torch.randn(3, 1, 4, 4, 8, 8), torch.rand(3, 1, 4, 64, 64), torch.ones(3, 5, 8), torch.zeros(1, 5, 8)
    )

    def timesteps(**options: tuple[float, float]) -> torch.Tensor:
        config = TrainConfig(clips_per_step=4, **options)
        return torch.cat([draw_batch(data, config, index)[4] for index in range(50)])

    assert 0 <= timesteps().min() < 300 and 700 < timesteps().max() <= 999
    early = timesteps(timestep_range=(0.6, 1.0))
    assert 600 <= early.min() < 700 and early.max() > 900
    assert torch.equal(timesteps(timestep_range=(0.0, 1.0)), timesteps())
    with pytest.raises(ValueError, match="is empty"):
        TrainConfig(timestep_range=(0.5, 0.5))
