"""Activation functions, element by element; float32 except relu and relu6."""

from __future__ import annotations

from collections.abc import Mapping
from math import pi, sqrt
from typing import Any

from fanlight.ops import check, functions
from fanlight.ops import scalar as sc
from fanlight.ops.backward import Step
from fanlight.ops.check import NUMBERS
from fanlight.ops.pointwise import EXACT, pointwise
from fanlight.ops.row import Attr, Row

# Klambauer et al. 2017, "Self-normalizing neural networks", equation 14.
SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


def activation(name: str, scalar: Any, doc: str, **options: Any) -> Row:
    """y = f(x)."""
    return pointwise(name, 1, scalar, family="activation", doc=doc, **options)


def _numbers(*names: str) -> Any:
    def check_attrs(op: str, attrs: Mapping[str, Any]) -> None:
        for name in names:
            check.number(op, attrs, name)

    return check_attrs


def _elu(x: sc.Expr, *, alpha: float) -> sc.Expr:
    below = functions.expm1(x)
    return sc.where(x < 0, below if alpha == 1 else float(alpha) * below, x)


def _leaky_relu(x: sc.Expr, *, alpha: float) -> sc.Expr:
    return sc.where(x < 0, float(alpha) * x, x)


def _hard_sigmoid(x: sc.Expr, *, alpha: float, beta: float) -> sc.Expr:
    return sc.clip(x * float(alpha) + float(beta), 0, 1)


def _gelu(x: sc.Expr, *, approximate: bool) -> sc.Expr:
    if approximate:
        return 0.5 * x * (1 + functions.tanh(sqrt(2 / pi) * (x + 0.044715 * (x * x * x))))
    return 0.5 * x * (1 + functions.erf(x * sqrt(0.5)))


# Derivatives at kinks are those of TensorFlow: none at or below 0, for relu6 none at or above 6.
# They read the result: what it was made of need not be kept for them.
activation(
    "relu",
    lambda x: sc.maximum(x, 0),
    "max(x, 0). Source: tf.nn.relu.",
    dtypes=NUMBERS,
    tol=EXACT,
    partials=lambda x, y: [sc.where(0 < y, 1.0, 0.0)],
)
activation(
    "relu6",
    lambda x: sc.clip(x, 0, 6),
    "min(max(x, 0), 6). Source: tf.nn.relu6.",
    dtypes=NUMBERS,
    tol=EXACT,
    partials=lambda x, y: [sc.where(sc.logical_and(0 < y, y < 6), 1.0, 0.0)],
)
activation(
    "leaky_relu",
    _leaky_relu,
    "x for x >= 0, alpha * x below. Source: tf.nn.leaky_relu.",
    attrs={"alpha": Attr(0.2, "slope below 0 (TensorFlow's default; Keras has 0.3)")},
    check_attrs=_numbers("alpha"),
    partials=lambda x, y, alpha: [sc.where(0 < x, 1.0, float(alpha))],
)
pointwise(
    "prelu",
    2,
    lambda x, alpha: sc.where(x < 0, alpha * x, x),
    family="activation",
    doc="x for x >= 0, alpha * x below, for inputs (x, alpha) that broadcast. "
    "Source: He et al. 2015, equation 1.",
)


# By way of sigmoid itself: its own derivative does not overflow, that of its body does.


def _softplus_backward(step: Step) -> list[Any]:
    s = step.apply("sigmoid", step.inputs[0])
    return [step.fused(lambda g, s: g * s, step.g, s)]


def _log_sigmoid_backward(step: Step) -> list[Any]:
    s = step.apply("sigmoid", step.fused(lambda x: -x, step.inputs[0]))
    return [step.fused(lambda g, s: g * s, step.g, s)]


def _swish_backward(step: Step) -> list[Any]:
    (x,), g = step.inputs, step.g
    s = step.apply("sigmoid", x)
    # Beyond the reach of exp, 0 times infinity is 0.
    y = step.fused(lambda x, s: sc.where(sc.equal(s, 0.0), 0.0, x * s), x, s)
    return [step.fused(lambda g, s, y: g * (s + y * (1 - s)), g, s, y)]


def _gelu_backward(step: Step) -> list[Any]:
    """By way of the ops themselves: their derivatives are exact, those of their bodies are not."""
    (x,) = step.inputs
    if step.attrs["approximate"]:
        inner = step.fused(lambda x: sqrt(2 / pi) * (x + 0.044715 * (x * x * x)), x)
        t = step.apply("tanh", inner)
        return [step.fused(_gelu_by_tanh, x, t, step.g)]
    e = step.apply("erf", step.fused(lambda x: x * sqrt(0.5), x))
    return [step.fused(_gelu_by_erf, x, e, step.g)]


