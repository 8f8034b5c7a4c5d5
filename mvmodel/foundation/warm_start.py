"""Starts a training from an earlier pack's weights, even if some layers of the new model are larger."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from mvmodel.errors import InputError


def load_matching_weights(model: torch.nn.Module, folder: Path) -> list[str]:
    """Take every weight of the same name and shape from the safetensors in `folder`; returns the names that begin anew.

    A layer that grew (more latent channels, say) keeps its fresh start. Raises InputError when nothing fits.
    """
    files = sorted(Path(folder).glob("*.safetensors"))
    if not files:
        raise InputError(f"{folder} holds no .safetensors to go on from; give the folder of a pack")
    start_weights = {name: value for file in files for name, value in load_file(file).items()}
    weights = model.state_dict()
    fitting = {
        name: start_weights[name]
        for name, value in weights.items()
        if name in start_weights and start_weights[name].shape == value.shape
    }
    if not fitting:
        raise InputError(f"nothing in {folder} fits this {type(model).__name__}; begin without --start")
    with torch.no_grad():
        for name, value in fitting.items():
            weights[name].copy_(value)
    return sorted(set(weights) - set(fitting))
