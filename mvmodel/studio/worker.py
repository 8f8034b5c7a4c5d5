"""`StudioWorker`: does the studio's jobs with the models of a pack. It imports torch; the server starts without it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from mvmodel.authoring.config import TextToMasksConfig
from mvmodel.authoring.library import Library
from mvmodel.authoring.text_to_masks import text_to_masks
from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.backends.shape_models import load_shape_models
from mvmodel.config import parse_config
from mvmodel.errors import InputError
from mvmodel.files import atomic_folder, hash_file, write_json
from mvmodel.generation.first_frame_fit import fit_first_frame
from mvmodel.generation.requests import Request, first_frames
from mvmodel.generation.video_job import VideoFiles, VideoJob
from mvmodel.generation.video_settings import write_video_settings
from mvmodel.masks import MaskSequence
from mvmodel.masks.fit import fit_masks, has_shape
from mvmodel.metrics.judge import judge_video
from mvmodel.packs import load_pack
from mvmodel.picture_size import PictureSize, parse_size
from mvmodel.progress import watch_progress
from mvmodel.segmentation.prompted import Prompt, segment_frame, track_prompted
from mvmodel.segmentation.selection import choose_segmenters
from mvmodel.studio.adapters import find_adapters
from mvmodel.studio.composition import compose_masks
from mvmodel.studio.config import StudioConfig
from mvmodel.studio.jobs import Job, JobReport
from mvmodel.studio.pack_sizes import PackSizes
from mvmodel.studio.previews import LivePreview, encode_strip
from mvmodel.studio.project import Project
from mvmodel.studio.prompt_words import check_words
from mvmodel.studio.sessions import Session
from mvmodel.video.frames import read_frames

FIRST_FRAME_SHARE = 0.2
"""Share of the time that frame 1 takes, for the bar."""
FIGURES = ("iou", "consistency", "alignment", "motion", "flicker", "colour_drift")
"""Metrics that the page shows beside a video."""


class StudioWorker:
    """Runs jobs; each kind is a method.

    Args:
        pack: Name or folder of the model pack.
        size: Of videos; None is the pack's own.
        segmenter: As in `choose_segmenters`.
        memory: As in `load_pack`.
        library: The mask library, for words whose motion the grammar does not know.
        config: Limits.
        adapters: Folders that are searched for adapters.
    """

    def __init__(
        self,
        pack: str | None,
        size: PictureSize | None,
        segmenter: str,
        memory: str,
        library: Library | None,
        config: StudioConfig,
        adapters: list[Path],
    ) -> None:
        self.pack = load_pack(pack, size=size, memory=memory)
        self._sizes = PackSizes(self.pack)
        self.segmenters = choose_segmenters(segmenter, self.pack)
        self.library, self.config, self.adapter_folders = library, config, adapters
        self._kinds: dict[str, Callable[[Job, Session, JobReport], dict[str, Any]]] = {
            "generate": self.generate,
            "first_frames": self.draw_first_frames,
            "words": self.make_from_words,
            "segment": self.segment,
            "track": self.track,
            "find": self.find_object,
            "measure": self.measure,
        }
        self.pack.unet(), self.pack.vae()

    def warm_up(self) -> Iterator[str]:
        """Load the other models, and make a picture in one step: first calls are slower than later ones."""
        self.pack.controlnet(), self.pack.text_encoder(), self.pack.tokenizer()
        yield "models"
        mask = np.ones((1, *self.pack.info.size.shape), bool)
        config = GenerationConfig(first_frame_steps=1).for_pack(self.pack.info)
        self._sizes.backend(self.pack.info.size).first_frames(["a picture"], mask, [0], config)
        yield "first picture"
        self.pack.scorer(), self.pack.segmenter()
        yield "judge"

    def run(self, job: Job, session: Session, report: JobReport) -> dict[str, Any]:
        if job.kind not in self._kinds:
            raise InputError(f"there is no job {job.kind!r}")
        return self._kinds[job.kind](job, session, report)

    def generate(self, job: Job, session: Session, report: JobReport) -> dict[str, Any]:
        """One video from a project; its folder appears when it is finished."""
        project = parse_config(Project, job.parameters["project"], "the project")
        video_job = self.make_video_job(project, session, int(job.parameters["seed"]))
        work_dir = session.folder / "work" / video_job.identity()

        def on_progress(description: str, share: float) -> None:
            if description == "generate first frames":
                report.progress("drawing the first frame", FIRST_FRAME_SHARE * share)
            else:
                start = FIRST_FRAME_SHARE if video_job.first_frame is None else 0.0
                report.progress("denoising", start + (0.97 - start) * share)

        previews = LivePreview(report, self.config)

        def on_step(pipeline: Any, step: int, tensors: dict[str, Any]) -> None:
            report.check()
            if (clean := tensors.get("clean_latents")) is not None:
                previews.show(pipeline, clean)

        with watch_progress(on_progress, on_step):
            files = video_job.run(work_dir, lambda picture: report.preview(encode_strip(picture[None])))
        report.progress("writing", 0.98)
        record = self._store_video(job, session, project, video_job, files)
        shutil.rmtree(work_dir)
        return record

    def measure(self, job: Job, session: Session, report: JobReport) -> dict[str, Any]:
        """The figures of a finished video, and where the judge found the object."""
        folder = session.video_folder(job.parameters["video"])
        frames, sequence = read_frames(folder / "frames.npz"), MaskSequence.load(folder / "masks.npz")
        record = session.read_video(job.parameters["video"])
        with watch_progress(lambda _, share: report.progress("measuring the video", share)):
            judgement = judge_video(frames, sequence.masks, record["prompt"], self.pack.scorer(), self.pack.segmenter())
        figures = {name: round(judgement.metrics[name], 4) for name in FIGURES if name in judgement.metrics}
        if judgement.detections is not None:
            MaskSequence(judgement.detections.foreground, sequence.fps).save(folder / "detected.npz")
        write_json(folder / "video.json", record | {"figures": figures})
        return {"video": record["id"]}

    def draw_first_frames(self, job: Job, session: Session, report: JobReport) -> dict[str, Any]:
        """Several first frames to choose from."""
        project = parse_config(Project, job.parameters["project"], "the project")
        sequence = self._compose(project, session)
        config, work_dir = project.generation.to_config().for_pack(self.pack.info), session.folder / "work" / job.id
        sequence.save(work_dir / "masks.npz")
        names = []
        choices = project.generation
        count = 4
        for number in range(count):
            with watch_progress(
                lambda _, share, index=number: report.progress("drawing first frames", (index + share) / count)  # type: ignore[misc]
            ):
                request = Request(
                    name=f"first-{number}",
                    motion="",
                    prompt=choices.prompt,
                    masks=work_dir / "masks.npz",
                    seed=choices.seed + number,
                    negative_prompt=choices.negative_prompt,
                )
                first_frames(self._sizes.backend(self._project_size(project)), [request], config, work_dir / "first")
            picture = cv2.cvtColor(cv2.imread(str(work_dir / "first" / f"first-{number}.png")), cv2.COLOR_BGR2RGB)
            names.append(session.store_picture(picture))
        shutil.rmtree(work_dir)
        return {"pictures": names, "seeds": [choices.seed + number for number in range(count)]}

    def make_from_words(self, job: Job, session: Session, report: JobReport) -> dict[str, Any]:
        """Masks from a sentence: shapes by the pack, motion by the grammar or the library."""
        sentence, frames = str(job.parameters["sentence"]), int(job.parameters["frames"])
        size = self._size(job)
        with watch_progress(lambda description, share: report.progress(description, share)):
            result = text_to_masks(
                sentence,
                load_shape_models(self._sizes.pack(size)),
                frames,
                float(job.parameters["fps"]),
                size.shape,
                TextToMasksConfig(seed=int(job.parameters.get("seed", 0))),
                library=self.library,
            )
        return self._masks_result(job, session, result.sequence, result.assumptions)

    def segment(self, job: Job, session: Session, report: JobReport) -> dict[str, Any]:
        """The object under a click or in a box, in one frame of a clip."""
        report.progress("finding the object", 0.1)
        frames = self._load_clip(job, session)
        prompt = self._prompt(job, frames)
        mask, name = segment_frame(frames, self.segmenters, prompt)
        return self._masks_result(job, session, MaskSequence(mask[None]), []) | {"segmenter": name}

    def track(self, job: Job, session: Session, report: JobReport) -> dict[str, Any]:
        """The object under a click or in a box, tracked through the whole clip."""
        frames = self._load_clip(job, session)
        prompt = self._prompt(job, frames)
        report.progress("looking at the clip", 0.02)

        def on_progress(frame: int, total: int) -> None:
            report.progress(f"frame {frame} of {total}", frame / total)

        masks, name = track_prompted(frames, self.segmenters, prompt, on_progress)
        return self._masks_result(job, session, MaskSequence(masks), []) | {"segmenter": name}

    def find_object(self, job: Job, session: Session, report: JobReport) -> dict[str, Any]:
        """The object that moves in a clip, without a click."""
        frames = self._load_clip(job, session)
        with watch_progress(lambda description, share: report.progress("looking for what moves", share)):
            extraction, name = self.segmenters.extract(frames)
        if not extraction.sequence.masks.any():
            raise InputError("nothing was found that moves; click on the object instead")
        remarks = list(extraction.quality.reasons) if extraction.quality.weak else []
        return self._masks_result(job, session, extraction.sequence, remarks) | {"segmenter": name}

    def _load_clip(self, job: Job, session: Session) -> np.ndarray:
        """A job's clip. Raises InputError if it was cut for videos of another shape: clicks would be misplaced."""
        frames, size = session.load_clip(job.parameters["clip"]), self._size(job)
        if not has_shape(frames.shape[2], frames.shape[1], size):
            raise InputError(f"this clip was uploaded for videos of another shape than {size}; upload it again")
        return frames

    def _prompt(self, job: Job, frames: np.ndarray) -> Prompt:
        """The click or box of a job, given in shares of the picture."""
        height, width = frames.shape[1:3]
        index = int(job.parameters["frame"])
        if not 0 <= index < len(frames):
            raise InputError(f"the clip has {len(frames)} frames and no frame {index}")
        scale = np.array([width, height], float)
        points = np.array(job.parameters.get("points") or [], float).reshape(-1, 2) * scale
        labels = np.array(job.parameters.get("labels") or [1] * len(points), int)
        box = job.parameters.get("box")
        if box is None and not (labels == 1).any():
            raise InputError("click on the object, or draw a box around it")
        corners = None if box is None else np.array(box, float).reshape(2, 2) * scale
        if corners is not None:
            corners = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
        return Prompt(index, points, labels, corners)

    def _masks_result(self, job: Job, session: Session, sequence: MaskSequence, remarks: list[str]) -> dict[str, Any]:
        fitted = fit_masks(sequence, self._size(job))
        names = list(sequence.names) or [""] * len(sequence.per_instance)
        result = {"masks": session.store_masks(fitted), "names": names, "frames": sequence.frames}
        return result | {"camera": fitted.camera, "remarks": remarks}

    def _size(self, job: Job) -> PictureSize:
        """The size of a job's masks: the project's when it was asked for."""
        size = job.parameters.get("size")
        return self.pack.info.size if size is None else parse_size(size)

    def _compose(self, project: Project, session: Session) -> MaskSequence:
        sequence = compose_masks(project, session.load_masks, self._project_size(project))
        if sequence is None:
            raise InputError("there are no masks yet; draw an object first")
        if not project.generation.prompt.strip():
            raise InputError("say in the prompt what the video shows")
        check_words(sequence, project.generation.prompt)
        return sequence

    def _project_size(self, project: Project) -> PictureSize:
        return project.size or self.pack.info.size

    def make_video_job(self, project: Project, session: Session, seed: int) -> VideoJob:
        choices, sequence, size = project.generation, self._compose(project, session), self._project_size(project)
        adapter = find_adapters(self.adapter_folders).get(choices.adapter) or self.pack.start_adapter()
        if adapter is None:
            raise InputError(f"pack {self.pack.info.name} has no start adapter; train one and choose it here")
        picture = None
        if choices.first_frame is not None:
            picture = fit_first_frame(session.load_picture(choices.first_frame), size, sequence)[0]
        return VideoJob(
            pack=self._sizes.pack(size),
            backend=self._sizes.backend(size),
            prompt=choices.prompt,
            masks=sequence,
            config=project.generation.to_config().for_pack(self.pack.info),
            adapter=adapter,
            seed=seed,
            negative_prompt=choices.negative_prompt,
            first_frame=picture,
            mask_term=choices.mask_term,
        )

    def _store_video(
        self, job: Job, session: Session, project: Project, video_job: VideoJob, files: VideoFiles
    ) -> dict[str, Any]:
        """Write a finished video to the session. Returns its record."""
        record = {
            "id": job.id,
            "prompt": video_job.prompt,
            "seed": video_job.seed,
            "frames": video_job.masks.frames,
            "fps": files.record["fps"],
            "size": f"{video_job.masks.width}x{video_job.masks.height}",
            "created": time.time(),
            "seconds": round(time.time() - job.started, 1),
            "remarks": files.remarks,
            "figures": {},
            "project": project.model_dump(mode="json"),
        }
        with atomic_folder(session.folder / "videos" / job.id) as folder:
            shutil.copyfile(files.video, folder / "video.mp4")
            shutil.copyfile(files.frames, folder / "frames.npz")
            video_job.masks.save(folder / "masks.npz")
            write_json(folder / "video.json", record)
            result = {"sha256": hash_file(files.video), "fps": files.record["fps"]}
            write_video_settings(folder / "video.settings.json", video_job.settings(), result)
        follow = {"kind": "measure", "parameters": {"video": job.id}}
        return {"video": job.id, "remarks": files.remarks, "follow": follow}
