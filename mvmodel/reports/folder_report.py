"""From a folder of generated videos to a report, without a pipeline around it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvmodel.errors import InputError
from mvmodel.reports.paper_tables import ABLATION_STUDY
from mvmodel.video.frames import read_frames

if TYPE_CHECKING:
    import pandas as pd

    from mvmodel.packs import Pack


def write_folder_report(
    pack: Pack, videos: Path, requests: Path, out: Path, motion: str | None = None, study: Path | None = None
) -> Path:
    """Score the videos of `requests` (a CSV) under `videos` and write `out`/report.html and metrics.csv.

    videos: a folder with NAME.npz or NAME.mp4 for every request, or with one such folder a condition. study: the folder
    that `python -m mvmodel.experiments ablation_study` left, for the paper's table. Raises InputError when no video of
    a request is there.
    """
    import pandas as pd

    from mvmodel import __version__
    from mvmodel.files import hash_file
    from mvmodel.generation.requests import read_requests
    from mvmodel.masks import MaskSequence
    from mvmodel.metrics.judge import judge_video
    from mvmodel.reports.conditions import CONDITIONS
    from mvmodel.reports.entries import VideoEntry
    from mvmodel.reports.pages import write_motion_report

    asked = [request for request in read_requests(requests) if motion in (None, request.motion)]
    conditions = {name: videos / name for name in CONDITIONS if (videos / name).is_dir()} or {"full": videos}
    scorer, segmenter = pack.scorer(), pack.segmenter()
    entries: list[VideoEntry] = []
    rows: list[dict[str, Any]] = []
    for condition, folder in conditions.items():
        for request in asked:
            file = next((f for f in (folder / f"{request.name}{s}" for s in (".npz", ".mp4")) if f.exists()), None)
            if file is None:
                continue
            frames, sequence = read_frames(file), MaskSequence.load(request.masks)
            masks = sequence.masks[: len(frames)]
            judgement = judge_video(frames, masks, request.prompt, scorer, segmenter)
            columns = {"condition": condition, "name": request.name, "prompt": request.prompt, "seed": request.seed}
            detected = None if judgement.detections is None else judgement.detections.foreground
            media: dict[str, Any] = {"frames": frames, "masks": masks, "fps": sequence.fps, "detected": detected}
            entries.append(VideoEntry(metrics=judgement.metrics, **columns, **media))
            rows.append(columns | judgement.metrics | judgement.scorer)
    if not entries:
        raise InputError(f"{videos} holds no video named in {requests}; generate them first, or name the right folder")
    table = pd.DataFrame(rows)
    out.mkdir(parents=True, exist_ok=True)
    table.round(6).to_csv(out / "metrics.csv", index=False)
    provenance = {"pack": pack.info.name, "pack_hash": pack.hash, "random": pack.info.random, **scorer.record}
    provenance |= {"requests": requests.name, "requests_sha256": hash_file(requests), "mvmodel": __version__}
    provenance |= {"conditions": list(conditions), "seeds": sorted({request.seed for request in asked})}
    name = motion or asked[0].motion or "videos"
    command = f"python -m mvmodel.experiments {ABLATION_STUDY} --motion {name}"
    return write_motion_report(
        out, name, entries, table, provenance, study=None if study is None else read_study(study), study_command=command
    )


def read_study(folder: Path) -> pd.DataFrame:
    """The videos of a finished `ablation_study`, one row each. Raises InputError when there are none in `folder`."""
    import pandas as pd

    path = Path(folder) / "videos.parquet"
    if not path.is_file():
        raise InputError(
            f"{path} is not there; give the folder that `python -m mvmodel.experiments {ABLATION_STUDY}` left"
        )
    rows = pd.read_parquet(path)
    if "condition" not in rows.columns:
        raise InputError(f"{path} is of another experiment; give the folder of {ABLATION_STUDY}")
    return rows
