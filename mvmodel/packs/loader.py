"""Loads the models of a pack, each on first use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from diffusers import AutoencoderKL, ControlNetModel, DDIMScheduler, ModelMixin, UNet2DConditionModel
from safetensors import SafetensorError
from transformers import AutoTokenizer, CLIPTextModel, PreTrainedTokenizerBase

from mvmodel.errors import PackError
from mvmodel.files import hash_file
from mvmodel.metrics.scorer import Scorer
from mvmodel.packs.cpu_time import describe_slow_stages
from mvmodel.packs.device import ModuleT, empty_gpu_cache, move_model, resolve_device, resolve_dtype, use_channels_last
from mvmodel.packs.info import (
    PackInfo,
    check_parts,
    find_pack_folder,
    get_default_pack_name,
    hash_pack,
    hash_pack_files,
    read_run_info,
    read_size_multiple,
)
from mvmodel.packs.memory import MemoryPlan, check_memory_level, choose_plan, count_half_precision_bytes, next_plan
from mvmodel.packs.open_clip_model import load_open_clip
from mvmodel.packs.reconstruction import measure_reconstruction
from mvmodel.picture_size import PictureSize
from mvmodel.segmentation.sam_loading import load_sam
from mvmodel.segmentation.segmenter import Segmenter
from mvmodel.segmentation.selection import load_independent_segmenter
from mvmodel.segmentation.u2net import U2NetSegmenter

PartT = TypeVar("PartT")
ModelT = TypeVar("ModelT", bound=ModelMixin)


class Pack:
    """A pack on disk. Every model is loaded on first use and then reused.

    Args:
        folder: the pack's folder, with `pack.json`.
        device: "auto" is the GPU if there is one, else the CPU.
        dtype: "auto" is float16 on a GPU and float32 on a CPU. The segmenter and the scorer are always float32, because
            their metrics are compared between machines.
        size: width and height of clips and videos in this run; None is the pack's own. `info.size` is then this size.
        memory: "auto" chooses a plan of `mvmodel.packs.memory.LADDER` by the free memory; else the plan's level.

    Raises:
        PackError: `pack.json` is missing or invalid, or a part is missing.
        InputError: the models cannot process `size`, or there is no such memory plan.
    """

    def __init__(
        self,
        folder: Path,
        device: str = "auto",
        dtype: str = "auto",
        size: PictureSize | None = None,
        memory: str = "auto",
    ) -> None:
        self.folder = Path(folder)
        check_memory_level(memory)
        self.info: PackInfo = read_run_info(self.folder, size)
        self._device_name, self._dtype_name, self._memory_level = device, dtype, memory
        self._parts: dict[str, Any] = {}
        check_parts(self.folder)

    def __reduce__(self) -> tuple[Any, ...]:  # another process loads the models itself, and once
        return _open_once, (self.folder, self._device_name, self._dtype_name, self.info.size, self._memory_level)

    @cached_property
    def device(self) -> str:
        """The device that models are loaded to: cpu, cuda or cuda:N."""
        return resolve_device(self._device_name)

    @cached_property
    def dtype(self) -> str:
        """Name of the dtype of the autoencoder, UNet, ControlNet and text encoder."""
        return resolve_dtype(self._dtype_name, self.device)

    @cached_property
    def memory(self) -> MemoryPlan:
        """What is done to save memory, chosen when it is first asked for.

        Raises InputError if "auto" finds that a CPU's memory is too small for any.
        """
        unet_bytes = count_half_precision_bytes(self.folder / "unet")
        return choose_plan(self._memory_level, self.info, unet_bytes, self.device)

    def describe_slow_stages(
        self, *, training_steps: int | None = None, denoising_steps: int | None = None, judge: bool = False
    ) -> str:
        """How long a run takes on a CPU, see `mvmodel.packs.cpu_time`; "" on a GPU and for small models."""
        return describe_slow_stages(
            *(self.folder, self.info, self.device),
            training_steps=training_steps,
            denoising_steps=denoising_steps,
            judge=judge,
        )

    def with_size(self, size: PictureSize) -> Pack:
        """This pack for videos of another size. Both use the same models if both have the same memory plan.

        Raises InputError if the models cannot process `size`, or if a CPU's memory is too small for it.
        """
        other = Pack(self.folder, self._device_name, self._dtype_name, size, self._memory_level)
        if other.memory == self.memory:
            other._parts = self._parts
        return other

    def step_down_memory(self, training: bool = True) -> MemoryPlan | None:
        """Take the next plan of the ladder, after an error for lack of memory in training or in generation.

        None if there is none below, or if the user named a plan: then nothing changes. Models are loaded anew.
        """
        plan = next_plan(self.memory, training) if self._memory_level == "auto" else None
        if plan is not None:
            self.memory = plan
            self._parts.clear()
            empty_gpu_cache(self.device)
        return plan

    def move_off_device(self, *parts: str) -> None:
        """Move loaded parts to the CPU under a plan with `offload`; they return on their next use."""
        if self.memory.offload and self.device != "cpu":
            for part in parts:
                if part in self._parts:
                    move_model(self._parts[part], "cpu")
            empty_gpu_cache(self.device)

    def unload(self, *parts: str) -> None:
        """Forget loaded parts, so that their memory is free; they are loaded again on their next use."""
        for part in parts:
            self._parts.pop(part, None)
        empty_gpu_cache(self.device)

    @cached_property
    def hash(self) -> str:
        """Hash of the pack's files, hexadecimal. Uses the hashes in `pack.json` if there are any."""
        return hash_pack(self.folder, self.info)

    def file_hashes(self) -> dict[str, str]:
        """Returns path in the pack -> SHA-256, of every file except `pack.json` and READMEs."""
        return hash_pack_files(self.folder)

    def check_hashes(self) -> list[str]:
        """Returns the files that are missing or do not match the hash in `pack.json`."""
        hashes = self.file_hashes()
        return sorted(name for name, value in self.info.hashes.items() if hashes.get(name) != value)

    @property
    def latent_factor(self) -> int:
        """Side of a latent cell in pixels."""
        return int(2 ** (len(self.vae().config.block_out_channels) - 1))

    @cached_property
    def size_multiple(self) -> int:
        """What width and height in pixels must be divisible by: the factors of autoencoder and UNet, multiplied."""
        return read_size_multiple(self.folder)

    def vae(self) -> AutoencoderKL:
        def load() -> AutoencoderKL:
            vae = self._load_diffusers_model(AutoencoderKL, "vae")
            if self.memory.vae_slicing:
                vae.enable_slicing()
            if self.memory.vae_tiling:
                vae.enable_tiling()
            return vae

        return self._on_device(self._load_part("vae", load))

    def unet(self) -> UNet2DConditionModel:
        return self._load_part("unet", lambda: self._load_diffusers_model(UNet2DConditionModel, "unet"))

    def controlnet(self) -> ControlNetModel:
        return self._load_part("controlnet", lambda: self._load_diffusers_model(ControlNetModel, "controlnet"))

    def text_encoder(self) -> CLIPTextModel:
        def load() -> CLIPTextModel:
            options: dict[str, Any] = {"dtype": self._torch_dtype, "use_safetensors": True, "output_loading_info": True}
            model: Any
            model, loading = CLIPTextModel.from_pretrained(self.folder / "text_encoder", **options)
            self._refuse_missing_weights("text_encoder", sorted(loading["missing_keys"]))  # else they are random
            loaded_model: CLIPTextModel = model.to(self.device).eval()
            return loaded_model

        return self._on_device(self._load_part("text_encoder", load))

    def tokenizer(self) -> PreTrainedTokenizerBase:
        def load() -> PreTrainedTokenizerBase:
            tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(str(self.folder / "tokenizer"))
            return tokenizer

        return self._load_part("tokenizer", load)

    def scheduler(self) -> DDIMScheduler:
        def load() -> DDIMScheduler:
            scheduler: DDIMScheduler = DDIMScheduler.from_pretrained(self.folder / "scheduler")
            return scheduler

        return self._load_part("scheduler", load)

    def segmenter(self) -> Segmenter:
        def load() -> Segmenter:
            info = self.info.segmenter
            return Segmenter(load_sam(info.type, self.folder / info.checkpoint), device=self.device)

        return self._load_part("segmenter", load)

    def independent_segmenter(self) -> U2NetSegmenter | None:
        """U-2-Netp, for `iou_independent`: no part of any pack. None if its weights are not on this machine."""
        return load_independent_segmenter()

    def scorer(self) -> Scorer:
        def load() -> Scorer:
            clip = load_open_clip(self.folder, self.info)
            return Scorer(
                clip.model,
                clip.preprocess,
                clip.tokenizer,
                clip.name,
                hash_file(clip.weights),
                device=self.device,
                words=self.info.objects,
            )

        return self._load_part("scorer", load)

    def knows_footage(self, frames: np.ndarray) -> bool:
        """Whether the image model knows such footage: whether the autoencoder can reproduce two of its frames.

        What an autoencoder cannot reproduce, no model behind it can draw. Packs without `min_reconstruction` know all
        footage.

        Args:
            frames: uint8 RGB (frames, height, width, 3), of any size.
        """
        if self.info.min_reconstruction is None:
            return True
        indices = sorted({len(frames) // 3, 2 * len(frames) // 3})
        return measure_reconstruction(self.vae(), frames[indices], self.info.size) >= self.info.min_reconstruction

    def start_adapter(self) -> Path | None:
        """Returns the folder of the pack's start adapter, which was trained on many motions, or None.

        Raises PackError if `pack.json` names one that is missing.
        """
        if self.info.start_adapter is None:
            return None
        folder = self.folder / self.info.start_adapter
        if not folder.is_dir():
            raise PackError(f"{folder}, the start adapter that pack.json names, does not exist; remove the name there")
        return folder

    @property
    def _torch_dtype(self) -> torch.dtype:
        dtype: torch.dtype = getattr(torch, self.dtype)
        return dtype

    def _load_part(self, name: str, load: Callable[[], PartT]) -> PartT:
        if name not in self._parts:
            try:
                self._parts[name] = load()
            except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
                reason = str(error).splitlines()[0]
                raise PackError(
                    f"the {name} of model pack {self.folder} cannot be loaded ({reason}); fetch or assemble it again"
                ) from error
        part: PartT = self._parts[name]
        return part

    def _on_device(self, model: ModuleT) -> ModuleT:
        """The model on the pack's device, to which it returns if the pipeline moved it to the CPU meanwhile."""
        return move_model(model, self.device) if self.memory.offload else model

    def _load_diffusers_model(self, model_class: type[ModelT], part: str) -> ModelT:
        model = model_class.from_pretrained(self.folder / part, torch_dtype=self._torch_dtype, use_safetensors=True)
        self._refuse_missing_weights(part, [name for name, value in model.named_parameters() if value.is_meta])
        loaded_model: ModelT = model.to(self.device).eval()
        if self.device == "cpu":
            use_channels_last(loaded_model)
        return loaded_model

    def _refuse_missing_weights(self, part: str, names: Sequence[str]) -> None:
        if names:
            raise PackError(
                f"the {part} of model pack {self.folder} lacks {len(names)} weights, such as {names[0]}; fetch or "
                f"assemble it again"
            )


def load_pack(
    name_or_folder: str | Path | None = None,
    device: str = "auto",
    dtype: str = "auto",
    size: PictureSize | None = None,
    memory: str = "auto",
) -> Pack:
    """Opens a pack by name or folder; None takes `get_default_pack_name()`.

    size, memory: as in `Pack`. Raises PackError if there is no such pack, InputError if its models cannot process
    `size`.
    """
    return Pack(find_pack_folder(name_or_folder or get_default_pack_name()), device, dtype, size, memory)


@cache
def _open_once(*arguments: Any) -> Pack:
    """The pack in a process that was sent it."""
    return Pack(*arguments)
