"""Memory and time of long videos on the tiny pack, each length in a process of its own."""

from __future__ import annotations

from typing import Any

from benchmarks.measurements import run_in_fresh_process

LENGTHS = (24, 50, 100, 200)


def measure_long_videos(steps: int = 2) -> dict[str, Any]:
    """By length: seconds a frame, and by how many MB the process grew over one window's video (16 frames).

    Few denoising steps, since they repeat the same memory. one_pass is the longest again, without windows.
    """
    one_window = run_in_fresh_process(_make, 16, steps, 16)
    lengths = {str(n): run_in_fresh_process(_make, n, steps, 16) for n in LENGTHS}
    lengths["one_pass"] = run_in_fresh_process(_make, LENGTHS[-1], steps, 0)
    return {
        "one_window_peak_megabytes": one_window["peak_megabytes"],
        "seconds_a_frame": {name: figures["seconds"] / figures["frames"] for name, figures in lengths.items()},
        "megabytes_over_one_window": {
            name: figures["peak_megabytes"] - one_window["peak_megabytes"] for name, figures in lengths.items()
        },
    }


def _make(frames: int, steps: int, window: int) -> dict[str, float]:
    import resource
    import tempfile
    import time
    from pathlib import Path

    import numpy as np
    import torch

    from mvmodel.backends.generation_config import GenerationConfig
    from mvmodel.backends.image_unet.build import build_pipeline
    from mvmodel.backends.image_unet.long_video import generate_long_video, pipeline_options
    from mvmodel.packs import load_pack
    from mvmodel.world.render import random_clip

    torch.set_num_threads(1)
    pack = load_pack("tiny")
    clip = random_clip((2, 1), frames=16, motion="orbit", second_object=0)
    masks = np.resize(clip.masks, (frames, *clip.masks.shape[1:]))
    config = GenerationConfig(steps=steps, window=window)
    pipeline = build_pipeline(pack, pack.start_adapter(), config)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as work_dir:
        if window:
            generate_long_video(pipeline, clip.caption, masks, clip.frames[0], config, 0, Path(work_dir))
        else:
            pipeline(clip.caption, masks, clip.frames[0], **pipeline_options(config))
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"frames": frames, "seconds": seconds, "peak_megabytes": peak}
