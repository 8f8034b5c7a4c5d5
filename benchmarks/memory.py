"""Peak memory of every plan of `mvmodel.packs.memory.LADDER`, at the size of Stable Diffusion 1.5, without a GPU.

Accounted, not measured: the product's own code runs on PyTorch's fake tensors, which have sizes and no content, while
every storage is counted from its allocation to its release. Two things are as on a GPU: attention is the fused kernel,
which stores its inputs, its output and one number a row, and autocast computes normalisation in float32. A real GPU
needs more for its context, the libraries' work space and fragmentation; `python -m benchmarks gpu` measures that.
"""

from __future__ import annotations

import argparse
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL, ControlNetModel, DDIMScheduler, UNet2DConditionModel
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks.machine import describe_machine, publish_report, round_numbers
from mvmodel.backends.image_unet.denoiser import Denoiser
from mvmodel.backends.image_unet.guidance import guidance_branches
from mvmodel.model.adapter import MotionMaskAdapter
from mvmodel.model.attachment import attach_adapter
from mvmodel.model.context import DEFAULT, FrameContext
from mvmodel.packs.memory import GIB, LADDER, MemoryPlan
from mvmodel.packs.random_pack import build_text_encoder, build_unet, build_vae

DEVICE, TOKENS = "cpu", 77  # fake tensors of a GPU need a driver for the backward pass
FRAMES, HEIGHT, WIDTH = 16, 320, 512


class AllocationTrace(TorchDispatchMode):
    """Counts the bytes of all living storages that operators return inside the block, and their peak."""

    def __init__(self) -> None:
        super().__init__()
        self.live, self.peak = 0, 0
        self._storages: dict[int, weakref.ref[Any]] = {}

    def add(self, tensor: torch.Tensor) -> None:
        """Count a tensor's storage until it is released."""
        storage = tensor.untyped_storage()
        key, size = id(storage), storage.nbytes()
        if key in self._storages:
            return
        self._storages[key] = weakref.ref(storage, lambda _: self._remove(key, size))
        self.live += size
        self.peak = max(self.peak, self.live)

    def _remove(self, key: int, size: int) -> None:
        self._storages.pop(key, None)
        self.live -= size

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = function(*args, **(kwargs or {}))
        for leaf in tree_leaves(out):
            if isinstance(leaf, torch.Tensor):
                self.add(leaf)
        return out


class _FusedAttention(torch.autograd.Function):
    """What fused attention allocates and keeps for the backward pass; computes nothing."""

    @staticmethod
    def forward(ctx: Any, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        out = query.new_empty(*query.shape[:-1], value.shape[-1])
        ctx.save_for_backward(query, key, value, out, query.new_empty(query.shape[:-1], dtype=torch.float32))
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, ...]:
        query, key, value, *_ = ctx.saved_tensors
        return torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)


def _fused_attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *_: Any, **__: Any) -> torch.Tensor:
    if torch.is_autocast_enabled(DEVICE):
        dtype = torch.get_autocast_dtype(DEVICE)
        query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
    result: torch.Tensor = _FusedAttention.apply(query, key, value)
    return result


@contextmanager
def trace_allocations() -> Iterator[AllocationTrace]:
    """A trace on fake tensors, with attention as the fused kernel and normalisation as under a GPU's autocast."""
    originals = {name: getattr(F, name) for name in ("scaled_dot_product_attention", "group_norm", "layer_norm")}

    def normalize(name: str) -> Callable[..., torch.Tensor]:
        def function(x: torch.Tensor, *arguments: Any, **options: Any) -> torch.Tensor:
            result: torch.Tensor = originals[name](
                x.float() if torch.is_autocast_enabled(DEVICE) else x, *arguments, **options
            )
            return result

        return function

    F.scaled_dot_product_attention = _fused_attention  # type: ignore[assignment]
    F.group_norm, F.layer_norm = normalize("group_norm"), normalize("layer_norm")
    try:
        with FakeTensorMode(allow_non_fake_inputs=True), AllocationTrace() as trace:
            yield trace
    finally:
        for name, original in originals.items():
            setattr(F, name, original)


def _build(build: Callable[[], torch.nn.Module], dtype: torch.dtype) -> Any:
    """A model of this type on the fake device."""
    torch.set_default_dtype(dtype)
    try:
        with torch.device(DEVICE):
            return build().requires_grad_(False).eval()
    finally:
        torch.set_default_dtype(torch.float32)