def _gelu_by_tanh(x: sc.Expr, t: sc.Expr, g: sc.Expr) -> sc.Expr:
    slope = sqrt(2 / pi) * (1 + 0.134145 * (x * x))
    rest = 1 - t * t  # where it is 0, x or slope may be infinite
    bend = sc.where(sc.equal(rest, 0.0), 0.0, 0.5 * x * (rest * slope))
    return g * (0.5 * (1 + t) + bend)


def _gelu_by_erf(x: sc.Expr, e: sc.Expr, g: sc.Expr) -> sc.Expr:
    return g * (0.5 * (1 + e) + x * (sc.exp(-0.5 * (x * x)) * (1 / sqrt(2 * pi))))


activation(
    "elu",
    _elu,
    "x for x >= 0, alpha * (exp(x) - 1) below. Source: Clevert et al. 2015, equation 15.",
    attrs={"alpha": Attr(1.0, "minus the value at -infinity")},
    check_attrs=_numbers("alpha"),
    tol={"float32": 2e-6},
)
activation(
    "selu",
    lambda x: SELU_SCALE * sc.where(x < 0, SELU_ALPHA * functions.expm1(x), x),
    "scale * elu(x) with alpha = 1.67326324 and scale = 1.05070099. "
    "Source: Klambauer et al. 2017, equation 14.",
    tol={"float32": 2e-6},
)
activation(
    "sigmoid",
    functions.sigmoid,
    "1 / (1 + exp(-x)). Source: tf.math.sigmoid.",
    partials=lambda x, y: [y * (1 - y)],
)
activation(
    "hard_sigmoid",
    _hard_sigmoid,
    "min(max(alpha * x + beta, 0), 1). Source: ONNX HardSigmoid.",
    attrs={
        "alpha": Attr(1 / 6, "slope (1/6: Keras 3, MobileNet v3; Keras 2 has 0.2)"),
        "beta": Attr(0.5, "value at 0"),
    },
    check_attrs=_numbers("alpha", "beta"),
)
activation(
    "tanh",
    functions.tanh,
    "Hyperbolic tangent; in [-1, 1]. Source: numpy.tanh.",
    partials=lambda x, y: [1 - y * y],
)
activation(
    "softplus",
    functions.softplus,
    "log(1 + exp(x)), as max(x, 0) + log1p(exp(-|x|)). Source: tf.math.softplus.",
    vjp=_softplus_backward,
    tol={"float32": 2e-6},
)
activation(
    "log_sigmoid",
    lambda x: -functions.softplus(-x),
    "log(sigmoid(x)), as -softplus(-x). Source: tf.math.log_sigmoid.",
    vjp=_log_sigmoid_backward,
    tol={"float32": 2e-6},
)
activation(
    "softsign",
    lambda x: x / (1 + sc.absolute(x)),
    "x / (1 + |x|). Source: tf.nn.softsign.",
    nan="propagates; infinities give NaN, too",
    partials=lambda x, y: [1 / ((1 + sc.absolute(x)) * (1 + sc.absolute(x)))],
)
activation(
    "swish",
    lambda x: x / (1 + sc.exp(-x)),
    "x * sigmoid(x), also called SiLU. Source: Ramachandran et al. 2017.",
    nan="propagates; -infinity gives NaN, too",
    vjp=_swish_backward,
)
activation(
    "hard_swish",
    lambda x: x * sc.clip(x + 3, 0, 6) / 6,
    "x * min(max(x + 3, 0), 6) / 6. Source: Howard et al. 2019 (MobileNet v3), section 5.2.",
    nan="propagates; -infinity gives NaN, too",
)
activation(
    "mish",
    functions.mish,
    "x * tanh(softplus(x)), as x * n / (n + 2) with n = e^x (e^x + 2). Source: Misra 2019.",
    tol={"float32": 2e-6},
    nan="propagates; -infinity gives NaN, too",
)
activation(
    "gelu",
    _gelu,
    "x * (1 + erf(x / sqrt(2))) / 2; approximate: "
    "x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) / 2. Source: Hendrycks & Gimpel 2016.",
    attrs={"approximate": Attr(False, "whether to use the tanh form")},
    check_attrs=lambda op, attrs: check.flag(op, attrs, "approximate"),
    vjp=_gelu_backward,
    tol={"float32": 2e-6},
    nan="propagates; -infinity gives NaN, too",
)
