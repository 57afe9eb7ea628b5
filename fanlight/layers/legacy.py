"""Arguments of Keras 2 and TF.js in the words of Keras 3."""

from __future__ import annotations

from typing import Any

_RECURRENT = ("GRU", "GRUCell", "LSTM", "LSTMCell", "ConvLSTM2D", "ConvLSTM2DCell")
_ACTIVATIONS = ("activation", "recurrent_activation")


def renewed(kind: str, own: dict[str, Any], old: bool, tfjs: bool) -> dict[str, Any]:
    """The arguments of a layer as Keras 3 names and means them.

    Args:
        kind: class of the layer.
        old: whether Keras 2 or TF.js wrote them: their hard_sigmoid is another function.
        tfjs: whether it was TF.js, whose GRU has no reset_after.
    """
    own = dict(own)
    if kind == "BatchNormalization" and isinstance(own.get("axis"), list) and own["axis"]:
        own["axis"] = own["axis"][0]
    if kind == "LeakyReLU" and "alpha" in own:
        own.setdefault("negative_slope", own.pop("alpha"))
    if kind == "Embedding" and old:
        own.pop("batch_input_shape", None)
    if kind in ("GRU", "GRUCell") and old and "reset_after" not in own:
        own["reset_after"] = False
    for key in ("implementation", "time_major"):
        own.pop(key, None)
    if kind.startswith(("SeparableConv", "DepthwiseConv")):
        # Keras 2 writes those of the convolution that these are not, too.
        for key in ("kernel_initializer", "kernel_regularizer", "kernel_constraint", "filters"):
            if key != "filters" or kind.startswith("Depthwise"):
                own.pop(key, None)
    if kind == "MultiHeadAttention":
        for key in ("query_shape", "key_shape", "value_shape"):
            own.pop(key, None)
    if not old:
        return own
    if tfjs and kind in _RECURRENT and own.get("unit_forget_bias") is None:
        own.pop("unit_forget_bias", None)
    if tfjs and kind in (*_RECURRENT, "SimpleRNN", "SimpleRNNCell"):
        own = {k: v for k, v in own.items() if v is not None or k not in ("dropout",)}
    for key in _ACTIVATIONS:
        if own.get(key) in ("hard_sigmoid", "hardSigmoid"):
            own[key] = "hard_sigmoid_2"
    for key, value in own.items():
        if key.endswith("_initializer") and isinstance(value, dict):
            own[key] = _initializer(value)
        elif key.endswith(("_regularizer", "_constraint")) and value == {}:
            own[key] = None
    return own


def _initializer(value: dict[str, Any]) -> dict[str, Any]:
    """TF.js and Keras 2 call a normal distribution that is cut off a normal one."""
    inner = value.get("config")
    if value.get("class_name") == "VarianceScaling" and isinstance(inner, dict):
        inner = dict(inner)
        if inner.get("distribution") == "normal":
            inner["distribution"] = "truncated_normal"
        if isinstance(inner.get("mode"), str):
            inner["mode"] = inner["mode"].replace("fanAvg", "fan_avg")
        return {**value, "config": inner}
    return value
