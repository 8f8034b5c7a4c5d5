"""Reads the inputs of the commands: option values and settings files."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from mvmodel.errors import InputError

Model = TypeVar("Model", bound=BaseModel)


def check_inputs_exist(inputs: Mapping[str, Path | None]) -> None:
    """Raise InputError unless the files and folders of these options exist; None are left out."""
    for option, path in inputs.items():
        if path is not None and not path.exists():
            raise InputError(f"{path} does not exist; give {option} a file or folder that does")


def check_folders(folders: Mapping[str, Path]) -> None:
    """Raise InputError if the folder of one of these options is a file. It need not exist."""
    for option, folder in folders.items():
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder} is a file; give {option} a folder")


def check_adapter(option: str, folder: Path | None) -> None:
    """Raise InputError unless this option's folder is an adapter; None is left out."""
    if folder is None or (folder / "config.json").is_file():
        return
    if (folder / "adapter" / "config.json").is_file():
        raise InputError(f"{folder} holds an adapter in a subfolder; give {option} {folder / 'adapter'}")
    raise InputError(f"{folder} is no adapter, since it has no config.json; give {option} a folder that train wrote")


def config_from_options(
    config_class: type[Model], options: dict[str, Any], renamed: Mapping[str, str] | None = None
) -> Model:
    """A config from command-line options. Options that are None keep the config's defaults.

    options: by the option's name, with underscores. renamed: option -> setting, where they differ.

    Raises InputError, naming the option, if a value is not valid.
    """
    names = {option: (renamed or {}).get(option, option) for option in options}
    try:
        return config_class(**{names[option]: value for option, value in options.items() if value is not None})
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        options_in_use = [option for option, setting in names.items() if options[option] is not None]
        # A rule about several settings has no place of its own; its message names them, or the options that were given.
        settings = (
            [str(place) for place in first["loc"]]
            or [name for name in options_in_use if names[name] in message]
            or options_in_use
        )
        options_of = {setting: option for option, setting in names.items()}
        option_names = " and ".join(f"--{options_of.get(setting, setting).replace('_', '-')}" for setting in settings)
        raise InputError(f"{option_names}: {message}") from error


def check_mask_options(masks: Path | None, instances: list[str]) -> None:
    """Raise InputError unless masks are given in one of the two ways."""
    if (masks is None) == (not instances):
        raise InputError("give the masks with --masks, or those of each object with --instance WORDS=FILE, not both")


def instance_file(instance: str) -> Path:
    """The masks' file of an object given as WORDS=FILE. Raises InputError if it is not given so."""
    words, _, file = instance.partition("=")
    if not words.strip() or not file:
        raise InputError(f'--instance {instance!r} should look like "a dog=dog_masks.npz"')
    return Path(file)


def parse_assignments(model: type[BaseModel], assignments: Sequence[str], option: str = "--set") -> dict[str, Any]:
    """Settings given as NAME=VALUE, with values in YAML: true, 0.5, null, [0, 1], text.

    Raises InputError, naming the nearest setting, for a name that `model` does not know.
    """
    import yaml

    values: dict[str, Any] = {}
    for text in assignments:
        name, separator, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if not separator or not name:
            raise InputError(f"{option} {text!r} should look like NAME=VALUE")
        if name not in model.model_fields:
            nearest = difflib.get_close_matches(name, model.model_fields, n=1)
            hint = f"did you mean {nearest[0]}?" if nearest else "docs/settings.md lists all of them"
            raise InputError(f"{option}: there is no setting {name!r}; {hint}")
        try:
            values[name] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise InputError(f"{option} {text!r}: the value cannot be read; put quotes around text") from error
    return values


def read_section(path: Path, section: str, model: type[BaseModel]) -> dict[str, Any]:
    """The settings of one section in a YAML or JSON file: a settings file of the pipeline, or the section alone.

    Raises InputError naming the file and the wrong setting.
    """
    import yaml

    from mvmodel.config import parse_config
    from mvmodel.text_files import read_text

    try:
        content = yaml.safe_load(read_text(path)) or {}
    except yaml.YAMLError as error:
        raise InputError(f"{path} cannot be read as YAML ({' '.join(str(error).split())})") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} is no table of settings; write one NAME: VALUE a line")
    where = str(path)
    if section in content and isinstance(content[section], dict):
        content, where = content[section], f"{path}: {section}"
    parse_config(model, content, where)
    return content
