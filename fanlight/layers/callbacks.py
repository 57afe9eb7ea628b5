"""What happens between the steps of training: `fl.callbacks`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fanlight.layers.callback import Callback, CallbackList, History
from fanlight.layers.monitors import (
    EarlyStopping,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    TerminateOnNaN,
)
from fanlight.layers.nearest import missing
from fanlight.layers.recorders import (
    BackupAndRestore,
    CSVLogger,
    LambdaCallback,
    SwapEMAWeights,
    TensorBoard,
)

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "CallbackList",
    "EarlyStopping",
    "History",
    "LambdaCallback",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ReduceLROnPlateau",
    "SwapEMAWeights",
    "TensorBoard",
    "TerminateOnNaN",
]

if not TYPE_CHECKING:  # a name that is not there is an error to mypy
    __getattr__ = missing("fl.callbacks", __all__)


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)
