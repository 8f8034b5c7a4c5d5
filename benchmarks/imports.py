"""What every command, code server and step pays before it does anything: CPU seconds of imports, in fresh processes."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import mvmodel

DAGSTER = "import dagster"
DEFINITIONS = "import pipelines.definitions"
HELP = "import sys; sys.argv = ['mvmodel', '--help']; from mvmodel.cli import main; main()"
CODE_VERSION = """
import time
from mvmodel.code_version import SourceTree
whole, seconds = SourceTree.code_version, 0.0
def timed(*modules, **options):
    global seconds
    began = time.process_time()
    try:
        return whole(*modules, **options)
    finally:
        seconds += time.process_time() - began
SourceTree.code_version = timed
import pipelines.definitions
print(seconds)
"""


def measure_imports(repeats: int = 3) -> dict[str, Any]:
    """CPU seconds (the least of `repeats` processes): importing Dagster alone, importing the definitions, `--help`.

    definitions_first is what the import costs when the sources have changed since the last one and are all parsed.
    code_version_seconds is part of definitions. definitions_to_dagster is a ratio, comparable between machines.
    """
    with tempfile.TemporaryDirectory() as empty:
        first = min(_cpu_seconds(DEFINITIONS, str(Path(empty) / str(number)))[0] for number in range(repeats))
    dagster = min(_cpu_seconds(DAGSTER)[0] for _ in range(repeats))
    definitions = min(_cpu_seconds(DEFINITIONS)[0] for _ in range(repeats))
    code_version = min(float(_cpu_seconds(CODE_VERSION)[1]) for _ in range(repeats))
    return {
        "dagster": dagster,
        "definitions": definitions,
        "definitions_first": first,
        "mvmodel_help": min(_cpu_seconds(HELP)[0] for _ in range(repeats)),
        "code_version_seconds": code_version,
        "code_version_share": code_version / definitions,
        "definitions_to_dagster": definitions / dagster,
    }


def _cpu_seconds(program: str, user_cache: str = "") -> tuple[float, str]:
    """User and system seconds of a Python process that runs `program`, its start included; and what it printed."""
    library = Path(mvmodel.__file__).parent.parent
    paths = os.pathsep.join(filter(None, [str(library), os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "PYTHONPATH": paths, **({"MVMODEL_HOME": user_cache} if user_cache else {})}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, process.stdout
