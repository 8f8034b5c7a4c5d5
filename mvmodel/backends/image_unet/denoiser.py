"""The UNet's guided prediction for the frames after frame 1; what does not change between steps is computed once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from diffusers import UNet2DConditionModel
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg
from diffusers.schedulers import KarrasDiffusionSchedulers
from transformers import PreTrainedTokenizerBase

from mvmodel.backends.generation_config import UnboundWords
from mvmodel.backends.image_unet.anchor import select_rows
from mvmodel.backends.image_unet.clean_prediction import CleanLatentGuide, compute_signal_rate, guide_prediction
from mvmodel.backends.image_unet.frame_control import FrameControl
from mvmodel.backends.image_unet.guidance import Branches
from mvmodel.backends.instances import Instance, compute_token_weights, merge_by_words, union_masks
from mvmodel.errors import InputError
from mvmodel.model.adapter import MotionMaskAdapter
from mvmodel.model.attachment import attach_adapters
from mvmodel.model.context import FrameContext, KVCache, MaskTerm, ObjectAnchor

BoundMasks = tuple[torch.Tensor, torch.Tensor | None]
"""Masks, float (B, F, H, W), and how much they act on each token, (1, L), or None for all tokens."""


class Denoiser:
    """Predicts the noise in frames 2..n, given clean frame 1 and, optionally, clean context frames after it.

    Frame 1 has its own timestep 0 and attends to no other frame. With `cache_first_frame` it therefore goes through the
    UNet once, and so does the context, which attends to frame 1 and itself.

    Args:
        unet: The image UNet.
        scheduler: Scales the model's input.
        adapters: Name -> adapter and its scale; those with scale 0 are left out.
        branches: The predictions that guidance combines.
        first: Latents of frame 1, (B, C, h, w).
        context: Latents of the K frames before the new ones, (B, K, C, h, w), or None.
        context_timestep: Noise level of the context.
        first_index: Position in time of the frame after frame 1.
        first_frame_attention: Whether self-attention takes keys and values from frame 1.
        cache_first_frame: Whether to cache frame 1's keys and values; always done if there is a context.
        control: The ControlNet on the new frames, or None.
        guidance_rescale: See `GenerationConfig.guidance_rescale`.
        guidance_interval: See `GenerationConfig.guidance_interval`.
        timestep_range: See `GenerationConfig.timestep_range`.
        guides: What is changed in the prediction of the clean latents.
        anchors: Objects whose appearance is anchored to frame 1.
    """

    def __init__(
        self,
        unet: UNet2DConditionModel,
        scheduler: KarrasDiffusionSchedulers,
        adapters: Mapping[str, tuple[MotionMaskAdapter, float]],
        branches: Branches,
        first: torch.Tensor,
        context: torch.Tensor | None = None,
        context_timestep: int = 0,
        first_index: int = 1,
        first_frame_attention: bool = True,
        cache_first_frame: bool = True,
        control: FrameControl | None = None,
        guidance_rescale: float = 0.0,
        guidance_interval: tuple[float, float] = (0.0, 1.0),
        timestep_range: tuple[float, float] = (0.0, 1.0),
        guides: Sequence[CleanLatentGuide] = (),
        anchors: Sequence[ObjectAnchor] = (),
    ) -> None:
        self.unet, self.scheduler, self.branches = unet, scheduler, branches
        self.adapters = {name: (adapter, scale) for name, (adapter, scale) in adapters.items() if scale}
        self.first, self.context = first, context
        self.context_timestep, self.first_index = context_timestep, first_index
        self.first_frame_attention = first_frame_attention
        self.uses_cache = (cache_first_frame or context is not None) and bool(self.adapters)
        self.control, self.guidance_rescale, self.guides = control, guidance_rescale, guides
        self.anchors = anchors
        self.timestep_range, self.guidance_interval = tuple(timestep_range), tuple(guidance_interval)
        self.mask_terms: dict[str, list[MaskTerm]] = {}
        self.branch_rows = {branches: BranchRows.allocate(branches, first)}
        if self.guidance_interval != (0, 1):
            alone = branches.without_guidance()
            self.branch_rows[alone] = BranchRows.allocate(alone, first)

    @contextmanager
    def attached(self) -> Iterator[None]:
        """A context with the adapters attached to the UNet; `set_text` and `predict` need it."""
        with attach_adapters(self.unet, self.adapters, self.first_frame_attention):
            yield

    def set_masks(
        self,
        masks: torch.Tensor,
        instances: Sequence[Instance] | None,
        tokenizer: PreTrainedTokenizerBase,
        prompt: Any,
        unbound_words: UnboundWords = "union",
    ) -> None:
        """Encode masks, float (B, F, H, W); or, if there are instances, their masks with their words instead.

        unbound_words: what acts on words that belong to no instance, the union of the instances or nothing.
        """
        bound: list[BoundMasks] = [(masks, None)]
        if instances:
            if not isinstance(prompt, str):
                raise InputError("instances are bound to the words of one prompt; give a single prompt with them")
            bound = self._bind(masks, instances, tokenizer, prompt, unbound_words)
        clips, frames = masks.shape[:2]
        for name, (adapter, _) in self.adapters.items():
            self.mask_terms[name] = []
            for instance_masks, token_weights in bound:
                shared = instance_masks.to(self.first.device, self.first.dtype).expand(clips, -1, -1, -1)
                rows = shared.flatten(0, 1)
                self.mask_terms[name].append(_split_rows(adapter.mask_term(rows, token_weights), clips, frames))

    def set_text(self, prompt: torch.Tensor, negative: torch.Tensor) -> None:
        """Set the text embeddings and cache frame 1 and the context, which depend on them.

        prompt, negative: (B, L, D) each, or (1, L, D) for all clips.
        """
        for branches, rows in self.branch_rows.items():
            texts = [prompt if prompted else negative for prompted in branches.prompted]
            rows.text = torch.cat([text.expand(len(self.first), -1, -1) for text in texts])
            rows.kv_caches = {}
            if self.uses_cache:
                self._fill_caches(branches)

    def _fill_caches(self, branches: Branches) -> None:
        """Cache frame 1 and the context for some branches, with adapters and, where they do not always act, without."""
        clean = torch.zeros(1, device=self.first.device).long()
        for uses_adapters in (True,) if self.timestep_range == (0, 1) else (True, False):
            self._run(branches, self.first[:, None], clean, slice(0, 1), 0, True, uses_adapters=uses_adapters)
            if self.context is not None:
                t = torch.full((1,), self.context_timestep, device=self.first.device).long()
                span = slice(1, 1 + self.context.shape[1])
                self._run(branches, self.context, t, span, self.first_index, True, uses_adapters=uses_adapters)

    def predict(self, latents: torch.Tensor, t: torch.Tensor, step: int = 0, steps: int = 1) -> torch.Tensor:
        """The guided prediction for the new frames, (B, F - 1 - K, C, h, w), at timestep `t`.

        step, steps: how many steps are done, and how many there are.
        """
        sample = self.scheduler.scale_model_input(latents, t)
        control = self.control if self.control and self.control.is_active(step / steps, (step + 1) / steps) else None
        noise_level = float(t) / self.scheduler.config.num_train_timesteps
        uses_adapters = _contains(self.timestep_range, noise_level)
        branches = self.branches
        if not _contains(self.guidance_interval, noise_level):
            branches = branches.without_guidance()
        if not self.adapters or (self.uses_cache and self.branch_rows[branches].kv_caches):
            cached_frames = 1 if self.context is None else 1 + self.context.shape[1]
            first_index = self.first_index + cached_frames - 1
            span = slice(cached_frames, None)
            out = self._run(branches, sample, t[None], span, first_index, control=control, uses_adapters=uses_adapters)
        else:
            all_frames = torch.cat([self.first[:, None], sample], dim=1)
            timesteps = t.expand(all_frames.shape[1]).clone()
            timesteps[0] = 0
            out = self._run(branches, all_frames, timesteps, slice(None), 0, False, control, 1, uses_adapters)[:, :, 1:]
        guided = (out * self.branch_rows[branches].weights).sum(dim=0)
        if self.guidance_rescale and len(branches) > 1:
            guided = rescale_noise_cfg(guided, out[-1], self.guidance_rescale)
        if self.guides:
            rate = compute_signal_rate(self.scheduler, t)
            kind = self.scheduler.config.prediction_type
            guided = guide_prediction(guided, sample, rate, kind, self.guides, step / steps)
        return guided

    def _bind(
        self,
        masks: torch.Tensor,
        instances: Sequence[Instance],
        tokenizer: PreTrainedTokenizerBase,
        prompt: str,
        unbound_words: UnboundWords,
    ) -> list[BoundMasks]:
        """The masks of every phrase with the tokens that they act on."""
        phrases = merge_by_words(instances)
        if any(phrase.masks.shape != tuple(masks.shape[1:]) for phrase in phrases):
            raise InputError(
                f"the instances' masks are {phrases[0].masks.shape}, the masks {tuple(masks.shape[1:])}; "
                f"give one length and size"
            )
        if len(phrases) == 1 and (unbound_words == "union" or phrases[0].words == " ".join(prompt.lower().split())):
            compute_token_weights(tokenizer, prompt, phrases[0].words)  # raises if the prompt lacks the words
            return [(torch.from_numpy(phrases[0].masks)[None].float(), None)]  # one mask on all words: Eq. 7 itself
        bound: list[BoundMasks] = []
        for phrase in phrases:
            weights = torch.from_numpy(compute_token_weights(tokenizer, prompt, phrase.words))[None]
            weights = weights.to(self.first.device, self.first.dtype)
            bound.append((torch.from_numpy(phrase.masks)[None].float(), weights))
        if unbound_words == "union":
            bound_tokens = torch.stack([weights for _, weights in bound if weights is not None]).amax(dim=0)
            bound.append((torch.from_numpy(union_masks(phrases))[None].float(), 1 - bound_tokens))
        return bound

    def _run(
        self,
        branches: Branches,
        sample: torch.Tensor,
        t: torch.Tensor,
        span: slice,
        first_index: int,
        fill_cache: bool = False,
        control: FrameControl | None = None,
        clean_frames: int = 0,
        uses_adapters: bool = True,
    ) -> torch.Tensor:
        """The UNet's output for each of some branches, (branches, B, F, C, h, w).

        sample: latents (B, F, C, h, w). t: timesteps, (1,) or (F,). span: the frames' place in the mask sequence.
        clean_frames: how many frames at the start of `sample` the ControlNet does not act on.
        uses_adapters: whether the adapters' weights act.
        """
        count, (clips, frames) = len(branches), sample.shape[:2]
        given = self.branch_rows[branches]
        rows = sample[None].expand(count, *sample.shape).flatten(0, 2)
        options: dict[str, Any] = {}
        cache_out: KVCache | None = {} if fill_cache else None
        if self.adapters:
            terms = {name: [given.repeat_term(term, span) for term in terms] for name, terms in self.mask_terms.items()}
            anchors = [select_rows(anchor, span, count) for anchor in self.anchors]
            kv_cache = given.kv_caches.get(uses_adapters, {})
            context = FrameContext(
                frames, terms, kv_cache, cache_out, first_index, anchors=anchors, uses_adapters=uses_adapters
            )
            options["cross_attention_kwargs"] = {"context": context}
        if control is not None:
            options |= control.compute_residuals(sample, t.expand(frames), given.text, branches.masked, clean_frames)
        text = given.text if self.adapters else given.text.repeat_interleave(frames, dim=0)
        out = self.unet(rows, t.expand(frames).repeat(count * clips), encoder_hidden_states=text, **options).sample
        if cache_out is not None:
            given.kv_caches[uses_adapters] = cache_out
        return out.unflatten(0, (count, clips, frames))


@dataclass
class BranchRows:
    """What the rows of some branches have in common in all steps.

    Attributes:
        weights: Of the branches in the guided prediction, (branches, 1, 1, 1, 1, 1).
        masked: 1 where a branch sees the mask, else 0, (branches,).
        text: Text embeddings of all branches, (branches * B, L, D).
        kv_caches: Whether adapters act -> what frame 1 and the context left for later frames.
    """

    weights: torch.Tensor
    masked: torch.Tensor
    text: torch.Tensor = field(init=False)
    kv_caches: dict[bool, KVCache] = field(default_factory=dict)

    @classmethod
    def allocate(cls, branches: Branches, like: torch.Tensor) -> BranchRows:
        """On the device and with the dtype of a tensor, once: a copy at every step would make the host wait."""
        weights = torch.tensor(branches.weights, device=like.device, dtype=like.dtype)
        masked = torch.tensor(branches.masked, device=like.device, dtype=like.dtype)
        return cls(weights.view(-1, 1, 1, 1, 1, 1), masked)

    def repeat_term(self, term: MaskTerm, span: slice) -> MaskTerm:
        """The term's frames in `span`, one row for each branch, clip and frame; zero where the branch has no mask."""
        branches = len(self.masked)

        def repeat(levels: dict[int, torch.Tensor]) -> dict[int, torch.Tensor]:
            frames = {tokens: value[:, span] for tokens, value in levels.items()}
            return {tokens: v[None].expand(branches, *v.shape).flatten(0, 2) for tokens, v in frames.items()}

        clips, frames = next(iter(term.features.values()))[:, span].shape[:2]
        return MaskTerm(repeat(term.features), repeat(term.coverage), term.token_weights).scale_rows(
            self.masked.repeat_interleave(clips * frames)
        )


def _contains(interval: tuple[float, ...], noise_level: float) -> bool:
    """Whether a share of the noise schedule is in an interval, whose end is part of it only if that is pure noise."""
    low, high = interval
    return low <= noise_level < high or noise_level >= high == 1


def _split_rows(term: MaskTerm, clips: int, frames: int) -> MaskTerm:
    """The term with its rows (B * F, ...) as (B, F, ...)."""

    def split(levels: dict[int, torch.Tensor]) -> dict[int, torch.Tensor]:
        return {tokens: value.unflatten(0, (clips, frames)) for tokens, value in levels.items()}

    return MaskTerm(split(term.features), split(term.coverage), term.token_weights)