def _zeros(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.zeros(*shape, dtype=dtype, device=DEVICE)


def account_training(plan: MemoryPlan, full: bool, shape: tuple[int, int, int]) -> float:
    """Peak in GiB of an optimizer step on one clip of `shape` (frames, height, width), under bf16 autocast."""
    (frames, height, width), text_width = shape, 768 if full else 32
    with trace_allocations() as trace:
        idle = [] if plan.offload else [build_vae, build_text_encoder]
        kept = [_build(lambda build=build: build(full), torch.float16) for build in idle]
        unet: UNet2DConditionModel = _build(
            lambda: build_unet(full), torch.float16 if plan.half_precision_unet else torch.float32
        )
        with torch.device(DEVICE):
            adapter = MotionMaskAdapter.for_unet(unet).train()
        if plan.gradient_checkpointing:
            unet.enable_gradient_checkpointing()
            adapter.enable_gradient_checkpointing()
        optimizer = torch.optim.AdamW(adapter.parameters(), foreach=False)
        for _ in range(2):  # the optimizer's state exists from the second step on
            with attach_adapter(unet, adapter):
                with torch.autocast(DEVICE, dtype=torch.bfloat16):
                    term = adapter.mask_term(_zeros(frames, height, width))
                    context = FrameContext(frames, {DEFAULT: (term,)})
                    prediction = unet(
                        _zeros(frames, 4, height // 8, width // 8),
                        torch.zeros(frames, dtype=torch.long, device=DEVICE),
                        encoder_hidden_states=_zeros(1, TOKENS, text_width),
                        cross_attention_kwargs={"context": context},
                    ).sample
                    loss = prediction[1:].float().square().mean()
                loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        del kept
        return trace.peak / GIB


@torch.no_grad()
def account_denoising(plan: MemoryPlan, full: bool, shape: tuple[int, int, int]) -> float:
    """Peak in GiB of a guided prediction for frames 2..n in half precision, with frame 1 cached."""
    (frames, height, width), text_width = shape, 768 if full else 32
    half = torch.float16
    with trace_allocations() as trace:
        idle = [] if plan.offload else [build_vae, build_text_encoder]
        kept = [_build(lambda build=build: build(full), half) for build in idle]
        unet: UNet2DConditionModel = _build(lambda: build_unet(full), half)
        if not plan.offload:
            kept.append(_build(lambda: ControlNetModel.from_unet(unet, load_weights_from_unet=False), half))
        adapter = _build(lambda: MotionMaskAdapter.for_unet(unet), half)
        first = _zeros(1, 4, height // 8, width // 8, dtype=half)
        denoiser = Denoiser(unet, DDIMScheduler(), {DEFAULT: (adapter, 1.0)}, guidance_branches(7.5, True), first)
        denoiser.set_masks(_zeros(1, frames, height, width), None, None, "")  # type: ignore[arg-type]
        with denoiser.attached():
            text = _zeros(1, TOKENS, text_width, dtype=half)
            denoiser.set_text(text, text)
            latents = _zeros(1, frames - 1, *first.shape[1:], dtype=half)
            denoiser.predict(latents, torch.zeros((), dtype=torch.long, device=DEVICE))
        del kept
        return trace.peak / GIB


@torch.no_grad()
def account_decoding(plan: MemoryPlan, full: bool, shape: tuple[int, int, int]) -> float:
    """Peak in GiB of decoding the frames in chunks of eight, beside the resident UNet."""
    frames, height, width = shape
    half = torch.float16
    with trace_allocations() as trace:
        kept = [_build(lambda: build_unet(full), half)]
        vae: AutoencoderKL = _build(lambda: build_vae(full), half)
        if plan.vae_slicing:
            vae.enable_slicing()
        if plan.vae_tiling:
            vae.enable_tiling()
        latents = _zeros(frames, 4, height // 8, width // 8, dtype=half)
        torch.cat([vae.decode(part).sample for part in latents.split(8)])
        del kept
        return trace.peak / GIB


PHASES: dict[str, Callable[[MemoryPlan, bool, tuple[int, int, int]], float]] = {
    "training": account_training,
    "denoising": account_denoising,
    "decoding": account_decoding,
}


def account_ladder(
    full: bool = True, shape: tuple[int, int, int] = (FRAMES, HEIGHT, WIDTH), plans: tuple[MemoryPlan, ...] = LADDER
) -> dict[str, dict[str, float]]:
    """Plan -> phase -> peak in GiB, and what the plan itself estimates. full: Stable Diffusion 1.5's architecture."""
    figures = {}
    for plan in plans:
        peaks = {name: account(plan, full, shape) for name, account in PHASES.items()}
        figures[plan.level] = {**peaks, "peak": max(peaks.values())}
    return figures


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks memory", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=FRAMES)
    parser.add_argument("--height", type=int, default=HEIGHT)
    parser.add_argument("--width", type=int, default=WIDTH)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--out", type=Path, help="also write the JSON to this file")
    options = parser.parse_args(arguments)
    shape = (options.frames, options.height, options.width)
    report = {**round_numbers(account_ladder(shape=shape)), "shape": list(shape), "on": describe_machine()}
    publish_report(report, report, options.out, options.json)


if __name__ == "__main__":
    main()
