"""Which motions need no run, because everything in them is up to date. A process of its own finds that out.

It calls the functions of the assets, which imports PyTorch; the process that evaluates sensors should not keep that in
its memory, nor wait for it longer than Dagster lets a sensor take.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections.abc import Sequence

import dagster as dg
from dagster._core.instance.ref import InstanceRef
from dagster_shared.serdes import deserialize_value, serialize_value

ANSWER_SECONDS = 40.0
"""Longest wait for the answers. Dagster gives a sensor up after 60 seconds."""


def find_finished_motions(instance: dg.DagsterInstance, motions: Sequence[str]) -> dict[str, bool]:
    """Motion -> whether running it would compute and record nothing new.

    Motions that could not be looked at in time are left out. If there was no time for any, all count as unfinished.
    """
    unfinished = dict.fromkeys(motions, False)
    if not instance.is_persistent:  # in memory, which no other process can read
        return unfinished
    question = json.dumps({"instance": serialize_value(instance.get_ref()), "motions": list(motions)})
    command = [sys.executable, "-c", f"import sys; from {__name__} import answer; answer(sys.stdin.read())"]
    try:
        output = subprocess.run(command, input=question.encode(), stdout=subprocess.PIPE, timeout=ANSWER_SECONDS).stdout
    except subprocess.TimeoutExpired as error:
        output = error.stdout or b""
    lines = output.decode().split("\n")[:-1]  # what follows the last line break may be the beginning of a line
    return dict(map(json.loads, lines)) or unfinished


def answer(question: str) -> None:
    """Print a JSON line for each motion of a question: its name, and whether it is finished."""
    from pipelines import jobs
    from pipelines.definitions import build_defs, build_resources
    from pipelines.driver.up_to_date import find_finished_phase

    asked = json.loads(question)
    defs, resources = build_defs(), build_resources()
    with dg.DagsterInstance.from_ref(deserialize_value(asked["instance"], InstanceRef)) as instance:
        for name in asked["motions"]:
            with contextlib.redirect_stdout(sys.stderr):  # standard output is for answers only
                phase = find_finished_phase(defs, instance, resources, jobs.motion_job.name, name)
            print(json.dumps([name, phase is not None]), flush=True)
