"""`mvmodel generate`: generate one video."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mvmodel.cli.inputs import (
    check_adapter,
    check_inputs_exist,
    check_mask_options,
    config_from_options,
    instance_file,
    read_control_masks,
    write_first_frame,
)
from mvmodel.cli.options import AsJson, FitMasks, FitName, Memory, Overwrite, PackName, RunSize, Seed
from mvmodel.cli.output import print_json, stdout_to_stderr
from mvmodel.cli.outputs import video_outputs
from mvmodel.errors import InputError, MvmodelError
from mvmodel.outputs import guarded_outputs
from mvmodel.picture_size import parse_size_option

if TYPE_CHECKING:
    from mvmodel.backends.generation_config import GenerationConfig
    from mvmodel.cli.inputs import ControlMasks
    from mvmodel.masks.fit import Fit
    from mvmodel.packs import Pack


def generate(
    prompt: Annotated[str, typer.Option("--prompt", help="What the video shows.")],
    out: Annotated[
        Path, typer.Option("--out", help="Output .mp4. The exact frames are written next to it, to NAME.frames.npz.")
    ],
    masks: Annotated[
        Path | None, typer.Option("--masks", help="Masks to follow: .npz, a folder of PNGs, a GIF or a video.")
    ] = None,
    instance: Annotated[
        list[str] | None,
        typer.Option(
            "--instance",
            help='Instead of --masks, once per object: words of the prompt and their masks, as in "a dog=dog.npz".',
        ),
    ] = None,
    adapter: Annotated[
        Path | None, typer.Option("--adapter", help="Folder of an adapter. Default: the pack's start adapter.")
    ] = None,
    adapter_scale: Annotated[
        float | None, typer.Option("--adapter-scale", help="Strength of the adapter. 0 gives the base model.")
    ] = None,
    first_frame: Annotated[
        Path | None,
        typer.Option("--first-frame", help="Picture or video for frame 1. Default: the ControlNet draws it."),
    ] = None,
    first_frame_at: Annotated[
        int,
        typer.Option("--first-frame-at", help="Which frame of the --first-frame video to use, counted from 0.", min=0),
    ] = 0,
    negative_prompt: Annotated[str, typer.Option("--negative-prompt", help="What the video should not show.")] = "",
    steps: Annotated[int | None, typer.Option("--steps", help="Number of denoising steps.")] = None,
    scheduler: Annotated[
        str | None, typer.Option("--scheduler", help="ddim, dpm++, unipc, euler, ... or a diffusers class name.")
    ] = None,
    guidance_scale: Annotated[float | None, typer.Option("--guidance-scale", help="Guidance scale.")] = None,
    mask_guidance_scale: Annotated[
        float | None, typer.Option("--mask-guidance-scale", help="Separate guidance scale for the masks.")
    ] = None,
    alpha: Annotated[
        float | None, typer.Option("--alpha", help="Share of frame 1 in the noise of all later frames.")
    ] = None,
    noise_sharing: Annotated[
        str | None, typer.Option("--noise-sharing", help="How noise is shared: paper, noise or variance_preserving.")
    ] = None,
    window: Annotated[
        int | None, typer.Option("--window", help="Frames per window of a long video. 0 generates all frames at once.")
    ] = None,
    overlap: Annotated[
        int | None, typer.Option("--overlap", help="Frames of the previous window that a window gets as context.")
    ] = None,
    mask_term: Annotated[
        bool, typer.Option("--mask-term/--no-mask-term", help="Switch the mask term off to see its effect.")
    ] = True,
    size: RunSize = None,
    fit: FitMasks = FitName.crop,
    overwrite: Overwrite = False,
    seed: Seed = 0,
    pack: PackName = None,
    memory: Memory = "auto",
    json: AsJson = False,
) -> None:
    """Generate one video that follows a mask sequence. With --json, prints the settings that reproduce it bit by bit.

    Long videos are generated window by window. Run the same command again to resume an interrupted run.
    """
    from mvmodel.backends.generation_config import GenerationConfig
    from mvmodel.files import hash_file

    instances = instance or []
    object_masks = {f"--instance {text!r}": instance_file(text) for text in instances}
    options = {"steps": steps, "scheduler": scheduler, "guidance_scale": guidance_scale, "alpha": alpha}
    options |= {"mask_guidance_scale": mask_guidance_scale, "noise_sharing": noise_sharing}
    options |= {"adapter_scale": adapter_scale, "window": window, "overlap": overlap}
    config = config_from_options(GenerationConfig, options)
    video_size = parse_size_option(size)
    inputs = {"--masks": masks, "--first-frame": first_frame, "--adapter": adapter, **object_masks}
    with guarded_outputs(video_outputs(out), inputs.values(), overwrite), stdout_to_stderr():
        check_inputs_exist(inputs)
        check_mask_options(masks, instances)
        check_adapter("--adapter", adapter)
        from mvmodel.packs import load_pack

        models = load_pack(pack, size=video_size, memory=memory)
        adapter_folder = adapter or models.start_adapter()
        if adapter_folder is None:
            raise InputError(f"pack {models.info.name} has no start adapter; train one and pass it with --adapter")
        control = read_control_masks(masks, instances, models.info.size, prompt, fit.value)
        if control.remark:
            typer.echo(control.remark, err=True)
        job = _VideoJob(
            *(models, prompt, negative_prompt, seed, config.for_pack(models.info), control, adapter_folder),
            *(first_frame, first_frame_at, mask_term, fit.value),
        )
        record = job.run(out)
    record |= {"out": str(out), "masks": str(masks) if masks else instance, "adapter": str(adapter_folder)}
    record |= {"size": str(models.info.size), "fit": fit.value, "masks_fitted": control.remark}
    record |= {"first_frame": str(first_frame) if first_frame else None, "sha256": hash_file(out)}
    print_json(record) if json else print(out)


@dataclass(frozen=True)
class _VideoJob:
    """Everything that decides the video."""

    pack: Pack
    prompt: str
    negative_prompt: str
    seed: int
    config: GenerationConfig
    control: ControlMasks
    adapter: Path
    first_frame: Path | None
    first_frame_at: int
    mask_term: bool
    fit: Fit

    def run(self, out: Path) -> dict[str, Any]:
        """Write the video and its exact frames. Returns the video's record, with the first frame's IoU."""
        from mvmodel.files import atomic_write

        work_dir = self._work_dir(out)
        with _removed_on_user_error(work_dir):
            first_frame_iou = self._generate(work_dir)
        for name, target in (("video.npz", out.with_suffix(".frames.npz")), ("video.mp4", out)):
            with atomic_write(target) as temporary:
                shutil.copyfile(work_dir / "videos" / name, temporary)
        record = _read_json(work_dir / "videos" / "video.json")
        shutil.rmtree(work_dir)
        return record | {"first_frame_iou": first_frame_iou}

    def _work_dir(self, out: Path) -> Path:
        """A folder named after the inputs, so that the same command finds what an interrupted run left."""
        from mvmodel.files import hash_value

        masks = self.control.sequence
        inputs = [self.prompt, self.negative_prompt, self.seed, self.config.model_dump(), masks.content_hash()]
        inputs += [masks.names, self.mask_term, str(self.adapter), self.pack.hash]
        inputs += [str(self.first_frame), self.first_frame_at, *([self.fit] if self.first_frame else [])]
        return out.parent / f".{out.name}.{hash_value(inputs)[:12]}"

    def _generate(self, work_dir: Path) -> float | None:
        """Generate `videos/video.*` in the work folder. Returns the IoU of a first frame that the user gave."""
        import numpy as np
        from PIL import Image

        from mvmodel.backends.load import load_backend
        from mvmodel.generation import requests as batch
        from mvmodel.generation.first_frame_fit import check_first_frame_fit

        backend = load_backend(self.pack)
        self.control.sequence.save(work_dir / "masks.npz")
        request = batch.Request(
            name="video",
            motion="",
            prompt=self.prompt,
            masks=work_dir / "masks.npz",
            seed=self.seed,
            negative_prompt=self.negative_prompt,
        )
        first_frames, iou = work_dir / "first", None
        if self.first_frame:
            shutil.rmtree(first_frames, ignore_errors=True)
            size = self.pack.info.size
            unfitted, out = self.control.unfitted, first_frames / "video.png"
            write_first_frame(self.first_frame, self.first_frame_at, size, unfitted, out, self.fit)
            picture = np.asarray(Image.open(first_frames / "video.png").convert("RGB"))
            mask = batch.load_masks(request, backend).masks[0]
            iou = check_first_frame_fit(self.pack, picture, mask, self.prompt, self.config.first_frame_min_iou)
        else:
            batch.first_frames(backend, [request], self.config, first_frames)
        videos = work_dir / "videos"
        batch.generate(backend, self.adapter, [request], first_frames, self.config, videos, self.mask_term)
        return iou


@contextmanager
def _removed_on_user_error(work_dir: Path) -> Iterator[None]:
    """Remove the work folder after a user error. An interrupted run keeps it, to resume from."""
    try:
        yield
    except MvmodelError:
        shutil.rmtree(work_dir, ignore_errors=True)
        raise


def _read_json(path: Path) -> dict[str, Any]:
    import json

    value: dict[str, Any] = json.loads(path.read_text())
    return value
