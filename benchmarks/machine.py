"""What figures depend on beside the code, and how figures are told."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def describe_machine() -> dict[str, Any]:
    """Processor, threads, card, load, versions, and the commit."""
    import torch

    cpuinfo = Path("/proc/cpuinfo")
    names = [
        line.split(":", 1)[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
    ]
    git = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, cwd=Path(__file__).parent)
    return {
        "processor": names[0] if names else platform.machine(),
        "processors": os.cpu_count(),
        "card": torch.cuda.get_device_name(0) if torch.cuda.is_available() else None,
        "load_before": os.getloadavg()[0],
        "python": platform.python_version(),
        "torch": torch.__version__,
        "commit": git.stdout.strip() or None,
    }


def round_numbers(value: Any) -> Any:
    """Every number to four significant digits, however deep it lies."""
    if isinstance(value, dict):
        return {name: round_numbers(item) for name, item in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value


def format_lines(name: str, value: Any) -> list[str]:
    """Figures for people: a line a table."""
    if not isinstance(value, dict):
        return [f"{name} {value:g}" if isinstance(value, (int, float)) else f"{name} {value}"]
    flat = {key: item for key, item in value.items() if not isinstance(item, dict)}
    table = [f"{name:28} " + ", ".join(f"{k.replace('_', ' ')} {v}" for k, v in flat.items())] if flat else []
    deeper = (format_lines(f"{name} {key}", item) for key, item in value.items() if isinstance(item, dict))
    return table + [line for part in deeper for line in part]


def publish_report(report: Mapping[str, Any], tables: Mapping[str, Any], out: Path | None, as_json: bool) -> None:
    """Write `report` as JSON to `out`, if it is given, and print it: as JSON, or `tables` for people.

    tables: name -> figures, each as `format_lines` takes them.
    """
    text = json.dumps(report, indent=2)
    if out:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text + "\n")
    lines = (line for name, value in tables.items() for line in format_lines(name, value))
    print(text if as_json else "\n".join(lines))
