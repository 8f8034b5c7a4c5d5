"""Tries work once more with less memory, after an error for lack of it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

from mvmodel.errors import InputError
from mvmodel.packs.memory import is_out_of_memory

ResultT = TypeVar("ResultT")


def retry_with_less_memory(name: str, work: Callable[[], ResultT], step_down: Callable[[], str | None]) -> ResultT:
    """Do `work`; if memory runs out, call `step_down`, say so on standard error, and do it once more.

    name: Of the work, for messages. step_down: As `Backend.step_down_memory`.

    Raises InputError if memory runs out again, or if nothing can be done to save more.
    """
    reason = ""
    for attempt in range(2):
        try:
            return work()
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            reason = _first_line(error)
        # outside the handler, because the error's traceback holds the tensors of the failed attempt
        change = None if attempt else step_down()
        if change is None:
            break
        print(f"{name}: memory ran out; trying once more with {change}", file=sys.stderr, flush=True)
    raise InputError(
        f"{name}: memory ran out ({reason}); use a smaller size or fewer frames, or a device with more memory"
    )


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
