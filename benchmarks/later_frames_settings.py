"""The settings that `benchmarks.later_frames` compares, in the order in which they are measured."""

from __future__ import annotations

from typing import Any

PLAIN = "without options"
"""What every other setting is compared with."""
NEUTRAL: dict[str, Any] = {
    "noise_prior": "independent",
    "noise_follow": False,
    "control_frames": "first",
    "background": "none",
    "background_paste": False,
    "color_fix": "none",
    "draft_strength": 0.0,
    "guidance_rescale": 0.0,
    "appearance_anchor": 0.0,
    "draft_end": 0.6,
    "guidance_interval": (0.0, 1.0),
    "timestep_range": (0.0, 1.0),
}
"""Every option off, whatever the defaults are."""
CONTROL: dict[str, Any] = {"control_frames": "every"}
NOISE: dict[str, Any] = {"noise_prior": "mixed", "noise_follow": True}
PLATE: dict[str, Any] = {"background": "auto"}
DRAFT: dict[str, Any] = {"draft_strength": 1.0}
FINISH: dict[str, Any] = {"background_paste": True, "color_fix": "lowpass"}
A: dict[str, Any] = {**CONTROL, **NOISE}
C: dict[str, Any] = {**A, **PLATE, **DRAFT}
E: dict[str, Any] = {**C, **FINISH}
F: dict[str, Any] = {**E, "draft_end": 1.0, "background_inpaint": 1.0}
G: dict[str, Any] = {**E, "timestep_range": (0.5, 1.0), "appearance_anchor": 0.5, "draft_end": 0.8}
H: dict[str, Any] = {**E, "guidance_interval": (0.3, 1.0), "draft_end": 0.8}
CHANGES: dict[str, dict[str, Any]] = {
    PLAIN: {},
    "E: C with colour fix and paste": E,
    "F: E, draft to the end, background inpainted": F,
    "G: E, adapter in the noisy half, anchor 0.5, draft until 0.8": G,
    "H: E, guidance above 0.3 of the noise, draft until 0.8": H,
    "E, guidance above 0.3 of the noise": {**E, "guidance_interval": (0.3, 1.0)},
    "E without ControlNet on later frames": {**E, "control_frames": "first"},
    "E without mixed noise": {**E, "noise_prior": "independent", "noise_follow": False},
    "E without background": {**E, "background": "none", "background_paste": False},
    "E without draft": {**E, "draft_strength": 0.0},
    "E, noise that does not follow": {**E, "noise_follow": False},
    "E without paste": {**E, "background_paste": False},
    "E without colour fix": {**E, "color_fix": "none"},
    "E, adapter in the noisy half": {**E, "timestep_range": (0.5, 1.0)},
    "E, adapter above a quarter of the noise": {**E, "timestep_range": (0.25, 1.0)},
    "E, appearance anchor 0.5": {**E, "appearance_anchor": 0.5},
    "E, appearance anchor instead of draft": {**E, "draft_strength": 0.0, "appearance_anchor": 0.7},
    "E, draft to the end": {**E, "draft_end": 1.0},
    "E, draft until 0.8": {**E, "draft_end": 0.8},
    "E, background inpainted": {**E, "background_inpaint": 1.0},
    "E, background inpainted until 0.6": {**E, "background_inpaint": 0.6},
    "E, ControlNet in all branches": {**E, "control_branches": "all"},
    "E, guidance rescale 0.7": {**E, "guidance_rescale": 0.7},
    "F, guidance rescale 0.7": {**F, "guidance_rescale": 0.7},
    "F, adapter in the noisy half": {**F, "timestep_range": (0.5, 1.0)},
    "F without ControlNet on later frames": {**F, "control_frames": "first"},
    "F without draft": {**F, "draft_strength": 0.0},
    "F, draft until 0.8": {**F, "draft_end": 0.8},
    "E, scale 0.6": {**E, "controlnet_conditioning_scale": 0.6},
    "E, alpha 0": {**E, "alpha": 0.0},
    "E, background: first": {**E, "background": "first"},
    "E, camera estimated from the clip": {**E, "camera_source": "clips"},
    "E, camera unknown": {**E, "background": "plate", "camera": None},
    "C: B with draft": C,
    "E, draft until 0.4": {**E, "draft_end": 0.4},
    "E, draft strength 0.6": {**E, "draft_strength": 0.6},
    "E, noise share 0.7": {**E, "noise_share": 0.7},
    "E, ControlNet until 0.6": {**E, "control_guidance_end": 0.6},
    "D: A with draft": {**A, **DRAFT},
    "B: A with plate": {**A, **PLATE},
    "A: ControlNet, following noise": A,
    "ControlNet on every frame": CONTROL,
    "background plate": PLATE,
    "draft": DRAFT,
    "appearance anchor 0.5": {"appearance_anchor": 0.5},
    "appearance anchor": {"appearance_anchor": 1.0},
    "mixed noise that follows the masks": NOISE,
    "mixed noise": {"noise_prior": "mixed"},
    "colour fix": {"color_fix": "lowpass"},
    "guidance rescale 0.7": {"guidance_rescale": 0.7},
    "ControlNet on every frame, all branches": {**CONTROL, "control_branches": "all"},
    "ControlNet on every frame, scale 0.6": {**CONTROL, "controlnet_conditioning_scale": 0.6},
    "background: first": {"background": "first"},
}
"""Setting -> what it changes; the most important first, so that an interrupted run has whole rows of those."""
SETTINGS: dict[str, dict[str, Any]] = {name: {**NEUTRAL, **changes} for name, changes in CHANGES.items()}
TRUE_CLIPS = "true clips"
"""The clips themselves through the autoencoder: what a perfect video would get."""
CUT_OUT = "cut-out of frame 1, moved"
"""Frame 1's object, deformed to fit every mask, on frame 1 without it; no diffusion."""
REFERENCES = (TRUE_CLIPS, CUT_OUT)
