"""`Segmenter`: a segment-anything model of any size behind three calls, encode, predict and automatic.

A picture is encoded once; every prompt after that costs only the small decoder, and prompts go through it in batches.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from segment_anything.modeling import Sam
from segment_anything.utils.amg import build_point_grid, calculate_stability_score

from mvmodel.masks.geometry import bounding_box

PRIOR_LOGIT = 8.0
"""Logit that stands for "certainly inside" in a mask given as a prompt."""
_PROMPTS_AT_ONCE = 64


@dataclass(frozen=True)
class Encoding:
    """A picture after the image encoder.

    embedding: float (channels, h, w). size: (height, width) of the picture. shown: (height, width) it was resized to.
    frame: the picture itself, uint8 (height, width, 3).
    """

    embedding: torch.Tensor
    size: tuple[int, int]
    shown: tuple[int, int]
    frame: np.ndarray


@dataclass(frozen=True)
class MaskCandidate:
    """A mask that was found without being asked for.

    mask: bool (height, width). score: the model's own estimate of its IoU, about 0..1. stability: IoU of the mask cut
    at a higher and a lower threshold, 0..1. box: (left, top, right, bottom) in pixels, the last two exclusive.
    """

    mask: np.ndarray
    score: float
    stability: float
    box: tuple[int, int, int, int]


class Segmenter:
    """segment-anything for whole clips.

    sam: a `Sam` of any size, moved to `device`. batch_size: pictures encoded at once.
    """

    def __init__(self, sam: Sam, device: str | torch.device = "cpu", batch_size: int = 8) -> None:
        self.sam = sam.to(device).eval()
        self.device = torch.device(device)
        self.batch_size = batch_size
        self.side = int(sam.image_encoder.img_size)

    @torch.no_grad()
    def encode(self, frames: np.ndarray) -> list[Encoding]:
        """Encode frames, uint8 RGB (F, H, W, 3), `batch_size` at a time."""
        height, width = frames.shape[1:3]
        scale = self.side / max(height, width)
        shown = (max(1, round(height * scale)), max(1, round(width * scale)))
        dtype = next(self.sam.image_encoder.parameters()).dtype
        encodings: list[Encoding] = []
        for at in range(0, len(frames), self.batch_size):
            part = np.ascontiguousarray(frames[at : at + self.batch_size])
            pictures = torch.from_numpy(part).to(self.device).permute(0, 3, 1, 2).float()
            if shown != (height, width):
                pictures = F.interpolate(pictures, shown, mode="bilinear", align_corners=False, antialias=True)
            embeddings = self.sam.image_encoder(self.sam.preprocess(pictures).to(dtype))
            encodings += [
                Encoding(embedding, (height, width), shown, frame)
                for embedding, frame in zip(embeddings, part, strict=True)
            ]
        return encodings

    @torch.no_grad()
    def _decode(
        self,
        encoding: Encoding,
        points: torch.Tensor | None,
        labels: torch.Tensor | None,
        boxes: torch.Tensor | None,
        priors: torch.Tensor | None,
        several: bool,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Low-resolution logits (P, K, h, w) and scores (P, K) of P prompts given in the encoder's coordinates."""
        prompts = None if points is None else (points, labels)
        sparse, dense = self.sam.prompt_encoder(points=prompts, boxes=boxes, masks=priors)
        dtype = encoding.embedding.dtype
        logits, scores = self.sam.mask_decoder(
            image_embeddings=encoding.embedding[None],
            image_pe=self.sam.prompt_encoder.get_dense_pe().to(dtype),
            sparse_prompt_embeddings=sparse.to(dtype),
            dense_prompt_embeddings=dense.to(dtype),
            multimask_output=several,
        )
        return logits.float(), scores.float()

    def _full(self, logits: torch.Tensor, encoding: Encoding) -> np.ndarray:
        """Masks of the picture's own size, bool (N, H, W), from low-resolution logits (N, h, w)."""
        if len(logits) == 0:
            return np.zeros((0, *encoding.size), bool)
        grown = self.sam.postprocess_masks(logits[:, None], encoding.shown, encoding.size)
        return (grown[:, 0] > self.sam.mask_threshold).cpu().numpy()

    def _scale(self, encoding: Encoding) -> torch.Tensor:
        height, width = encoding.size
        return torch.tensor([encoding.shown[1] / width, encoding.shown[0] / height], device=self.device)

    def prior_logits(self, encoding: Encoding, prior: np.ndarray) -> torch.Tensor:
        """A mask, bool (H, W), as the prompt encoder wants it: logits (1, h, w), padding counted as outside."""
        mask = torch.from_numpy(np.ascontiguousarray(prior)).to(self.device).float()[None, None]
        shown = F.interpolate(mask, encoding.shown, mode="bilinear", align_corners=False, antialias=True)
        padded = F.pad(shown, (0, self.side - encoding.shown[1], 0, self.side - encoding.shown[0]))
        small = F.interpolate(padded, self.sam.prompt_encoder.mask_input_size, mode="area")
        return (small[0] - 0.5) * 2 * PRIOR_LOGIT

    def predict(
        self,
        encoding: Encoding,
        points: np.ndarray | None = None,
        labels: np.ndarray | None = None,
        box: np.ndarray | None = None,
        prior: np.ndarray | None = None,
        several: bool = True,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Masks for one prompt.

        points: (N, 2) x, y in pixels; labels: (N,) 1 inside, 0 outside, all inside when None. box: (4,) left, top,
        right, bottom. prior: a rough mask, bool (H, W). several: three masks to choose from, or one.
        Returns masks, bool (K, H, W), and the model's own quality scores, float (K,). Raises ValueError without a
        prompt.
        """
        if points is None and box is None and prior is None:
            raise ValueError("a prompt is needed: points, a box or a rough mask")
        scale = self._scale(encoding)
        coordinates = marks = boxes = priors = None
        if points is not None:
            coordinates = (torch.as_tensor(np.asarray(points), dtype=torch.float, device=self.device) * scale)[None]
            marks = torch.ones(len(points)) if labels is None else torch.as_tensor(np.asarray(labels))
            marks = marks.to(self.device, torch.int)[None]
        if box is not None:
            corners = torch.as_tensor(np.asarray(box), dtype=torch.float, device=self.device)
            boxes = (corners.reshape(2, 2) * scale).reshape(1, 4)
        if prior is not None:
            priors = self.prior_logits(encoding, prior)[None]
        logits, scores = self._decode(encoding, coordinates, marks, boxes, priors, several)
        return self._full(logits[0], encoding), scores[0].cpu().numpy()

    def automatic(
        self,
        encoding: Encoding | np.ndarray,
        grid: int = 8,
        min_quality: float = 0.6,
        min_stability: float = 0.6,
        overlap: float = 0.6,
        min_area: float = 0.002,
        points: np.ndarray | None = None,
    ) -> list[MaskCandidate]:
        """Everything the model takes for a thing, best first.

        encoding: an Encoding, or a frame uint8 (H, W, 3). grid: points a side, each a prompt. min_quality,
        min_stability: a candidate's least score and stability. overlap: IoU from which two candidates are one.
        min_area: share of the picture below which a candidate is dust. points: (N, 2) x, y in pixels to prompt at in
        place of the grid.
        """
        code = self.encode(encoding[None])[0] if isinstance(encoding, np.ndarray) else encoding
        shown = torch.tensor([code.shown[1], code.shown[0]], dtype=torch.float, device=self.device)
        if points is None:
            prompts = torch.as_tensor(build_point_grid(grid), dtype=torch.float, device=self.device) * shown
        else:
            prompts = torch.as_tensor(points, dtype=torch.float, device=self.device) * self._scale(code)
        kept: list[torch.Tensor] = []
        figures: list[torch.Tensor] = []
        rows, columns = (int(np.ceil(n * self.sam.prompt_encoder.mask_input_size[0] / self.side)) for n in code.shown)
        for at in range(0, len(prompts), _PROMPTS_AT_ONCE):
            part = prompts[at : at + _PROMPTS_AT_ONCE, None]
            marks = torch.ones(len(part), 1, dtype=torch.int, device=self.device)
            logits, scores = self._decode(code, part, marks, None, None, several=True)
            logits, scores = logits.flatten(0, 1), scores.flatten(0, 1)
            inside = logits[:, :rows, :columns]
            stability = calculate_stability_score(inside, self.sam.mask_threshold, 1.0).nan_to_num()
            area = (inside > self.sam.mask_threshold).float().mean(dim=(1, 2))
            good = (scores >= min_quality) & (stability >= min_stability) & (area >= min_area)
            kept.append(logits[good])
            figures.append(torch.stack([scores[good], stability[good]], dim=1))
        logits, marks = torch.cat(kept), torch.cat(figures)
        order = marks.prod(dim=1).argsort(descending=True)
        chosen = order[_distinct(logits[order] > self.sam.mask_threshold, overlap)]
        candidates = []
        for mask, (score, stability) in zip(self._full(logits[chosen], code), marks[chosen].tolist(), strict=True):
            if mask.any():
                candidates.append(MaskCandidate(mask, score, stability, bounding_box(mask)))
        return candidates


def _distinct(masks: torch.Tensor, overlap: float) -> list[int]:
    """Indices of masks, bool (N, h, w) best first, that overlap no better one by more than `overlap` IoU."""
    flat = masks.flatten(1).float()
    both = flat @ flat.T
    areas = flat.sum(dim=1)
    iou = both / (areas[:, None] + areas[None] - both).clamp(min=1)
    keep: list[int] = []
    for index in range(len(flat)):
        if not keep or float(iou[index, keep].max()) <= overlap:
            keep.append(index)
    return keep
