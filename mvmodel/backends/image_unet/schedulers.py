"""Any diffusers scheduler on a pack's own noise schedule."""

from __future__ import annotations

import inspect
from typing import Any

from mvmodel.errors import InputError

SOLVERS = {
    "ddim": "DDIMScheduler",
    "ddpm": "DDPMScheduler",
    "dpm++": "DPMSolverMultistepScheduler",
    "dpm++2s": "DPMSolverSinglestepScheduler",
    "unipc": "UniPCMultistepScheduler",
    "deis": "DEISMultistepScheduler",
    "euler": "EulerDiscreteScheduler",
    "euler_a": "EulerAncestralDiscreteScheduler",
    "heun": "HeunDiscreteScheduler",
    "pndm": "PNDMScheduler",
}
"""Short name -> diffusers class."""


def build_scheduler(pack: Any, name: str) -> Any:
    """The pack's noise schedule under the solver `name` (a key of `SOLVERS`, or a diffusers scheduler's class name).

    Raises InputError for a name that diffusers does not have, and for a solver that cannot run this pack: one without
    the pack's prediction type, or without its noise schedule.
    """
    import diffusers

    own = pack.scheduler().config
    found = getattr(diffusers, SOLVERS.get(name, name), None)
    if not (isinstance(found, type) and issubclass(found, diffusers.SchedulerMixin)):
        raise InputError(f"there is no scheduler {name!r}; use one of {', '.join(SOLVERS)} or a diffusers class name")
    solver: Any = found
    known = inspect.signature(solver.__init__).parameters
    if "prediction_type" not in known:
        raise InputError(
            f"scheduler {name} does not predict {own.prediction_type}, as pack {pack.info.name} does; use ddim or dpm++"
        )
    if getattr(own, "rescale_betas_zero_snr", False) and "rescale_betas_zero_snr" not in known:
        raise InputError(
            f"scheduler {name} cannot begin from pure noise, as pack {pack.info.name} was trained to "
            f"(rescale_betas_zero_snr); use ddim, dpm++, unipc or euler"
        )
    # PNDM's own warm-up by Runge-Kutta asks for more steps than a few; Stable Diffusion's configs skip it too.
    options = {"skip_prk_steps": True} if "skip_prk_steps" in known else {}
    built = solver.from_config(own, **options)
    return built
