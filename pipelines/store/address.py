"""Addresses and options of a store. Secrets stay in environment variables: settings hold only the variables' names."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from mvmodel.errors import InputError

_SECRET = re.compile(
    r"secret|passw|token|credential|private|signature|(account|api|sas|connection)_?(key|string)", re.I
)
"""Names of options, and of parameters in an address, whose value must not be written down."""


def check_address(address: str) -> str:
    """The address, if it holds no secret. Raises ValueError otherwise, without repeating the secret."""
    if "://" not in address:
        return address
    parts = urlsplit(address)
    if parts.password or _SECRET.search(parts.query):
        raise ValueError(
            f"the address of the {parts.scheme} store holds a secret, which would be copied into Dagster's records; "
            f"write it as store_options, with {{env: NAME}} for a value in an environment variable"
        )
    return address


def check_options(options: Mapping[str, Any], where: str = "") -> None:
    """Raises ValueError if an option that is a secret is not of the form {env: NAME}; does not repeat its value."""
    for name, value in options.items():
        if is_reference(value) or value is None or isinstance(value, bool):
            continue
        if isinstance(value, Mapping) and not _SECRET.search(str(name)):
            check_options(value, f"{where}{name}.")
        elif _SECRET.search(str(name)):
            raise ValueError(
                f"{where}{name} is a secret; put it into an environment variable and write {{env: NAME}} here"
            )


def is_reference(value: Any) -> bool:
    """Whether a value is {env: NAME}, as in Dagster's own configuration."""
    return isinstance(value, Mapping) and set(value) == {"env"} and isinstance(value["env"], str)


def resolve_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options with the values of environment variables. Raises InputError naming a variable that is not set."""
    resolved: dict[str, Any] = {}
    for name, value in options.items():
        if is_reference(value):
            if value["env"] not in os.environ:
                raise InputError(
                    f"store_options: {name} is in the environment variable {value['env']}, which is not set"
                )
            resolved[name] = os.environ[value["env"]]
        else:
            resolved[name] = resolve_options(value) if isinstance(value, Mapping) else value
    return resolved
