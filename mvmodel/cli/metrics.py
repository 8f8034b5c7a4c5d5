"""`mvmodel metrics`: measure videos from any source."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mvmodel.cli.inputs import check_inputs_exist
from mvmodel.cli.options import AsJson, FitMasks, FitName, PackName
from mvmodel.cli.output import print_json, print_table
from mvmodel.picture_size import PictureSize
from mvmodel.text import describe_cut_text


def metrics(
    videos: Annotated[list[Path], typer.Argument(help="Videos: .mp4, .npz or folders of frames.")],
    masks: Annotated[Path | None, typer.Option("--masks", "--mask", help="The control masks.")] = None,
    prompt: Annotated[str | None, typer.Option("--prompt", help="The prompt of the videos.")] = None,
    object_word: Annotated[
        str | None, typer.Option("--object", help="The object to look for. Default: the one that the prompt names.")
    ] = None,
    fit: FitMasks = FitName.crop,
    detection_frames: Annotated[
        int | None,
        typer.Option(
            "--detection-frames", min=1, help="Look for the object in so many evenly spaced frames. Default: in all."
        ),
    ] = None,
    pack: PackName = None,
    json: AsJson = False,
) -> None:
    """Measure videos with every metric that the given inputs allow. Also prints the scorer and the conventions used."""
    for video in videos:
        check_inputs_exist({"VIDEOS": video, "--masks": masks})
    from mvmodel.masks.files import read_masks
    from mvmodel.masks.fit import describe_fit, fit_masks
    from mvmodel.metrics.appearance import diversity
    from mvmodel.metrics.config import JudgeConfig, describe_detection_frames
    from mvmodel.metrics.judge import judge_with_pack
    from mvmodel.metrics.score import METRICS
    from mvmodel.packs import load_pack
    from mvmodel.progress import track
    from mvmodel.video.frames import read_frames

    models, config = load_pack(pack), JudgeConfig(detection_frames=detection_frames)
    scorer = models.scorer()
    if prompt and (cut := scorer.find_cut_text(prompt)):
        typer.echo(describe_cut_text(f"the scorer {scorer.name}", prompt, cut), err=True)
    judgements = []
    for video in track(videos, "measure videos"):
        frames = read_frames(video)
        control = None
        if masks:
            sequence, size = read_masks(masks, frames=len(frames)), PictureSize(frames.shape[2], frames.shape[1])
            if remark := describe_fit(sequence, size, fit.value):
                typer.echo(f"{video}: {remark}", err=True)
            control = fit_masks(sequence, size, fit.value).masks
        judgement = judge_with_pack(models, frames, control, prompt, object_word, config)
        judgements.append(judgement)
        if json:
            row = {"video": str(video), "frames": len(frames), **judgement.metrics, **judgement.record}
            convention = {name: METRICS[name].meaning for name in judgement.metrics}
            row |= {"pack": models.info.name, "random": models.info.random, "convention": convention}
            print_json(row, line=True)
    if not json:
        _print_metrics(videos, [judgement.metrics for judgement in judgements])
        if detection_frames and any("detection_frames" in judgement.record for judgement in judgements):
            print(describe_detection_frames(detection_frames))
    if len(videos) > 1:
        value = diversity([judgement.embeddings for judgement in judgements if judgement.embeddings is not None])
        if json:
            print_json({"videos": [str(video) for video in videos], "diversity": value, **scorer.record}, line=True)
        else:
            print(f"Diversity of the {len(videos)} videos: {value:.4f} (1: all alike; lower: more diverse)")
    if not json:
        print(f"Scorer {scorer.name}, weights {scorer.weights_hash[:12]}. Compare only metrics of the same scorer.")


def _print_metrics(videos: list[Path], all_scores: list[dict[str, float]]) -> None:
    from mvmodel.metrics.score import METRICS

    arrows = {1: "↑", -1: "↓", 0: ""}
    names = [name for name in METRICS if any(name in scores for scores in all_scores)]
    rows = []
    for name in names:
        metric = METRICS[name]
        rows.append([metric.label, arrows[metric.better], *(scores.get(name) for scores in all_scores), metric.meaning])
    unique = len({video.name for video in videos}) == len(videos)
    titles = [video.name if unique else str(video) for video in videos]
    print_table(["metric", "better", *titles, "meaning"], rows)
