"""Loading a pack's models, each once and only when asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvmodel.errors import PackError
from mvmodel.files import hash_file, hash_value
from mvmodel.packs.device import device_of, dtype_of
from mvmodel.packs.info import PARTS, PackInfo, default_name, pack_folder, read_info

if TYPE_CHECKING:
    from mvmodel.metrics.scorer import Scorer
    from mvmodel.segmentation.segmenter import Segmenter


class Pack:
    """A pack on disk. Models are loaded on first use and kept.

    device, dtype: "auto" is the GPU and float16 where there is one, else the CPU and float32. Segmenter and scorer stay
    float32, since what they measure is compared between machines.
    """

    def __init__(self, folder: Path, device: str = "auto", dtype: str = "auto") -> None:
        self.folder = Path(folder)
        self.info: PackInfo = read_info(self.folder)
        self._named = (device, dtype)
        self._loaded: dict[str, Any] = {}
        missing = [part for part in PARTS if not (self.folder / part).is_dir()]
        if missing:
            raise PackError(f"model pack {self.folder} lacks {', '.join(missing)}; fetch or assemble it again")

    @cached_property
    def device(self) -> str:
        """Where models are loaded to: cpu, cuda or cuda:N."""
        return device_of(self._named[0])

    @cached_property
    def dtype(self) -> str:
        """PyTorch's name of the number type of autoencoder, UNet, ControlNet and text encoder."""
        return dtype_of(self._named[1], self.device)

    @cached_property
    def hash(self) -> str:
        """Identity of the pack's files, hexadecimal: over the hashes in `pack.json`, else over the files."""
        hashes = self.info.hashes or self.file_hashes()
        return hash_value(hashes)

    def file_hashes(self) -> dict[str, str]:
        """SHA-256 of every file but `pack.json` and READMEs, by its path inside the pack."""
        files = sorted(p for p in self.folder.rglob("*") if p.is_file() and p.name not in ("pack.json", "README.md"))
        return {p.relative_to(self.folder).as_posix(): hash_file(p) for p in files}

    def check_hashes(self) -> list[str]:
        """Files that are missing or differ from what `pack.json` recorded."""
        now = self.file_hashes()
        return sorted(name for name, value in self.info.hashes.items() if now.get(name) != value)

    @property
    def latent_factor(self) -> int:
        """Pixels of a latent cell's side."""
        return int(2 ** (len(self.vae().config.block_out_channels) - 1))

    def vae(self) -> Any:
        return self._part("vae", lambda: self._diffusers("AutoencoderKL", "vae"))

    def unet(self) -> Any:
        return self._part("unet", lambda: self._diffusers("UNet2DConditionModel", "unet"))

    def controlnet(self) -> Any:
        return self._part("controlnet", lambda: self._diffusers("ControlNetModel", "controlnet"))

    def text_encoder(self) -> Any:
        def load() -> Any:
            from transformers import CLIPTextModel

            model = CLIPTextModel.from_pretrained(self.folder / "text_encoder", dtype=self._dtype())
            return model.to(self.device).eval()

        return self._part("text_encoder", load)

    def tokenizer(self) -> Any:
        def load() -> Any:
            from transformers import AutoTokenizer

            return AutoTokenizer.from_pretrained(str(self.folder / "tokenizer"))

        return self._part("tokenizer", load)

    def scheduler(self) -> Any:
        def load() -> Any:
            from diffusers import DDIMScheduler

            return DDIMScheduler.from_pretrained(self.folder / "scheduler")

        return self._part("scheduler", load)

    def segmenter(self) -> Segmenter:
        def load() -> Any:
            from mvmodel.segmentation.sam_loading import load_sam
            from mvmodel.segmentation.segmenter import Segmenter

            about = self.info.segmenter
            return Segmenter(load_sam(about.type, self.folder / about.checkpoint), device=self.device)

        found: Segmenter = self._part("segmenter", load)
        return found

    def scorer(self) -> Scorer:
        def load() -> Any:
            from mvmodel.metrics.scorer import Scorer

            model, preprocess, tokenizer, name, weights = self._open_clip()
            return Scorer(
                model, preprocess, tokenizer, name, hash_file(weights), device=self.device, words=self.info.objects
            )

        found: Scorer = self._part("scorer", load)
        return found

    def start_adapter(self) -> Path | None:
        """Folder of the adapter tuned on many motions that comes with the pack, or None."""
        return self.folder / self.info.start_adapter if self.info.start_adapter else None

    def _part(self, name: str, load: Callable[[], Any]) -> Any:
        if name not in self._loaded:
            try:
                self._loaded[name] = load()
            except (OSError, ValueError, KeyError, RuntimeError) as error:
                reason = str(error).splitlines()[0]
                raise PackError(
                    f"the {name} of model pack {self.folder} cannot be loaded ({reason}); fetch or assemble it again"
                ) from error
        return self._loaded[name]

    def _dtype(self) -> Any:
        import torch

        return getattr(torch, self.dtype)

    def _diffusers(self, class_name: str, part: str) -> Any:
        import diffusers

        model_class = getattr(diffusers, class_name)
        model = model_class.from_pretrained(self.folder / part, torch_dtype=self._dtype(), use_safetensors=True)
        return model.to(self.device).eval()

    def _open_clip(self) -> tuple[Any, Any, Any, str, Path]:
        import open_clip

        about = self.info.scorer
        if about.folder:
            folder = self.folder / about.folder
            address = f"local-dir:{folder.resolve()}"
            model, _, preprocess = open_clip.create_model_and_transforms(address)
            tokenizer = open_clip.get_tokenizer(address)
            return (
                model,
                preprocess,
                tokenizer,
                f"{self.info.name}/{about.folder}",
                folder / "open_clip_model.safetensors",
            )
        if not about.model or not about.checkpoint:
            raise PackError(f"{self.folder}/pack.json names neither a scorer folder nor a model with its checkpoint")
        weights = self.folder / about.checkpoint
        model, _, preprocess = open_clip.create_model_and_transforms(
            about.model, pretrained=str(weights), force_quick_gelu="openai" in about.checkpoint
        )
        return model, preprocess, open_clip.get_tokenizer(about.model), about.model, weights


def load_pack(name_or_folder: str | Path | None = None, device: str = "auto", dtype: str = "auto") -> Pack:
    """Open a pack by name or folder; None takes `default_name()`. Raises PackError when there is none."""
    return Pack(pack_folder(name_or_folder or default_name()), device, dtype)
