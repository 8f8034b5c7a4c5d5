"""Any diffusers scheduler on a pack's own noise schedule."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import diffusers

from mvmodel.errors import InputError

if TYPE_CHECKING:
    from mvmodel.packs import Pack

SCHEDULERS = {
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


def build_scheduler(pack: Pack, name: str) -> Any:
    """A scheduler with the pack's noise schedule. name: a key of `SCHEDULERS`, or the name of a diffusers class.

    Raises InputError for a name that diffusers does not have, and for a scheduler that does not support the pack's
    prediction type or noise schedule.
    """
    pack_config = pack.scheduler().config
    scheduler_class: Any = getattr(diffusers, SCHEDULERS.get(name, name), None)
    if not (isinstance(scheduler_class, type) and issubclass(scheduler_class, diffusers.SchedulerMixin)):
        raise InputError(
            f"there is no scheduler {name!r}; use one of {', '.join(SCHEDULERS)} or a diffusers class name"
        )
    parameters = inspect.signature(scheduler_class.__init__).parameters  # type: ignore[misc]
    if "prediction_type" not in parameters:
        raise InputError(
            f"scheduler {name} does not predict {pack_config.prediction_type}, as pack {pack.info.name} does; use ddim "
            f"or dpm++"
        )
    if getattr(pack_config, "rescale_betas_zero_snr", False) and "rescale_betas_zero_snr" not in parameters:
        raise InputError(
            f"scheduler {name} cannot begin from pure noise, as pack {pack.info.name} was trained to "
            f"(rescale_betas_zero_snr); use ddim, dpm++, unipc or euler"
        )
    # PNDM's Runge-Kutta warm-up takes more steps than a fast sampler has; Stable Diffusion's configs skip it too.
    options = {"skip_prk_steps": True} if "skip_prk_steps" in parameters else {}
    return scheduler_class.from_config(pack_config, **options)  # type: ignore[attr-defined]
