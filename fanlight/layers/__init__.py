"""Layers by Keras's names, arguments and defaults: `fl.layers`."""

from __future__ import annotations

from fanlight.layers.attention import (
    AdditiveAttention,
    Attention,
    GroupQueryAttention,
    MultiHeadAttention,
)
from fanlight.layers.cells import GRUCell, LSTMCell, SimpleRNNCell
from fanlight.layers.conv_recurrent import ConvLSTM1D, ConvLSTM2D, ConvLSTM3D
from fanlight.layers.core import Activation, Dense, Flatten
from fanlight.layers.layer import Layer
from fanlight.layers.model import Input, InputLayer
from fanlight.layers.recurrent import GRU, LSTM, RNN, SimpleRNN, StackedRNNCells
from fanlight.layers.wrappers import Bidirectional, TimeDistributed

__all__ = [
    "Activation",
    "AdditiveAttention",
    "Attention",
    "Bidirectional",
    "ConvLSTM1D",
    "ConvLSTM2D",
    "ConvLSTM3D",
    "Dense",
    "Flatten",
    "GRU",
    "GRUCell",
    "GroupQueryAttention",
    "Input",
    "InputLayer",
    "LSTM",
    "LSTMCell",
    "Layer",
    "MultiHeadAttention",
    "RNN",
    "SimpleRNN",
    "SimpleRNNCell",
    "StackedRNNCells",
    "TimeDistributed",
]


def __dir__() -> list[str]:
    """The public names only, for completion."""
    return sorted(__all__)
