"""Cause, cure and example of every error code: a file for each way to meet them."""

from __future__ import annotations

from fanlight.cli.explanations.data import DATA
from fanlight.cli.explanations.layers import LAYERS
from fanlight.cli.explanations.models import MODELS
from fanlight.cli.explanations.running import RUNNING
from fanlight.cli.explanations.studio import STUDIO
from fanlight.cli.explanations.tensors import TENSORS
from fanlight.cli.explanations.text import Explanation

__all__ = ["EXPLANATIONS", "Explanation"]

EXPLANATIONS: dict[str, Explanation] = {
    **TENSORS,
    **LAYERS,
    **MODELS,
    **RUNNING,
    **DATA,
    **STUDIO,
}
