"""Values as JSON and raw bytes, for messages between processes. Reading a message runs no code that the message names.

Every JSON object has one key that says what it is: {"tuple": [...]}, {"array": [number of the buffer, dtype, shape]}.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import sys
from collections.abc import Callable
from decimal import Decimal
from functools import partial
from pathlib import Path
from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np
from pydantic import BaseModel

from mvmodel.errors import InputError

Buffer = bytes | bytearray | memoryview
_ARRAY_KINDS = "biufc"
"""Kinds of dtypes that arrays in a message may have: numbers and booleans."""


class MessageError(ValueError):
    """A message is damaged, or holds what a message may not hold."""


def encode_message(value: Any) -> tuple[str, list[memoryview]]:
    """The JSON of a value, and the buffers of its arrays.

    Raises TypeError for a value that a message cannot hold, such as a function inside a function.
    """
    buffers: list[memoryview] = []
    return json.dumps(_encode(value, buffers)), buffers


def decode_message(text: str, buffers: list[Buffer], allow_functions: bool = False) -> Any:
    """The value of `encode_message`. Arrays share memory with their buffers.

    Args:
        text: JSON.
        buffers: What the arrays of the message consist of.
        allow_functions: Whether it may hold functions of modules, which are imported; otherwise it may only hold
            dataclasses and pydantic models of mvmodel's modules that are imported already.

    Raises:
        MessageError: It is damaged, or holds what it may not.
    """
    try:
        return _decode(json.loads(text), buffers, allow_functions)
    except MessageError:
        raise
    except (InputError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        raise MessageError(f"a message cannot be read ({type(error).__name__}: {error})") from error


def _encode(value: Any, buffers: list[memoryview]) -> Any:
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) is list:
        return [_encode(item, buffers) for item in value]
    if type(value) in (tuple, set, frozenset):
        return {type(value).__name__: [_encode(item, buffers) for item in value]}
    if type(value) is dict:
        return {"dict": [[_encode(key, buffers), _encode(item, buffers)] for key, item in value.items()]}
    if type(value) is range:
        return {"range": [value.start, value.stop, value.step]}
    if type(value) in (bytes, bytearray):
        buffers.append(memoryview(value))
        return {type(value).__name__: len(buffers) - 1}
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in _ARRAY_KINDS:
        return _encode_array(value, buffers)
    if isinstance(value, Path):
        return {"path": str(value)}
    if isinstance(value, Decimal):
        return {"decimal": str(value)}
    if isinstance(value, partial):
        return {"partial": [_encode(part, buffers) for part in (value.func, value.args, value.keywords)]}
    if isinstance(value, FunctionType | BuiltinFunctionType | type):
        return {"function": _name_of(value)}
    if isinstance(value, BaseModel):
        fields: Any = {name: getattr(value, name) for name in type(value).model_fields}
    elif dataclasses.is_dataclass(value):
        fields = {item.name: getattr(value, item.name) for item in dataclasses.fields(value) if item.init}
    else:
        raise TypeError(f"a message cannot hold {type(value).__module__}.{type(value).__qualname__}")
    return {"object": [_name_of(type(value)), _encode(fields, buffers)]}


def _encode_array(value: np.ndarray | np.generic, buffers: list[memoryview]) -> Any:
    if isinstance(value, np.generic):
        array, kind = np.asarray(value), "scalar"
    elif value.flags.f_contiguous and not value.flags.c_contiguous:
        array, kind = value.T, "transposed"
    else:
        array, kind = np.ascontiguousarray(value).reshape(value.shape), "array"
    buffers.append(array.reshape(-1).view(np.uint8).data)
    return {kind: [len(buffers) - 1, array.dtype.str, list(array.shape)]}


def _name_of(value: Any) -> str:
    """module:name of a function or class of a module. Raises TypeError for one inside a function, or of a script."""
    module, name = value.__module__, value.__qualname__
    if getattr(sys.modules.get(module), name, None) is not value or module == "__main__":
        raise TypeError(f"{module}.{name} is no function or class of a module that another process could import")
    return f"{module}:{name}"


def _decode(value: Any, buffers: list[Buffer], allow_functions: bool) -> Any:
    if isinstance(value, list):
        return [_decode(item, buffers, allow_functions) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind in _BUFFER_DECODERS:
        return _BUFFER_DECODERS[kind](buffers, content)
    if kind == "function":
        return _find_function(content, allow_functions)
    decode: Callable[[Any], Any] = partial(_decode, buffers=buffers, allow_functions=allow_functions)
    if kind == "partial":
        function, arguments, keywords = map(decode, content)
        return partial(function, *arguments, **keywords)
    if kind == "object":
        name, fields = content
        return _find_class(name)(**decode(fields))
    if kind not in _DECODERS:
        raise MessageError(f"a message holds an unknown kind of value, {kind!r}")
    return _DECODERS[kind](decode(content))


def _decode_array(buffers: list[Buffer], content: Any) -> np.ndarray:
    number, code, shape = content
    dtype = np.dtype(str(code))
    if dtype.kind not in _ARRAY_KINDS:
        raise MessageError(f"a message holds an array of {dtype}")
    if any(size < 0 for size in shape):
        raise MessageError(f"a message cannot be read (an array of shape {shape})")
    return np.ndarray(tuple(shape), dtype, buffers[number])


_BUFFER_DECODERS: dict[str, Callable[[list[Buffer], Any], Any]] = {
    "array": _decode_array,
    "transposed": lambda buffers, content: _decode_array(buffers, content).T,
    "scalar": lambda buffers, content: _decode_array(buffers, content)[()],
    "bytes": lambda buffers, content: bytes(buffers[content]),
    "bytearray": lambda buffers, content: bytearray(buffers[content]),
}
_DECODERS: dict[str, Callable[[Any], Any]] = {
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "dict": dict,
    "range": lambda content: range(*content),
    "path": Path,
    "decimal": Decimal,
}


def _find_function(name: str, allow_functions: bool) -> Any:
    if not allow_functions:
        raise MessageError(f"a message holds the function {name}")
    module, _, attribute = name.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _find_class(name: str) -> Any:
    module, _, attribute = name.partition(":")
    is_known = module.split(".")[0] == "mvmodel" and module in sys.modules
    kind = vars(sys.modules[module]).get(attribute) if is_known else None
    is_data = isinstance(kind, type) and (dataclasses.is_dataclass(kind) or issubclass(kind, BaseModel))
    if kind is None or not is_data or kind.__module__ != module:
        raise MessageError(f"a message holds {name}, which is no dataclass of mvmodel")
    return kind
