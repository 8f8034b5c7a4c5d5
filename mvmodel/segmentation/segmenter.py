"""`Segmenter`: a segment-anything model of any size behind three calls: encode, predict and automatic.

A picture is encoded once. Every prompt after that costs only the small mask decoder, and prompts are batched.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from segment_anything.modeling import Sam
from segment_anything.utils.amg import build_point_grid, calculate_stability_score

from mvmodel.masks.geometry import bounding_box
from mvmodel.progress import track

MASK_PROMPT_LOGIT = 8.0
"""Logit of "certainly inside" in a mask given as a prompt."""
_PROMPTS_PER_BATCH = 64
_MAX_BATCH = 8
_PIXELS_PER_BATCH = 1024**2
"""Input pixels that are encoded at once: one picture of a published encoder, whose attention needs gigabytes for it."""


@dataclass(frozen=True)
class Encoding:
    """A picture after the image encoder.

    embedding: float (channels, height, width). original_size: (height, width) of the picture. input_size: (height,
    width) it was resized to. frame: the picture, uint8 RGB (height, width, 3).
    """

    embedding: torch.Tensor
    original_size: tuple[int, int]
    input_size: tuple[int, int]
    frame: np.ndarray


@dataclass(frozen=True)
class MaskCandidate:
    """An automatic mask.

    mask: bool (height, width). score: the model's own estimate of its IoU, about 0..1. stability: IoU of the mask at a
    higher and at a lower threshold, 0..1. box: (left, top, right, bottom) in pixels, the last two exclusive.
    """

    mask: np.ndarray
    score: float
    stability: float
    box: tuple[int, int, int, int]


class Segmenter:
    """segment-anything for whole clips.

    Args:
        sam: A `Sam` of any size. It is moved to `device`.
        device: Where it runs.
        batch_size: Number of pictures encoded at once; None is 8 for small encoders and 1 for the published ones, whose
            attention takes gigabytes for every picture.
    """

    def __init__(self, sam: Sam, device: str | torch.device = "cpu", batch_size: int | None = None) -> None:
        self.sam = sam.to(device).eval()
        self.device = torch.device(device)
        self.image_size = int(sam.image_encoder.img_size)
        self.batch_size = batch_size or max(1, min(_MAX_BATCH, _PIXELS_PER_BATCH // self.image_size**2))

    @torch.no_grad()
    def encode(self, frames: np.ndarray) -> list[Encoding]:
        """Encodes frames, uint8 RGB (frames, height, width, 3), in batches."""
        height, width = frames.shape[1:3]
        scale = self.image_size / max(height, width)
        input_size = (max(1, round(height * scale)), max(1, round(width * scale)))
        dtype = next(self.sam.image_encoder.parameters()).dtype
        encodings: list[Encoding] = []
        for start in track(range(0, len(frames), self.batch_size), "encode frames"):
            batch = np.ascontiguousarray(frames[start : start + self.batch_size])
            pictures = torch.from_numpy(batch).to(self.device).permute(0, 3, 1, 2).float()
            if input_size != (height, width):
                pictures = F.interpolate(pictures, input_size, mode="bilinear", align_corners=False, antialias=True)
            embeddings = self.sam.image_encoder(self.sam.preprocess(pictures).to(dtype))
            encodings += [
                Encoding(embedding, (height, width), input_size, frame)
                for embedding, frame in zip(embeddings, batch, strict=True)
            ]
        return encodings

    @torch.no_grad()
    def _decode(
        self,
        encoding: Encoding,
        point_coords: torch.Tensor | None,
        point_labels: torch.Tensor | None,
        boxes: torch.Tensor | None,
        mask_inputs: torch.Tensor | None,
        multimask_output: bool,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Low-resolution logits (prompts, masks, h, w) and scores (prompts, masks), in the encoder's coordinates."""
        points = None if point_coords is None else (point_coords, point_labels)
        sparse, dense = self.sam.prompt_encoder(points=points, boxes=boxes, masks=mask_inputs)
        dtype = encoding.embedding.dtype
        logits, scores = self.sam.mask_decoder(
            image_embeddings=encoding.embedding[None],
            image_pe=self.sam.prompt_encoder.get_dense_pe().to(dtype),
            sparse_prompt_embeddings=sparse.to(dtype),
            dense_prompt_embeddings=dense.to(dtype),
            multimask_output=multimask_output,
        )
        return logits.float(), scores.float()

    def _upscale(self, logits: torch.Tensor, encoding: Encoding) -> np.ndarray:
        """Masks of the picture's size, bool (masks, height, width), from low-resolution logits (masks, h, w)."""
        if len(logits) == 0:
            return np.zeros((0, *encoding.original_size), bool)
        upscaled = self.sam.postprocess_masks(logits[:, None], encoding.input_size, encoding.original_size)
        return (upscaled[:, 0] > self.sam.mask_threshold).cpu().numpy()

    def _scale(self, encoding: Encoding) -> torch.Tensor:
        """Factors from the picture's x and y to the encoder's."""
        height, width = encoding.original_size
        return torch.tensor([encoding.input_size[1] / width, encoding.input_size[0] / height], device=self.device)

    def mask_prompt_logits(self, encoding: Encoding, mask_prompt: np.ndarray) -> torch.Tensor:
        """A mask, bool (height, width), as the prompt encoder's logits (1, h, w). Padding counts as outside."""
        mask = torch.from_numpy(np.ascontiguousarray(mask_prompt)).to(self.device).float()[None, None]
        height, width = encoding.input_size
        resized = F.interpolate(mask, (height, width), mode="bilinear", align_corners=False, antialias=True)
        padded = F.pad(resized, (0, self.image_size - width, 0, self.image_size - height))
        low_resolution = F.interpolate(padded, self.sam.prompt_encoder.mask_input_size, mode="area")
        return (low_resolution[0] - 0.5) * 2 * MASK_PROMPT_LOGIT

    def predict(
        self,
        encoding: Encoding,
        point_coords: np.ndarray | None = None,
        point_labels: np.ndarray | None = None,
        box: np.ndarray | None = None,
        mask_prompt: np.ndarray | None = None,
        multimask_output: bool = True,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Masks for one prompt.

        Args:
            encoding: A frame's encoding.
            point_coords: float (points, 2), x and y in pixels.
            point_labels: int (points,): 1 for inside, 0 for outside. None: all are inside.
            box: float (4,): left, top, right, bottom in pixels.
            mask_prompt: A rough mask, bool (height, width).
            multimask_output: Return three masks to choose from instead of one.

        Returns:
            Masks, bool (masks, height, width), and the model's own quality scores, float (masks,).

        Raises:
            ValueError: There is no prompt.
        """
        if point_coords is None and box is None and mask_prompt is None:
            raise ValueError("a prompt is needed: points, a box or a rough mask")
        scale = self._scale(encoding)
        coords = labels = boxes = mask_inputs = None
        if point_coords is not None:
            coords = (torch.as_tensor(np.asarray(point_coords), dtype=torch.float, device=self.device) * scale)[None]
            ones = torch.ones(len(point_coords))
            labels = ones if point_labels is None else torch.as_tensor(np.asarray(point_labels))
            labels = labels.to(self.device, torch.int)[None]
        if box is not None:
            corners = torch.as_tensor(np.asarray(box), dtype=torch.float, device=self.device)
            boxes = (corners.reshape(2, 2) * scale).reshape(1, 4)
        if mask_prompt is not None:
            mask_inputs = self.mask_prompt_logits(encoding, mask_prompt)[None]
        logits, scores = self._decode(encoding, coords, labels, boxes, mask_inputs, multimask_output)
        return self._upscale(logits[0], encoding), scores[0].cpu().numpy()

    def automatic(
        self,
        encoding: Encoding | np.ndarray,
        points_per_side: int = 8,
        min_score: float = 0.6,
        min_stability: float = 0.6,
        max_overlap: float = 0.6,
        min_area: float = 0.002,
        point_coords: np.ndarray | None = None,
    ) -> list[MaskCandidate]:
        """Automatic masks, the best first.

        Args:
            encoding: A frame's encoding, or the frame itself, uint8 RGB (height, width, 3).
            points_per_side: Size of the grid of point prompts.
            min_score: Lowest score of a mask.
            min_stability: Lowest stability of a mask.
            max_overlap: IoU with a better mask above which a mask is dropped.
            min_area: Share of the picture below which a mask is dropped.
            point_coords: float (points, 2), x and y in pixels: prompts that replace the grid.
        """
        if isinstance(encoding, np.ndarray):
            (encoding,) = self.encode(encoding[None])
        height, width = encoding.input_size
        if point_coords is None:
            size = torch.tensor([width, height], dtype=torch.float, device=self.device)
            prompts = torch.as_tensor(build_point_grid(points_per_side), dtype=torch.float, device=self.device) * size
        else:
            prompts = torch.as_tensor(point_coords, dtype=torch.float, device=self.device) * self._scale(encoding)
        logits, scores, stability = self._prompt_in_batches(encoding, prompts, min_score, min_stability, min_area)
        order = (scores * stability).argsort(descending=True)
        distinct = order[_non_maximum_suppression(logits[order] > self.sam.mask_threshold, max_overlap)]
        masks = self._upscale(logits[distinct], encoding)
        values = zip(masks, scores[distinct].tolist(), stability[distinct].tolist(), strict=True)
        return [
            MaskCandidate(mask, score, mask_stability, bounding_box(mask))
            for mask, score, mask_stability in values
            if mask.any()
        ]

    def _prompt_in_batches(
        self, encoding: Encoding, prompts: torch.Tensor, min_score: float, min_stability: float, min_area: float
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Masks of point prompts (prompts, 2) that pass the limits: logits (masks, h, w), scores and stability."""
        low_resolution = self.sam.prompt_encoder.mask_input_size[0]
        rows, columns = (int(np.ceil(length * low_resolution / self.image_size)) for length in encoding.input_size)
        batches: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]] = []
        for start in range(0, len(prompts), _PROMPTS_PER_BATCH):
            batch = prompts[start : start + _PROMPTS_PER_BATCH, None]
            labels = torch.ones(len(batch), 1, dtype=torch.int, device=self.device)
            logits, scores = self._decode(encoding, batch, labels, None, None, multimask_output=True)
            logits, scores = logits.flatten(0, 1), scores.flatten(0, 1)
            without_padding = logits[:, :rows, :columns]
            stability = calculate_stability_score(without_padding, self.sam.mask_threshold, 1.0).nan_to_num()
            area = (without_padding > self.sam.mask_threshold).float().mean(dim=(1, 2))
            good = (scores >= min_score) & (stability >= min_stability) & (area >= min_area)
            batches.append((logits[good], scores[good], stability[good]))
        logits, scores, stability = (torch.cat(parts) for parts in zip(*batches, strict=True))
        return logits, scores, stability


def _non_maximum_suppression(masks: torch.Tensor, max_overlap: float) -> list[int]:
    """Indices of masks, bool (masks, h, w) with the best first, that overlap no better one by more than the IoU."""
    flat = masks.flatten(1).float()
    intersection = flat @ flat.T
    areas = flat.sum(dim=1)
    iou = intersection / (areas[:, None] + areas[None] - intersection).clamp(min=1)
    indices: list[int] = []
    for index in range(len(flat)):
        if not indices or float(iou[index, indices].max()) <= max_overlap:
            indices.append(index)
    return indices
