"""The UNet's guided prediction for the frames after frame 1, with what stays the same computed once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from mvmodel.backends.generation_config import UnboundWords
from mvmodel.backends.image_unet.guidance import Branches
from mvmodel.backends.instances import Instance, merge_by_words, union, word_weights
from mvmodel.errors import InputError
from mvmodel.model.adapter import MotionMaskAdapter
from mvmodel.model.attachment import attach_adapters
from mvmodel.model.context import FrameContext, KVCache, MaskTerm


class Denoiser:
    """Predicts what the UNet sees in noisy frames 2..n, given clean frame 1 and, perhaps, clean context after it.

    Frame 1 has its own timestep 0 and reads no other frame, so with `remember` it goes through the UNet once; so does
    the context, which reads frame 1 and itself. Shapes: first (B, C, h, w), context (B, K, C, h, w) or None.
    """

    def __init__(
        self,
        unet: Any,
        scheduler: Any,
        adapters: Mapping[str, tuple[MotionMaskAdapter, float]],
        branches: Branches,
        first: torch.Tensor,
        context: torch.Tensor | None = None,
        context_timestep: int = 0,
        first_index: int = 1,
        first_frame_attention: bool = True,
        remember: bool = True,
    ) -> None:
        self.unet, self.scheduler, self.branches = unet, scheduler, branches
        self.adapters = {name: given for name, given in adapters.items() if given[1]}
        self.first, self.context = first, context
        self.context_timestep, self.first_index = context_timestep, first_index
        self.first_frame_attention = first_frame_attention
        self.remember = (remember or context is not None) and bool(self.adapters)
        self.terms: dict[str, list[MaskTerm]] = {}
        self.memory: KVCache = {}
        self.weights = torch.tensor(branches.weights, device=first.device, dtype=first.dtype).view(-1, 1, 1, 1, 1, 1)

    @contextmanager
    def attached(self) -> Iterator[None]:
        """The adapters attached to the UNet; everything but `set_masks` belongs inside."""
        with attach_adapters(self.unet, self.adapters, self.first_frame_attention):
            yield

    def set_masks(
        self,
        cover: torch.Tensor,
        instances: Sequence[Instance] | None,
        tokenizer: Any,
        prompt: Any,
        unbound_words: UnboundWords = "union",
    ) -> None:
        """Encode the masks, float (B, F, H, W), or instead of them those of `instances` with their words.

        unbound_words: what acts on words that belong to no instance: the union of the instances, or nothing.
        """
        bound: list[tuple[torch.Tensor, torch.Tensor | None]] = [(cover, None)]
        if instances:
            if not isinstance(prompt, str):
                raise InputError("instances are bound to the words of one prompt; give a single prompt with them")
            bound = self._bind(cover, instances, tokenizer, prompt, unbound_words)
        for name, (adapter, _) in self.adapters.items():
            terms = []
            for masks, words in bound:
                flat = masks.to(self.first.device, self.first.dtype)
                term = adapter.mask_term(flat.flatten(0, 1), words)
                terms.append(self._unflatten(term, cover.shape[:2]))
            self.terms[name] = terms

    def _bind(
        self,
        cover: torch.Tensor,
        instances: Sequence[Instance],
        tokenizer: Any,
        prompt: str,
        unbound_words: UnboundWords,
    ) -> list[tuple[torch.Tensor, torch.Tensor | None]]:
        """(masks (1, F, H, W), words (1, L) or None) of every phrase."""
        phrases = merge_by_words(instances)
        if any(phrase.masks.shape != tuple(cover.shape[1:]) for phrase in phrases):
            raise InputError(
                f"the instances' masks are {phrases[0].masks.shape}, the masks {tuple(cover.shape[1:])}; "
                f"give one length and size"
            )
        if len(phrases) == 1 and (unbound_words == "union" or phrases[0].words == " ".join(prompt.lower().split())):
            word_weights(tokenizer, prompt, phrases[0].words)
            return [(torch.from_numpy(phrases[0].masks)[None].float(), None)]  # one mask on all words: Eq. 7 itself
        out: list[tuple[torch.Tensor, torch.Tensor | None]] = []
        for phrase in phrases:
            words = torch.from_numpy(word_weights(tokenizer, prompt, phrase.words))[None]
            out.append((torch.from_numpy(phrase.masks)[None].float(), words.to(self.first.device, self.first.dtype)))
        if unbound_words == "union":
            taken = torch.stack([words for _, words in out if words is not None])
            rest = 1 - taken.amax(dim=0)
            out.append((torch.from_numpy(union(phrases))[None].float(), rest))
        return out

    @staticmethod
    def _unflatten(term: MaskTerm, shape: Sequence[int]) -> MaskTerm:
        """Rows (B * F, ..) -> (B, F, ..)."""

        def by_frame(levels: dict[int, torch.Tensor]) -> dict[int, torch.Tensor]:
            return {tokens: value.unflatten(0, tuple(shape)) for tokens, value in levels.items()}

        return MaskTerm(by_frame(term.features), by_frame(term.coverage), term.token_weights)

    def set_text(self, prompt: torch.Tensor, negative: torch.Tensor) -> None:
        """Take embeddings (B, L, D), and compute anew what depends on them: the memory of frame 1 and the context."""
        self.text = torch.cat([prompt if shown else negative for shown in self.branches.prompted])
        if not self.remember:
            return
        self.memory = {}
        self._run(self.first[:, None], torch.zeros(1, device=self.first.device).long(), slice(0, 1), 0, remember=True)
        if self.context is not None:
            t = torch.full((1,), self.context_timestep, device=self.first.device).long()
            span = slice(1, 1 + self.context.shape[1])
            self._run(self.context, t, span, self.first_index, remember=True)

    def predict(self, latents: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        """The guided prediction for the new frames, (B, F - 1 - K, C, h, w), at timestep `t`."""
        sample = self.scheduler.scale_model_input(latents, t)
        if not self.adapters or (self.remember and self.memory):
            skipped = 1 if self.context is None else 1 + self.context.shape[1]
            index = self.first_index + skipped - 1
            out = self._run(sample, t[None], slice(skipped, None), index)
        else:
            whole = torch.cat([self.first[:, None], sample], dim=1)
            own = t.expand(whole.shape[1]).clone()
            own[0] = 0
            out = self._run(whole, own, slice(None), 0)[:, :, 1:]
        return (out * self.weights).sum(dim=0)

    def _run(
        self, sample: torch.Tensor, t: torch.Tensor, span: slice, first: int, remember: bool = False
    ) -> torch.Tensor:
        """The UNet on (B, F, C, h, w), each frame at its timestep of `t` (one, or F): (branches, B, F, C, h, w)."""
        count, (clips, frames) = len(self.branches), sample.shape[:2]
        rows = sample[None].expand(count, *sample.shape).flatten(0, 2)
        options: dict[str, Any] = {}
        written: KVCache | None = {} if remember else None
        if self.adapters:
            terms = {name: [self._rows(term, span) for term in terms] for name, terms in self.terms.items()}
            options["cross_attention_kwargs"] = {"context": FrameContext(frames, terms, self.memory, written, first)}
        text = self.text if self.adapters else self.text.repeat_interleave(frames, dim=0)
        out = self.unet(rows, t.expand(frames).repeat(count * clips), encoder_hidden_states=text, **options).sample
        if written is not None:
            self.memory = written
        return out.unflatten(0, (count, clips, frames))

    def _rows(self, term: MaskTerm, span: slice) -> MaskTerm:
        """The term's frames in `span` for every branch, dropped where a branch does not see the mask."""
        count = len(self.branches)

        def rows(levels: dict[int, torch.Tensor]) -> dict[int, torch.Tensor]:
            chosen = {tokens: value[:, span] for tokens, value in levels.items()}
            return {tokens: v[None].expand(count, *v.shape).flatten(0, 2) for tokens, v in chosen.items()}

        clips, frames = next(iter(term.features.values()))[:, span].shape[:2]
        seen = torch.tensor(self.branches.masked, device=self.first.device, dtype=self.first.dtype)
        return MaskTerm(rows(term.features), rows(term.coverage), term.token_weights).scale_rows(
            seen.repeat_interleave(clips * frames)
        )
