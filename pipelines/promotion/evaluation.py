"""How good an adapter is, before anybody may use it: a few videos on masks and prompts that it was not trained on."""

from __future__ import annotations
