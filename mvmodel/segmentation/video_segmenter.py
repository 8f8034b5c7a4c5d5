"""`VideoSegmenter`: SAM 2.1 and EdgeTAM, by transformers' video classes.

A seed is found as with segment-anything, by points on a few frames. Tracking then needs one mask prompt: the model
keeps a memory of the last frames, and follows the object forward and backward. Frames are streamed and old memories are
dropped, so the memory in use does not grow with the clip.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from segment_anything.utils.amg import build_point_grid, calculate_stability_score
from transformers import AutoModel
from transformers.models.edgetam_video.modeling_edgetam_video import EdgeTamVideoInferenceSession
from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

from mvmodel.errors import PackError
from mvmodel.masks.geometry import bounding_box, innermost_point
from mvmodel.segmentation.segmenter import MaskCandidate

_SESSIONS = {"sam2_video": Sam2VideoInferenceSession, "edgetam_video": EdgeTamVideoInferenceSession}
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)
_STABILITY_OFFSET = 1.0
"""Logit by which the threshold is moved up and down to measure the stability of a mask."""
_GRID = 8
"""Points a side of the grid of prompts where no points are given."""


@dataclass(frozen=True)
class VideoFrame:
    """A frame of a clip, uint8 RGB (height, width, 3). It is encoded when it is prompted or tracked."""

    frame: np.ndarray


class VideoSegmenter:
    """A SAM 2 or EdgeTAM video model.

    Args:
        model: A `Sam2VideoModel` or `EdgeTamVideoModel`. It is moved to `device`.
        device: Where it runs.
    """

    def __init__(self, model: Any, device: str | torch.device = "cpu") -> None:
        self.model = model.to(device).eval()
        self.device = torch.device(device)
        self.image_size = int(model.image_size)
        self._session_class = _SESSIONS[model.config.model_type]

    @classmethod
    def from_pretrained(cls, folder: Path, device: str = "cpu") -> VideoSegmenter:
        """Loads a folder in transformers' layout. Raises PackError if it holds no SAM 2 or EdgeTAM video model."""
        try:
            model = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True)
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise PackError(f"the segmenter in {folder} cannot be loaded ({str(error).splitlines()[0]})") from error
        if model.config.model_type not in _SESSIONS:
            raise PackError(
                f"{folder} holds a {model.config.model_type} model; give one of SAM 2 or EdgeTAM for video "
                f"({', '.join(_SESSIONS)})"
            )
        return cls(model, device)

    def encode(self, frames: np.ndarray) -> list[VideoFrame]:
        """The frames, uint8 RGB (frames, height, width, 3), as encodings."""
        return [VideoFrame(frame) for frame in frames]

    @torch.no_grad()
    def predict(
        self,
        encoding: VideoFrame,
        point_coords: np.ndarray | None = None,
        point_labels: np.ndarray | None = None,
        box: np.ndarray | None = None,
        mask_prompt: np.ndarray | None = None,
        multimask_output: bool = True,
    ) -> tuple[np.ndarray, np.ndarray]:
        """One mask for one prompt. Arguments and returns are those of `Segmenter.predict`.

        A box stands for its two corners. A rough mask alone stands for its innermost point.

        Raises:
            ValueError: There is no prompt.
        """
        if point_coords is not None:
            coords = np.asarray(point_coords, float)
            labels = np.ones(len(coords), int) if point_labels is None else np.asarray(point_labels)
        elif box is not None:
            coords, labels = np.asarray(box, float).reshape(2, 2), np.array([2, 3])  # the model's labels of corners
        elif mask_prompt is not None and mask_prompt.any():
            coords, labels = innermost_point(mask_prompt)[None], np.ones(1, int)
        else:
            raise ValueError("a prompt is needed: points, a box or a rough mask")
        logits, scores = self._prompt(encoding.frame, coords[None], labels[None])
        return self._upscale(logits, encoding.frame.shape[:2]), scores

    @torch.no_grad()
    def automatic(
        self, encoding: VideoFrame, *, min_area: float = 0.002, point_coords: np.ndarray | None = None
    ) -> list[MaskCandidate]:
        """Masks at points, or at a grid of points, the best first. Arguments are those of `Segmenter.automatic`."""
        height, width = encoding.frame.shape[:2]
        points = build_point_grid(_GRID) * (width, height) if point_coords is None else np.asarray(point_coords)
        logits, scores = self._prompt(encoding.frame, points[:, None], np.ones((len(points), 1), int))
        stability = calculate_stability_score(logits, 0.0, _STABILITY_OFFSET).nan_to_num().tolist()
        masks = self._upscale(logits, (height, width))
        candidates = {
            mask.tobytes(): MaskCandidate(mask, float(score), float(stable), bounding_box(mask))
            for mask, score, stable in zip(masks, scores, stability, strict=True)
            if mask.any() and mask.mean() >= min_area
        }
        return sorted(candidates.values(), key=lambda candidate: -candidate.score * candidate.stability)

    @torch.no_grad()
    def track(
        self, frames: np.ndarray, start: int, mask: np.ndarray, progress: Callable[[], None] | None = None
    ) -> tuple[np.ndarray, list[float]]:
        """Follows the object that `mask`, bool (height, width), shows in frame `start` through all frames.

        Args:
            frames: uint8 RGB (frames, height, width, 3).
            start: The prompted frame.
            mask: The object there.
            progress: Called after each tracked frame.

        Returns:
            Masks, bool (frames, height, width), and scores, 0..1: how sure the model is that the object is there.
        """
        masks, scores = np.zeros(frames.shape[:3], bool), [0.0] * len(frames)
        prompt = torch.from_numpy(cv2.resize(mask.astype(np.float32), (self.image_size,) * 2) >= 0.5)[None, None]
        for step in (1, -1):
            session = self._open_session()
            session.add_mask_inputs(session.obj_id_to_idx(1), start, prompt.float())
            session.obj_with_new_inputs = [1]
            for index in range(start, len(frames) if step > 0 else -1, step):
                out = self.model(session, frame=self._preprocess(frames[index]), frame_idx=index, reverse=step < 0)
                masks[index] = self._upscale(out.pred_masks[:, 0], frames.shape[1:3])[0]
                scores[index] = float(out.object_score_logits.float().sigmoid().reshape(-1)[0])
                self._forget(session, index, step)
                if progress and index != start:
                    progress()
        masks[start] = mask
        return masks, scores

    def _open_session(self) -> Any:
        dtype = next(self.model.parameters()).dtype
        return self._session_class(inference_device=self.device, inference_state_device=self.device, dtype=dtype)

    def _preprocess(self, frame: np.ndarray) -> torch.Tensor:
        """A frame as the model's input, float (3, image_size, image_size)."""
        side = self.image_size
        resized = cv2.resize(
            frame, (side, side), interpolation=cv2.INTER_AREA if max(frame.shape) > side else cv2.INTER_LINEAR
        )
        pixels = (resized.astype(np.float32) / 255 - np.array(_MEAN, np.float32)) / np.array(_STD, np.float32)
        return torch.from_numpy(pixels.transpose(2, 0, 1)).to(self.device, next(self.model.parameters()).dtype)

    def _prompt(self, frame: np.ndarray, coords: np.ndarray, labels: np.ndarray) -> tuple[torch.Tensor, np.ndarray]:
        """Low-resolution logits (prompts, h, w) and scores (prompts,): an object per prompt, on one encoding.

        coords: float (prompts, points, 2), x and y in pixels of the frame. labels: int (prompts, points).
        """
        session = self._open_session()
        scale = np.array([self.image_size / frame.shape[1], self.image_size / frame.shape[0]])
        for number, (points, point_labels) in enumerate(zip(coords * scale, labels, strict=True)):
            inputs = {
                "point_coords": torch.as_tensor(points, dtype=torch.float)[None, None],
                "point_labels": torch.as_tensor(point_labels, dtype=torch.int)[None, None],
            }
            session.add_point_inputs(session.obj_id_to_idx(number), 0, inputs)
        session.obj_with_new_inputs = list(session.obj_ids)
        out = self.model(session, frame=self._preprocess(frame), frame_idx=0, run_mem_encoder=False)
        return out.pred_masks[:, 0].float(), out.object_score_logits.float().sigmoid().reshape(-1).cpu().numpy()

    def _upscale(self, logits: torch.Tensor, size: tuple[int, ...]) -> np.ndarray:
        """Masks of the frame's size, bool (masks, height, width), from logits (masks, h, w)."""
        upscaled = F.interpolate(logits[:, None].float(), tuple(size), mode="bilinear", align_corners=False)
        return (upscaled[:, 0] > 0).cpu().numpy()

    def _forget(self, session: Any, index: int, step: int) -> None:
        """Drops frames that were tracked, and memories and pointers that the model no longer reads."""
        session.processed_frames.pop(index, None)
        reach = max(self.model.config.num_maskmem, self.model.config.max_object_pointers_in_encoder) + 1
        for outputs in session.output_dict_per_obj.values():
            tracked = outputs["non_cond_frame_outputs"]
            for old in [frame for frame in tracked if (index - frame) * step > reach]:
                del tracked[old]
            for output in tracked.values():
                output.pop("high_res_masks", None)
                output.pop("pred_masks", None)
