"""`mvmodel doctor`: check this machine."""

from __future__ import annotations

from mvmodel.cli.options import AsJson
from mvmodel.cli.output import print_findings


def doctor(json: AsJson = False) -> None:
    """Check this machine and print how to fix what is missing. Exits with code 1 if something required is missing."""
    from mvmodel.doctor import run_checks

    findings = run_checks()
    print_findings(findings, json)
