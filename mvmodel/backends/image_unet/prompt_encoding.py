"""A pipeline's prompts as text embeddings."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from transformers import CLIPTextModel, PreTrainedTokenizerBase

from mvmodel.backends.image_unet.pipeline_offload import PipelineOffload
from mvmodel.errors import InputError


class PromptEncodingMixin(PipelineOffload):
    """For pipelines with a `tokenizer` and a `text_encoder`."""

    tokenizer: PreTrainedTokenizerBase
    text_encoder: CLIPTextModel

    def encode_prompt(
        self,
        prompt: str | Sequence[str] | None,
        negative_prompt: str | Sequence[str] | None = "",
        prompt_embeds: torch.Tensor | None = None,
        negative_prompt_embeds: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Embeddings of the prompts and of the negative prompts, (B, L, D) each; None is an empty negative prompt."""
        if prompt_embeds is None:
            prompt_embeds = self._embed([prompt] if isinstance(prompt, str) else list(prompt or ()))
        if negative_prompt_embeds is None:
            count = len(prompt_embeds)
            negative_prompt = negative_prompt or ""
            negative = [negative_prompt] * count if isinstance(negative_prompt, str) else list(negative_prompt)
            if len(negative) != count:
                raise InputError(
                    f"there are {len(negative)} negative prompts for {count} prompts; give one, or as many"
                )
            negative_prompt_embeds = self._embed(negative)
        if len(negative_prompt_embeds) != len(prompt_embeds):
            raise InputError(
                f"there are {len(negative_prompt_embeds)} negative prompt embeddings for {len(prompt_embeds)} prompts; "
                f"give as many"
            )
        return prompt_embeds, negative_prompt_embeds

    def _embed(self, prompts: list[str]) -> torch.Tensor:
        max_length = self.tokenizer.model_max_length
        ids = self.tokenizer(
            prompts, padding="max_length", max_length=max_length, truncation=True, return_tensors="pt"
        ).input_ids
        with self._in_use(self.text_encoder):
            return self.text_encoder(ids.to(self._execution_device))[0].to(self.unet.dtype)
