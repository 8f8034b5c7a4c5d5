"""From the options of `mvmodel generate` to jobs of the library, and from finished jobs to files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer

from mvmodel.authoring.mask_sources import MaskSourceLoader
from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.backends.load import load_backend
from mvmodel.backends.shape_models import load_shape_models
from mvmodel.cli.inputs import config_from_options
from mvmodel.cli.mask_library import load_library
from mvmodel.cli.outputs import video_frames_file, video_settings_file
from mvmodel.cli.video_plan import Choices, PlannedVideo
from mvmodel.errors import InputError, MvmodelError
from mvmodel.files import atomic_write, hash_file
from mvmodel.generation.control_masks import ControlMasks, fit_control_masks, read_object_masks
from mvmodel.generation.first_frame_fit import fit_first_frame, read_first_frame
from mvmodel.generation.request_masks import prepare_requests
from mvmodel.generation.requests import Request
from mvmodel.generation.video_job import VideoFiles, VideoJob, describe_differences
from mvmodel.generation.video_settings import VideoSettings, read_video_settings, write_video_settings
from mvmodel.masks.files import read_masks
from mvmodel.masks.fit import Fit
from mvmodel.masks.preview import colour_masks
from mvmodel.packs import Pack, load_pack
from mvmodel.video.frames import read_frames
from mvmodel.video.video_files import write_video

if TYPE_CHECKING:
    from mvmodel.backends.backend import Backend


def generate_videos(
    videos: Sequence[PlannedVideo], choices: Choices, settings: Path | None, requests: Path | None
) -> tuple[list[dict[str, Any]], list[str]]:
    """Generate the planned videos; returns their records, and a sentence for each that failed.

    The only video's failure is raised instead. What finished in an interrupted run of several is not generated again.
    """
    saved = None if settings is None else read_video_settings(settings)
    pack = _load_pack(choices, saved)
    adapter = choices.adapter or (Path(saved.adapter) if saved and saved.adapter else pack.start_adapter())
    if adapter is None:
        raise InputError(f"pack {pack.info.name} has no start adapter; train one and pass it with --adapter")
    backend = load_backend(pack)
    _use_threads(saved, backend.device)
    options = {**(saved.config.model_dump() if saved else {}), **_drop_unset_options(choices.options)}
    config = config_from_options(GenerationConfig, options).for_pack(pack.info)
    if remark := pack.describe_slow_stages(denoising_steps=config.steps):
        typer.echo(f"note: {remark}", err=True)
    maker = _JobMaker(pack, backend, adapter, config, choices, saved, settings, requests)
    records, failures = list[dict[str, Any]](), list[str]()
    for video in videos:
        try:
            job, control = maker.make(video)
            record = _finished_record(job, video.out) if len(videos) > 1 else None
            records.append(record or _generate(job, video, maker.describe(control, video)))
        except MvmodelError as error:
            if len(videos) == 1:
                raise
            failures.append(f"{video.out.name}: {error}")
    return records, failures


def _use_threads(saved: VideoSettings | None, device: str) -> None:
    """Use as many threads as the saved video was made with, so that it comes out again bit by bit."""
    import torch

    if saved is not None and saved.threads is not None and device == "cpu":
        torch.set_num_threads(saved.threads)


def _drop_unset_options(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _load_pack(choices: Choices, saved: VideoSettings | None) -> Pack:
    name, size, memory = choices.pack, choices.size, choices.memory
    if saved is not None:
        folder = saved.pack_folder
        pack_name = folder if folder and (Path(folder) / "pack.json").exists() else saved.pack
        name, size, memory = name or pack_name, size or saved.size, memory or saved.memory
    return load_pack(name, size=size, memory=memory or "auto")


@dataclass(frozen=True)
class _JobMaker:
    """Makes the jobs of one run, which share models and settings."""

    pack: Pack
    backend: Backend
    adapter: Path
    config: GenerationConfig
    choices: Choices
    saved: VideoSettings | None
    settings: Path | None
    requests: Path | None

    @property
    def fit(self) -> Fit:
        return self.choices.fit or (self.saved.fit if self.saved else "crop")

    def make(self, video: PlannedVideo) -> tuple[VideoJob, ControlMasks]:
        """The job of a video, and its masks before and after fitting."""
        choices, saved, request = self.choices, self.saved, video.request
        prompt = request.prompt if request else choices.prompt or (saved.prompt if saved else "")
        control = self._control_masks(prompt, request)
        if control.remark:
            typer.echo(control.remark, err=True)
        negative, seed = choices.negative_prompt, video.seed
        if request is not None:
            negative, seed = request.negative_prompt or negative, request.seed
        elif saved is not None:
            negative = saved.negative_prompt if negative is None else negative
            seed = saved.seed if seed is None else seed
        mask_term = choices.mask_term if choices.mask_term is not None else saved is None or saved.mask_term
        job = VideoJob(
            pack=self.pack,
            backend=self.backend,
            prompt=prompt,
            masks=control.sequence,
            config=self.config,
            adapter=self.adapter,
            seed=seed or 0,
            negative_prompt=negative or "",
            first_frame=self._first_frame(control),
            mask_term=mask_term,
            strict=choices.strict,
        )
        if saved is not None:
            self._check_models(saved, job)
        return job, control

    def describe(self, control: ControlMasks, video: PlannedVideo) -> dict[str, Any]:
        """What the record says about the inputs."""
        source: Any = str(self.choices.masks) if self.choices.masks else None
        if self.choices.instances:
            source = [f"{words}={file}" for words, file in self.choices.instances]
        if video.request is not None:
            source = video.request.source or str(video.request.masks)
        if source is None:
            source = str(self.settings)
        record = {"out": str(video.out), "masks": source, "adapter": str(self.adapter)}
        record |= {"pack_folder": str(self.pack.folder.resolve())}
        record |= {
            "size": str(self.pack.info.size),
            "fit": self.fit,
            "masks_fitted": control.remark,
            "every": self.choices.every,
        }
        return record | {"first_frame": str(self.choices.first_frame) if self.choices.first_frame else None}

    def _control_masks(self, prompt: str, request: Request | None) -> ControlMasks:
        size, choices = self.pack.info.size, self.choices
        if request is not None:
            loader = MaskSourceLoader(
                folder=(self.requests or Path()).resolve().parent,
                size=size.shape,
                frames=self.pack.info.frames,
                fps=self.pack.info.fps,
                models=load_shape_models(self.pack),
                library=load_library(None, required=False),
                fit=self.fit,
            )
            specs, assumptions = prepare_requests([request], loader)
            for sentence in assumptions.get(request.name, []):
                typer.echo(f"{request.name}: assumed: {sentence}", err=True)
            return ControlMasks(specs[0].masks, specs[0].masks, "")
        if choices.instances:
            return fit_control_masks(read_object_masks(choices.instances, prompt, choices.every), size, self.fit)
        if choices.masks is not None:
            return fit_control_masks(read_masks(choices.masks, every=choices.every), size, self.fit)
        if self.saved is None or self.settings is None:
            raise InputError("give the masks with --masks")
        return fit_control_masks(self.saved.read_masks(self.settings), size, self.fit)

    def _first_frame(self, control: ControlMasks) -> np.ndarray | None:
        picture = None
        if self.choices.first_frame is not None:
            picture = read_first_frame(self.choices.first_frame, self.choices.first_frame_at)
        elif self.saved is not None and self.settings is not None:
            picture = self.saved.read_first_frame(self.settings)
        if picture is None:
            return None
        fitted, remark = fit_first_frame(picture, self.pack.info.size, control.unfitted, self.fit)
        if remark:
            typer.echo(remark, err=True)
        return fitted

    def _check_models(self, saved: VideoSettings, job: VideoJob) -> None:
        """Raise InputError if models are not those of the settings and the user did not choose them."""
        differences = describe_differences(saved, job)
        for option, choice in (("--pack", self.choices.pack), ("--adapter", self.choices.adapter)):
            if option in differences and not choice:
                raise InputError(f"{self.settings}: {differences[option]}; give it with {option}")
        if saved.device not in (None, self.backend.device):
            remark = f"the settings were made on {saved.device}, and this is {self.backend.device}"
            typer.echo(f"{remark}: the video will differ slightly", err=True)


def _generate(job: VideoJob, video: PlannedVideo, description: dict[str, Any]) -> dict[str, Any]:
    """Run a job and write its files. Returns the record."""
    out = video.out
    work_dir = out.parent / f".{out.name}.{job.identity()}"
    with _removed_on_user_error(work_dir):
        files = job.run(work_dir)
    for remark in files.remarks:
        typer.echo(f"warning: {remark}", err=True)
    fps = float(files.record["fps"])
    if out.suffix.lower() == ".mp4":
        _copy(files.video, out)
    else:
        write_video(out, read_frames(files.frames), fps)
    _copy(files.frames, video_frames_file(out))
    if video.preview is not None:
        write_side_by_side(video.preview, job, files, fps)
    record = files.record | description | {"sha256": hash_file(out) if out.is_file() else None}
    write_video_settings(video_settings_file(out), job.settings(), {"sha256": record["sha256"], "fps": fps})
    shutil.rmtree(work_dir)
    return record


def write_side_by_side(path: Path, job: VideoJob, files: VideoFiles, fps: float) -> None:
    """Write the masks, one colour an object, and the video that follows them, side by side."""
    frames = read_frames(files.frames)
    write_video(path, np.concatenate([colour_masks(job.masks), frames], axis=2), fps)


def _finished_record(job: VideoJob, out: Path) -> dict[str, Any] | None:
    """The record of a video that an interrupted run finished, None if it has to be made."""
    file = video_settings_file(out)
    if not out.is_file() or not file.is_file():
        return None
    try:
        recorded = json.loads(file.read_text())
        if read_video_settings(file) == job.settings() and recorded.get("sha256") == hash_file(out):
            return {"out": str(out), "seed": job.seed, "prompt": job.prompt, "sha256": recorded["sha256"]}
    except (OSError, ValueError, MvmodelError):
        return None
    return None


def _copy(source: Path, target: Path) -> None:
    with atomic_write(target) as temporary:
        shutil.copyfile(source, temporary)


@contextmanager
def _removed_on_user_error(work_dir: Path) -> Iterator[None]:
    """Remove the work folder after a user error. An interrupted run keeps it, to resume from."""
    try:
        yield
    except MvmodelError:
        shutil.rmtree(work_dir, ignore_errors=True)
        raise
