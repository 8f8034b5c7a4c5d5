"""A training checkpoint in one safetensors file: tensors, and everything else as JSON. Nothing in it can run code."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from mvmodel.errors import InputError

STATE_FILE = "state.safetensors"
_FORMAT = "mvmodel.checkpoint.1"


def write_state(folder: Path, state: Mapping[str, Any]) -> None:
    """Write a checkpoint to `folder`/state.safetensors.

    Args:
        folder: Is created if it does not exist.
        state: Numbers, text, None, tensors, and lists, tuples and dicts of those, as `state_dict` functions return.

    Raises:
        TypeError: `state` holds a value of another type.
    """
    tensors: dict[str, torch.Tensor] = {}
    tree = json.dumps(_encode(dict(state), tensors))
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / STATE_FILE, {"format": _FORMAT, "state": tree})


def read_state(folder: Path) -> dict[str, Any]:
    """The state that `write_state` wrote, with its tensors on the CPU.

    Raises InputError naming the folder if it is damaged or was written by an earlier version.
    """
    file = folder / STATE_FILE
    if not file.exists():
        raise InputError(
            f"{folder} is no checkpoint of this version: it holds no {STATE_FILE}, and other formats, which can run "
            f"code, are not read; delete the folder to train from the start"
        )
    try:
        with safe_open(file, framework="pt") as content:
            metadata = content.metadata() or {}
            if metadata.get("format") != _FORMAT:
                raise ValueError(f"its format is {metadata.get('format')!r}")
            tensors = {name: content.get_tensor(name) for name in content.keys()}  # noqa: SIM118
        state = _decode(json.loads(metadata["state"]), tensors)
        if not isinstance(state, dict):
            raise TypeError("it holds no state")
    except (SafetensorError, OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(
            f"the checkpoint {file} cannot be read ({error}); delete it to train from the start"
        ) from error
    return state


def get_random_states() -> dict[str, Any]:
    """The states of the random number generators of Python, NumPy and PyTorch, of all GPUs included."""
    numpy_state: Any = np.random.get_state(legacy=False)  # noqa: NPY002 - datasets may use the global generator
    return {
        "python": random.getstate(),
        "numpy": {**numpy_state, "state": {**numpy_state["state"], "key": numpy_state["state"]["key"].tolist()}},
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_states(states: Mapping[str, Any]) -> None:
    """Restore what `get_random_states` returned. States of GPUs that are not there any more are ignored."""
    numpy_state = states["numpy"]
    key = np.array(numpy_state["state"]["key"], np.uint32)
    random.setstate(states["python"])
    np.random.set_state({**numpy_state, "state": {**numpy_state["state"], "key": key}})  # noqa: NPY002
    torch.set_rng_state(states["torch"])
    for device, state in enumerate(states["cuda"][: torch.cuda.device_count()]):
        torch.cuda.set_rng_state(state, device)


def _encode(value: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """JSON of a value: every object has one key, which says what it is. Tensors are moved to `tensors`."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, torch.Tensor):
        name = str(len(tensors))
        # A copy: safetensors refuses tensors that share memory, such as tied weights.
        tensors[name] = value.detach().to("cpu", copy=True).contiguous()
        return {"tensor": name}
    if isinstance(value, list):
        return [_encode(item, tensors) for item in value]
    if isinstance(value, tuple):
        return {"tuple": [_encode(item, tensors) for item in value]}
    if isinstance(value, Mapping):
        return {"dict": [[_encode(key, tensors), _encode(item, tensors)] for key, item in value.items()]}
    raise TypeError(f"a checkpoint cannot hold {type(value).__module__}.{type(value).__qualname__}")


def _decode(value: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    if isinstance(value, list):
        return [_decode(item, tensors) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    items = _decode(content, tensors)
    if kind == "tuple":
        return tuple(items)
    if kind == "dict":
        return dict(items)
    raise ValueError(f"it holds an unknown kind of value, {kind!r}")
