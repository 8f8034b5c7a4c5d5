"""What the libraries that mvmodel uses print of their own accord, and the one place where that is switched off.

Command lines call `quiet_libraries` before they import anything heavy. Programs that use mvmodel as a library keep
their own settings.
"""

from __future__ import annotations

import os
import sys
import warnings

_ENVIRONMENT = {
    "TRANSFORMERS_VERBOSITY": "error",
    "DIFFUSERS_VERBOSITY": "error",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TOKENIZERS_PARALLELISM": "false",
}
"""What transformers, diffusers and tokenizers read when they are imported. A variable that the user set is kept."""
_BARS_VARIABLE = "HF_HUB_DISABLE_PROGRESS_BARS"
"""Switches off the bars of transformers ("Loading weights") as well as those of downloads."""
_SWITCHED_OFF = "True"
"""The value that is set here; a user's own "1" means the same and stays."""
_WARNINGS: tuple[tuple[type[Warning], str, str], ...] = (
    (FutureWarning, r"", r"(diffusers|transformers|huggingface_hub|open_clip|timm|accelerate|dagster)(\..*)?$"),
    (FutureWarning, r"The configuration file of this scheduler", r""),
    (DeprecationWarning, r"", r"(diffusers|transformers|huggingface_hub|open_clip|timm|accelerate|dagster)(\..*)?$"),
    (UserWarning, r"", r"(torch|torchvision|timm|open_clip|segment_anything|accelerate)(\..*)?$"),
)
"""Category, beginning of the message and module of warnings that a user can do nothing about."""


def quiet_libraries() -> None:
    """Switch off messages, progress bars and warnings of libraries in this process."""
    for variable, value in _ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    if _BARS_VARIABLE not in os.environ:
        os.environ[_BARS_VARIABLE] = _SWITCHED_OFF
    for category, message, module in _WARNINGS:
        warnings.filterwarnings("ignore", message=message, category=category, module=module)
    for name in ("transformers", "diffusers"):  # imported before this call, they have read the environment already
        logging = sys.modules.get(f"{name}.utils.logging")
        if logging is not None:
            logging.set_verbosity_error()
            logging.disable_progress_bar()


def show_download_bars() -> None:
    """Let the Hugging Face Hub's client show how far downloads are; to be called before it is imported."""
    if os.environ.get(_BARS_VARIABLE) == _SWITCHED_OFF:
        del os.environ[_BARS_VARIABLE]
