"""`mvmodel generate`: generate videos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mvmodel.cli.inputs import check_adapter, check_inputs_exist, config_from_options, instance_file, parse_assignments
from mvmodel.cli.options import MAX_SEED, AsJson, Every, FitName, Overwrite, PackName, RunSize
from mvmodel.cli.output import print_error, print_json, stdout_to_stderr
from mvmodel.cli.outputs import video_outputs
from mvmodel.cli.video_plan import Choices, plan_videos
from mvmodel.errors import InputError
from mvmodel.outputs import guarded_outputs
from mvmodel.picture_size import parse_size_option


def generate(
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            help="Output .mp4, .webm, .gif or .webp; or a folder for PNGs, with --requests for all videos. The exact "
            "frames and the settings are written next to it, to NAME.frames.npz and NAME.settings.json.",
        ),
    ],
    prompt: Annotated[str | None, typer.Option("--prompt", help="What the video shows.")] = None,
    settings: Annotated[
        Path | None,
        typer.Option("--settings", help="Make the video of this NAME.settings.json again. Other options change it."),
    ] = None,
    requests: Annotated[
        Path | None,
        typer.Option("--requests", help="Table with the columns motion, prompt, masks, seed: one video a line."),
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option("--masks", help="Masks to follow: .npz, .npy, a folder of PNGs, a GIF, a video or COCO .json."),
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
        typer.Option(
            "--first-frame", help="Picture or video for frame 1, of any shape. Default: the ControlNet draws it."
        ),
    ] = None,
    first_frame_at: Annotated[
        int,
        typer.Option("--first-frame-at", help="Which frame of the --first-frame video to use, counted from 0.", min=0),
    ] = 0,
    strict: Annotated[
        bool, typer.Option("--strict", help="Refuse a first frame that shows the object elsewhere than mask 1.")
    ] = False,
    negative_prompt: Annotated[
        str | None, typer.Option("--negative-prompt", help="What the video should not show.")
    ] = None,
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
    assignments: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any setting of `generation` in docs/settings.md, as in --set noise_prior=mixed."),
    ] = None,
    mask_term: Annotated[
        bool | None, typer.Option("--mask-term/--no-mask-term", help="Switch the mask term off to see its effect.")
    ] = None,
    every: Every = None,
    size: RunSize = None,
    fit: Annotated[
        FitName | None,
        typer.Option(
            "--fit",
            help="How masks of another shape are fitted: crop (a window around the foreground; the default), pad or "
            "stretch.",
        ),
    ] = None,
    preview: Annotated[
        Path | None,
        typer.Option("--preview", help="Also write masks and video side by side: .mp4, .webm, .gif or .webp."),
    ] = None,
    overwrite: Overwrite = False,
    seed: Annotated[
        list[int] | None,
        typer.Option(
            "--seed",
            help="Random seed. The same seed gives the same video. Several times: one video each, NAME-SEED.",
            min=0,
            max=MAX_SEED,
        ),
    ] = None,
    pack: PackName = None,
    memory: Annotated[
        str | None,
        typer.Option(
            "--memory",
            help="How much is done to save memory: auto (the default, by the free memory), 24gb, 16gb, 12gb or 8gb.",
        ),
    ] = None,
    json: AsJson = False,
) -> None:
    """Generate videos that follow mask sequences. With --json, prints the settings that reproduce them bit by bit.

    Long videos are generated window by window. Run the same command again to resume an interrupted run.
    """
    from mvmodel.backends.generation_config import GenerationConfig

    options: dict[str, Any] = {"steps": steps, "scheduler": scheduler, "guidance_scale": guidance_scale, "alpha": alpha}
    options |= {"mask_guidance_scale": mask_guidance_scale, "noise_sharing": noise_sharing}
    options |= {"adapter_scale": adapter_scale, "window": window, "overlap": overlap}
    options |= parse_assignments(GenerationConfig, assignments or [])
    config_from_options(GenerationConfig, options)
    instances = [(text.partition("=")[0].strip(), instance_file(text)) for text in instance or []]
    video_size = parse_size_option(size)
    object_masks = {f"--instance {text!r}": instance_file(text) for text in instance or []}
    inputs = {"--masks": masks, "--first-frame": first_frame, "--adapter": adapter, **object_masks}
    inputs |= {"--settings": settings, "--requests": requests}
    if (requests is not None and (prompt, masks, settings, first_frame, seed) != (None,) * 5) or (
        requests and instances
    ):
        raise InputError("--requests has its own prompts, masks and seeds; leave the options for a single video out")
    check_inputs_exist({"--requests": requests, "--settings": settings})
    choices = Choices(
        prompt=prompt,
        negative_prompt=negative_prompt,
        seeds=tuple(dict.fromkeys(seed or [])),
        masks=masks,
        instances=instances,
        adapter=adapter,
        first_frame=first_frame,
        first_frame_at=first_frame_at,
        strict=strict,
        mask_term=mask_term,
        size=video_size,
        fit=fit.value if fit else None,
        every=every,
        pack=pack,
        memory=memory,
        options=options,
    )
    videos = plan_videos(out, preview, choices, settings, requests)
    outputs = [output for video in videos for output in video_outputs(video.out, video.preview, requests is not None)]
    with guarded_outputs(outputs, inputs.values(), overwrite), stdout_to_stderr():
        check_inputs_exist(inputs)
        check_adapter("--adapter", adapter)
        from mvmodel.cli.generate_videos import generate_videos

        records, failures = generate_videos(videos, choices, settings, requests)
    for failure in failures:
        print_error(failure)
    if json:
        print_json(records[0] if len(videos) == 1 else records)
    else:
        print(*(record["out"] for record in records), sep="\n")
    if failures:
        raise typer.Exit(1)
