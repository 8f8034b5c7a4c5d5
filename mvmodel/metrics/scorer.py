"""`Scorer`: an open_clip model as the one source of image and text embeddings."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import Normalize
from torchvision.transforms.functional import normalize

from mvmodel.errors import InputError


class Scorer:
    """Image and text embeddings of an open_clip model, with a record of which model that was.

    model: an open_clip CLIP. preprocess: PIL image -> float tensor (3, side, side), open_clip's validation transform.
    tokenizer: list of sentences -> int64 tensor (sentences, context). name, weights_hash: identify the model.
    words: the object words that the model was trained to tell apart; the judge takes its distractors from them.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        preprocess: Callable[[Image.Image], torch.Tensor],
        tokenizer: Callable[[list[str]], torch.Tensor],
        name: str,
        weights_hash: str,
        device: str | torch.device = "cpu",
        words: Sequence[str] = (),
        batch_size: int = 64,
    ) -> None:
        self.model: Any = model.eval().to(device)
        self.preprocess = preprocess
        self.tokenizer = tokenizer
        self.name = name
        self.weights_hash = weights_hash
        self.device = torch.device(device)
        self.words = tuple(words)
        self.batch_size = batch_size
        self._text_cache: dict[str, np.ndarray] = {}

    @torch.no_grad()
    def images(self, frames: np.ndarray) -> np.ndarray:
        """Embeddings of pictures: float32 (pictures, size), rows of length 1.

        frames: uint8 RGB (pictures, height, width, 3). Raises InputError for anything else.
        """
        if frames.ndim != 4 or frames.shape[-1] != 3 or frames.dtype != np.uint8:
            raise InputError(f"pictures are uint8 (pictures, height, width, 3), not {frames.dtype} {frames.shape}")
        parts = []
        for start in range(0, len(frames), self.batch_size):
            batch = preprocess_batch(self.preprocess, frames[start : start + self.batch_size])
            parts.append(self._unit(self.model.encode_image(batch.to(self.device))))
        if not parts:
            raise InputError("there is no picture to embed: give at least one frame")
        return np.concatenate(parts)

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Embeddings of sentences: float32 (sentences, size), rows of length 1; each sentence is embedded once."""
        new = [text for text in dict.fromkeys(texts) if text not in self._text_cache]
        if new:
            embeddings = self._unit(self.model.encode_text(self.tokenizer(new).to(self.device)))
            self._text_cache.update(zip(new, embeddings, strict=True))
        return np.stack([self._text_cache[text] for text in texts])

    def find_cut_text(self, text: str) -> str:
        """The words at the end of a text that do not fit into the text encoder; "" if all of it fits.

        Tokenizers cut without a word, each in its way: a word that is not read is one that changes no token.
        """
        words = text.split()
        tokens = self.tokenizer([" ".join(words)])
        read = bisect_left(
            range(len(words)), True, key=lambda count: self.tokenizer([" ".join(words[:count])]).equal(tokens)
        )
        return " ".join(words[read:])

    @property
    def record(self) -> dict[str, Any]:
        """What to print beside every metric: model, hash of its weights, preprocessing."""
        return {
            "scorer": self.name,
            "scorer_weights": self.weights_hash,
            "scorer_preprocess": describe_transform(self.preprocess),
        }

    @staticmethod
    def _unit(embeddings: torch.Tensor) -> np.ndarray:
        rows = torch.nn.functional.normalize(embeddings.float(), dim=-1)
        if not torch.isfinite(rows).all():
            raise InputError("the scorer gave embeddings that are not numbers; its weights are damaged")
        out: np.ndarray = rows.cpu().numpy()
        return out


def preprocess_batch(preprocess: Callable[[Image.Image], torch.Tensor], frames: np.ndarray) -> torch.Tensor:
    """`preprocess` of every frame, float32 (frames, 3, side, side), to the bit what it gives one by one.

    open_clip's transform ends in two steps, to a tensor and normalised, that cost a small encoder a third of its speed
    when done picture by picture; those are done once a batch, and what goes before (resizing, which leaves Python's
    lock) on as many threads as torch has. Any other transform is called as it is.
    """
    steps = list(getattr(preprocess, "transforms", []))
    to_tensor, normalise = steps[-2:] if len(steps) > 1 else (None, None)
    if not isinstance(normalise, Normalize) or type(to_tensor).__name__ not in ("ToTensor", "MaybeToTensor"):
        return torch.stack([preprocess(Image.fromarray(frame)) for frame in frames])

    def pixels(some: np.ndarray) -> list[np.ndarray]:
        pictures: list[Any] = [Image.fromarray(frame) for frame in some]
        for step in steps[:-2]:
            pictures = [step(picture) for picture in pictures]
        return [np.asarray(picture) for picture in pictures]

    count = max(1, min(torch.get_num_threads(), len(frames)))
    if count == 1:
        parts = [pixels(frames)]
    else:
        with ThreadPoolExecutor(count) as threads:
            parts = list(threads.map(pixels, np.array_split(frames, count)))
    values = torch.from_numpy(np.stack([picture for part in parts for picture in part]))
    batch: torch.Tensor = values.permute(0, 3, 1, 2).contiguous().float().div_(255)
    return normalize(batch, normalise.mean, normalise.std, inplace=True)


def describe_transform(preprocess: Any) -> str:
    """One line for a preprocessing: torchvision's own text for a transform, without addresses in memory."""
    steps = getattr(preprocess, "transforms", None)
    if steps is None:
        return str(getattr(preprocess, "__name__", type(preprocess).__name__))
    return ", ".join(getattr(step, "__name__", None) or " ".join(repr(step).split()) for step in steps)
