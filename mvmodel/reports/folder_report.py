"""From a folder of generated videos to a report, without a pipeline."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

import mvmodel
from mvmodel.errors import InputError
from mvmodel.files import hash_file
from mvmodel.generation.request_table import read_requests
from mvmodel.generation.requests import Request
from mvmodel.masks import MaskSequence
from mvmodel.masks.fit import fit_masks
from mvmodel.metrics.judge import judge_with_pack
from mvmodel.packs import Pack
from mvmodel.picture_size import PictureSize
from mvmodel.progress import track
from mvmodel.reports.conditions import CONDITIONS
from mvmodel.reports.entries import VideoEntry
from mvmodel.reports.pages import write_motion_report
from mvmodel.reports.paper_tables import ABLATION_STUDY
from mvmodel.text import describe_cut_text, motion_slug
from mvmodel.video.frames import read_frames

_SUFFIXES = (".npz", ".mp4")


def write_folder_report(
    pack: Pack, videos: Path, requests: Path, out: Path, motion: str | None = None, study: Path | None = None
) -> Path:
    """Judge the videos of `requests` (a CSV) in `videos`, and write `out`/report.html and `out`/metrics.csv.

    videos: a folder with NAME.npz or NAME.mp4 for every request, or with one such folder per condition. motion: only
    this motion's requests. study: the folder of a finished `ablation_study`, for the paper's table. Raises InputError
    if there is no video of any request.
    """
    slug = motion_slug(motion) if motion else None
    selected = [request for request in read_requests(requests) if slug in (None, request.motion)]
    folders = {name: videos / name for name in CONDITIONS if (videos / name).is_dir()} or {"full": videos}
    entries: list[VideoEntry] = []
    rows: list[dict[str, Any]] = []
    for condition, request, path in track(list(_find_videos(folders, selected)), "measure videos"):
        entry, row = _judge_file(pack, condition, request, path)
        entries.append(entry)
        rows.append(row)
    if not entries:
        raise InputError(f"{videos} has no video named in {requests}; generate them first, or give another folder")
    table = pd.DataFrame(rows)
    out.mkdir(parents=True, exist_ok=True)
    table.round(6).to_csv(out / "metrics.csv", index=False)
    name = motion or selected[0].motion or "videos"
    provenance = {
        "pack": pack.info.name,
        "pack_hash": pack.hash,
        "random": pack.info.random,
        **pack.scorer().record,
        "requests": requests.name,
        "requests_sha256": hash_file(requests),
        "mvmodel": mvmodel.__version__,
        "conditions": list(folders),
        "seeds": sorted({request.seed for request in selected}),
    }
    return write_motion_report(
        out,
        name,
        entries,
        table,
        provenance,
        notes=_describe_cut_prompts(pack, selected),
        study=None if study is None else read_study(study),
        study_command=f"python -m mvmodel.experiments {ABLATION_STUDY} --motion {name}",
    )


def _describe_cut_prompts(pack: Pack, requests: Sequence[Request]) -> list[str]:
    """A sentence for each prompt whose end the scorer does not read."""
    scorer = pack.scorer()
    cut_texts = {prompt: scorer.find_cut_text(prompt) for prompt in dict.fromkeys(one.prompt for one in requests)}
    return [describe_cut_text(f"the scorer {scorer.name}", prompt, cut) for prompt, cut in cut_texts.items() if cut]


def read_study(folder: Path) -> pd.DataFrame:
    """The videos of a finished `ablation_study`, one row each. Raises InputError if `folder` has none."""
    path = Path(folder) / "videos.parquet"
    if not path.is_file():
        raise InputError(
            f"{path} is missing; give the folder that `python -m mvmodel.experiments {ABLATION_STUDY}` wrote"
        )
    rows = pd.read_parquet(path)
    if "condition" not in rows.columns:
        raise InputError(f"{path} belongs to another experiment; give the folder of {ABLATION_STUDY}")
    return rows


def _find_videos(folders: dict[str, Path], requests: Sequence[Request]) -> Iterator[tuple[str, Request, Path]]:
    """(condition, request, file) of every video that is there."""
    for condition, folder in folders.items():
        for request in requests:
            paths = [folder / f"{request.name}{suffix}" for suffix in _SUFFIXES]
            path = next((path for path in paths if path.exists()), None)
            if path is not None:
                yield condition, request, path


def _judge_file(pack: Pack, condition: str, request: Request, path: Path) -> tuple[VideoEntry, dict[str, Any]]:
    """The video as a report shows it, and its row of metrics.csv."""
    frames = read_frames(path)
    size = PictureSize(frames.shape[2], frames.shape[1])
    sequence = fit_masks(MaskSequence.load(request.masks), size)  # as generation fits them
    masks = sequence.masks[: len(frames)]
    judgement = judge_with_pack(pack, frames, masks, request.prompt)
    entry = VideoEntry(
        request.name,
        request.prompt,
        condition,
        frames,
        masks,
        sequence.fps,
        judgement.metrics,
        None if judgement.detections is None else judgement.detections.foreground,
        request.seed,
    )
    columns = {"condition": condition, "name": request.name, "prompt": request.prompt, "seed": request.seed}
    return entry, {**columns, **judgement.metrics, **judgement.scorer}
