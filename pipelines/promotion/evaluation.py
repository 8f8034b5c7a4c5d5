"""How good an adapter is, before anybody may use it: a few videos on masks and prompts that it was not trained on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mvmodel.code_version import code_version
from mvmodel.files import hash_file
