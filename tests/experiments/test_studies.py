"""What each study's grid is, and that its conclusion follows its table: made-up tables that say opposite things."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mvmodel.experiments.catalogue import EXPERIMENTS
from mvmodel.experiments.compare import compute_difference, describe_verdict
from mvmodel.experiments.experiment import Tables
from mvmodel.experiments.studies.ablation import ABLATION_CONDITIONS, AblationConfig
from mvmodel.experiments.studies.first_frame import FirstFrameConfig, _wrong_prompt
from mvmodel.experiments.studies.generalization import BASELINE_FAMILY, GeneralizationConfig
from mvmodel.experiments.studies.length import LengthConfig, extend_task
from mvmodel.experiments.studies.noise_sharing import NoiseSharingConfig, find_best_alpha
from mvmodel.experiments.studies.robustness import RobustnessConfig, damage_masks
from mvmodel.experiments.studies.zero_shot import ZeroShotConfig


def made_up(column: str, metrics: dict[object, dict[str, float]], videos: int = 4) -> pd.DataFrame:
    """`videos` rows a value of `column`, whose figures are those given, less a little that all settings share."""
    return pd.DataFrame(
        [
            {column: key, "slug": "gallop", "name": f"r{i}", "seed": 1}
            | {metric: value - 0.01 * i for metric, value in values.items()}
            for key, values in metrics.items()
            for i in range(videos)
        ]
    )


def claims(name: str, rows: pd.DataFrame, config: object, frames: pd.DataFrame | None = None) -> list[bool | None]:
    tables = Tables(rows, pd.DataFrame() if frames is None else frames)
    return [claim.holds for claim in EXPERIMENTS[name].conclude(tables, config).claims]  # type: ignore[arg-type]


def sentences(name: str, rows: pd.DataFrame, config: object, frames: pd.DataFrame | None = None) -> str:
    tables = Tables(rows, pd.DataFrame() if frames is None else frames)
    return " ".join(EXPERIMENTS[name].conclude(tables, config).sentences)  # type: ignore[arg-type]


def test_the_ablations_claims_follow_the_table():
    good = {
        "full": {"iou": 0.9, "alignment": 0.33, "colour_drift": 2.0, "motion": 4.0},
        "tuned_without_mask": {"iou": 0.2},
        "no_shared_noise": {"colour_drift": 3.0},
        "no_control": {"alignment": 0.3},
        "static_mask": {"motion": 1.0},
        "untrained": {"iou": 0.8},
    }
    assert claims("ablation_study", made_up("condition", good), AblationConfig()) == [True, True, True]
    assert "25% of the foreground's motion" in sentences("ablation_study", made_up("condition", good), AblationConfig())
    bad = {
        **good,
        "tuned_without_mask": {"iou": 0.7},
        "no_shared_noise": {"colour_drift": 1.0},
        "no_control": {"alignment": 0.4},
    }
    assert claims("ablation_study", made_up("condition", bad), AblationConfig()) == [False, False, False]
    assert claims("ablation_study", made_up("condition", {"full": good["full"]}), AblationConfig()) == [None] * 3


def first_frames(with_control: float, without: float) -> pd.DataFrame:
    """Frame 1 of four videos a condition: how it overlaps mask 1."""
    metrics = {"full": {"iou": with_control, "alignment": 0.9}, "no_control": {"iou": without, "alignment": 0.9}}
    return made_up("condition", metrics).assign(frame=1)


def test_a_first_frame_that_brings_no_alignment_is_explained_by_the_table():
    def said(alignment: float, frames: pd.DataFrame, ceiling: float, blank: float = 0.3) -> str:
        metrics = {
            "full": {"iou": 0.8, "alignment": 0.9, "clips_alignment": ceiling},
            "no_control": {"iou": 0.7, "alignment": alignment, "clips_alignment": ceiling},
            "blank_first": {"iou": 0.2, "alignment": blank, "clips_alignment": ceiling},
        }
        rows = made_up("condition", metrics).assign(clips_alignment=ceiling)
        return sentences("ablation_study", rows, AblationConfig(), frames)

    assert "Why no certain gain" not in said(0.5, first_frames(0.8, 0.2), 0.95)
    placed = said(0.901, first_frames(0.8, 0.2), 0.905)
    assert "it decides where the object stands" in placed and "so there is no room above it" in placed
    assert "a picture of some kind is needed" in placed
    text_with_room = said(0.901, first_frames(0.5, 0.5), 0.99, blank=0.95)
    assert (
        "decides where" not in text_with_room
        and "so there was room" in text_with_room
        and "a picture of some kind" not in text_with_room
    )
    assert "nothing in this table explains it" in said(0.901, first_frames(0.5, 0.5), np.nan, blank=0.95)


def test_a_gain_is_certain_only_beyond_the_least_that_is_asked():
    rows = made_up("condition", {"full": {"iou": 0.9}, "tuned_without_mask": {"iou": 0.55}})
    rows.loc[4:, "iou"] += [0.06, -0.06, 0.1, -0.1]
    gap = compute_difference(rows, {"condition": "full"}, {"condition": "tuned_without_mask"}, "iou")
    assert gap.certain and describe_verdict(gap, 1) == "holds"
    assert (
        describe_verdict(gap, 1, 0.3).startswith("holds here, but") and describe_verdict(gap, 1, 0.4) == "does not hold"
    )


def test_a_best_alpha_inside_the_range_is_told_from_one_at_an_end():
    rows_inside = made_up("alpha", {0.0: {"iou": 0.5}, 0.2: {"iou": 0.7}, 0.5: {"iou": 0.6}})
    assert find_best_alpha(rows_inside, "iou", 1) == (0.2, True)
    assert find_best_alpha(rows_inside, "iou", -1) == (0.0, True)
    assert find_best_alpha(rows_inside, "flicker", 1) == (None, False)
    config = NoiseSharingConfig(alphas=(0.0, 0.2, 0.5), modes=("paper",))
    assert claims("noise_sharing_sweep", rows_inside.assign(sharing="paper", motion=1.0), config) == [True]
    rising = made_up("alpha", {0.0: {"iou": 0.5}, 0.2: {"iou": 0.6}, 0.5: {"iou": 0.7}})
    assert claims("noise_sharing_sweep", rising.assign(sharing="paper", motion=1.0), config) == [False]
    said = sentences("noise_sharing_sweep", rising.assign(sharing="paper", motion=1.0), config)
    assert "every optimum lies at an end" in said
    assert "The paper's alpha of 0.2, mixed its way, changes against 0 IoU by +0.100" in said
    assert "against 0.5 IoU by -0.100" in said and "IoU at 0.5 (an end of the range), 0.200 from the worst" in said
    said = sentences("noise_sharing_sweep", rows_inside.assign(sharing="paper", motion=1.0), config)
    assert "certain against both ends: 0.2 for IoU (paper, certain)" in said
    few = rows_inside.groupby("alpha").head(2).assign(sharing="paper", motion=1.0)
    said = sentences("noise_sharing_sweep", few, config)
    assert "not certain against both ends: 0.2 for IoU" in said and "without making it certain" in said


def test_generalization_names_the_hardest_family_and_the_worst_item():
    metrics = {BASELINE_FAMILY: {"iou": 0.8}, "a": {"iou": 0.79}, "b": {"iou": 0.3}, "c": {"iou": 0.5}}
    families = {BASELINE_FAMILY: BASELINE_FAMILY, "a": "shape", "b": "size", "c": "size"}
    rows = made_up("item", metrics).assign(family=lambda table: table["item"].map(families))
    said = sentences("mask_generalization", rows, GeneralizationConfig())
    assert "of 2 the best is c" in said and "the worst b" in said
    assert "Hardest is another size; within 0.05 of the requests themselves stay: shape." in said


def test_robustness_says_how_much_is_tolerated():
    rows = made_up("level", {0.0: {"iou": 0.8}, 0.1: {"iou": 0.75}, 0.2: {"iou": 0.5}}).assign(damage="shift")
    said = sentences("mask_robustness", rows.assign(iou_given=0.8), RobustnessConfig())
    assert "shifted by 0.2 of the picture's width change the IoU with the true masks by -0.300" in said
    assert "up to 0.1 less than 0.1 is lost" in said


def test_the_first_frames_error_grows_or_shrinks():
    def frames(errors: list[float]) -> pd.DataFrame:
        rows = [{"first_frame": "wrong prompt", "frame": i + 1, "error": e} for i, e in enumerate(errors)]
        return pd.DataFrame(rows)

    videos = made_up("first_frame", {"clean": {"iou": 0.8}, "wrong prompt": {"iou": 0.6}})
    name, config = "first_frame_sensitivity", FirstFrameConfig()
    assert "the error shrinks" in sentences(name, videos, config, frames([0.5, 0.3, 0.1]))
    text = sentences(name, videos, config, frames([0.1, 0.3, 0.5]))
    assert "the error grows" in text and "-0.200" in text
    bent = sentences(name, videos, config, frames([0.1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3]))
    assert "the last quarter of the frames 0.350, so the error grows" in bent  # though it falls from frame 2 on
    assert "the error stays" in sentences(name, videos, config, frames([0.5, 0.1, 0.49]))


def test_long_videos_lose_what_falls_and_keep_what_stays():
    def frames(iou_end: float) -> pd.DataFrame:
        rows = [
            {"anchor": "video", "length": 40, "slug": "gallop", "name": f"r{n}", "seed": 1, "frame": i}
            | {"iou": 0.8 + (iou_end - 0.8) * i / 40, "alignment": 0.3, "to_first": 0.9, "colour_drift": 1.0}
            for n in range(3)
            for i in range(1, 41)
        ]
        return pd.DataFrame(rows)

    config, nothing = LengthConfig(lengths=(40,)), pd.DataFrame()
    assert claims("long_video_drift", nothing, config, frames(0.8)) == [True]
    assert claims("long_video_drift", nothing, config, frames(0.4)) == [False]
    assert "-1.000 a hundred frames" in sentences("long_video_drift", nothing, config, frames(0.4))


def test_masks_are_played_there_and_back_without_a_jump(task):
    long = extend_task(task, 11)
    order = [0, 1, 2, 3, 2, 1, 0, 1, 2, 3, 2]
    assert (long.masks == task.masks[order]).all()


def test_a_wrong_prompt_names_another_object_where_the_pack_knows_any(task):
    assert _wrong_prompt(task, ["horse", "owl"]) == "an owl"
    assert _wrong_prompt(task, ["horse"]) is None


def test_zero_shot_compares_with_nothing_and_with_one_motion():
    good = {"own": {"iou": 0.8}, "many": {"iou": 0.7}, "other": {"iou": 0.5}, "nothing": {"iou": 0.1}}
    assert claims("zero_shot_motion", made_up("tuned_on", good), ZeroShotConfig()) == [True, True]
    bad = {**good, "other": {"iou": 0.75}, "nothing": {"iou": 0.75}}
    assert claims("zero_shot_motion", made_up("tuned_on", bad), ZeroShotConfig()) == [False, False]


def test_damage_grows_with_its_level(task):
    area = task.masks[1:].sum()
    assert damage_masks(task, "erode", 0.0) is task.masks
    assert area > damage_masks(task, "erode", 0.03)[1:].sum() > damage_masks(task, "erode", 0.06)[1:].sum() > 0
    assert area < damage_masks(task, "dilate", 0.03)[1:].sum() < damage_masks(task, "dilate", 0.06)[1:].sum()
    assert damage_masks(task, "erode", 0.5).any(axis=(1, 2)).all()  # never eroded away altogether
    shifted = damage_masks(task, "shift", 0.1)
    assert shifted.sum() == task.masks.sum() and (shifted != task.masks).any()
    dropped = damage_masks(task, "drop", 0.5)
    assert dropped[0].any() and (~dropped.any(axis=(1, 2))).sum() == 2
    with pytest.raises(ValueError, match="damage 'tear'"):
        damage_masks(task, "tear", 0.1)


def test_the_grids_are_as_large_as_promised():
    config = RobustnessConfig()
    assert min(len(config.distances), len(config.shifts), len(config.dropped)) >= 5
    assert NoiseSharingConfig().alphas == (0.0, 0.1, 0.2, 0.3, 0.4, 0.5) and len(NoiseSharingConfig().modes) == 3
    assert GeneralizationConfig().items >= 6
    assert {"full", "tuned_without_mask", "no_first_frame_attention", "no_shared_noise", "no_control"} < set(
        ABLATION_CONDITIONS
    )
    assert {"untrained", "static_mask", "shuffled_mask"} < set(ABLATION_CONDITIONS)
    assert all(np.isfinite(experiment.config.quick().requests) for experiment in EXPERIMENTS.values())
