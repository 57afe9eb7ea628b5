"""Importers of the ops of com.microsoft that real exports have."""

from __future__ import annotations

from fanlight.formats.emitter import Tensor
from fanlight.formats.onnx import quantized
from fanlight.formats.onnx.call import HANDLERS, Call, importer
from fanlight.formats.onnx.neural import matmul_of


@importer("com.microsoft.FusedMatMul", "com.microsoft.TransposeMatMul")
def fused_matmul(call: Call) -> Tensor:
    if call.flag("transBatchA") or call.flag("transBatchB"):
        raise call.refuse("transposed batches")
    y = matmul_of(call, call.f32(0), call.f32(1), part="product",
                  transpose_a=call.flag("transA"), transpose_b=call.flag("transB"))  # fmt: skip
    alpha = call.real("alpha", 1.0)
    return y if alpha == 1.0 else call.op("mul", y, call.const(alpha))


@importer("com.microsoft.Gelu")
def gelu(call: Call) -> Tensor:
    return call.op("gelu", call.f32())


@importer("com.microsoft.QuickGelu")
def quick_gelu(call: Call) -> Tensor:
    x = call.f32()
    gate = call.op("mul", x, call.const(call.real("alpha", 1.702)), part="scaled")
    return call.op("mul", x, call.op("sigmoid", gate, part="gate"))


@importer("com.microsoft.BiasGelu")
def bias_gelu(call: Call) -> Tensor:
    return call.op("gelu", call.op("add", call.f32(0), call.f32(1), part="biased"))


@importer("com.microsoft.FastGelu")
def fast_gelu(call: Call) -> Tensor:
    x = call.f32()
    x = call.op("add", x, call.f32(1), part="biased") if call.has(1) else x
    return call.op("gelu", x, approximate=True)


@importer("com.microsoft.SkipLayerNormalization", "com.microsoft.SkipSimplifiedLayerNormalization")
def skip_layer_normalization(call: Call) -> tuple[Tensor | None, ...]:
    """LayerNormalization of x + skip + bias; the sum is its fourth output."""
    simple = "Simplified" in call.node.op
    total = call.op("add", call.f32(0), call.f32(1), part="sum")
    at = 3 if simple else 4
    if call.has(at):
        total = call.op("add", total, call.f32(at), part="sum_biased")
    epsilon = call.const(call.real("epsilon", 1e-12))
    centred = total
    if not simple:
        mean = call.op("mean", total, part="mean", axes=(-1,), keepdims=True)
        centred = call.op("sub", total, mean, part="centred")
    variance = call.op("mean", call.op("square", centred, part="squares"), part="variance",
                       axes=(-1,), keepdims=True)  # fmt: skip
    inverse = call.op("rsqrt", call.op("add", variance, epsilon, part="stable"), part="inverse")
    y = call.op("mul", call.op("mul", centred, inverse, part="standard"), call.f32(2),
                part="scaled")  # fmt: skip
    if not simple and call.has(3):
        y = call.op("add", y, call.f32(3))
    return y, None, None, total


@importer("com.microsoft.SimplifiedLayerNormalization", "SimplifiedLayerNormalization")
def simplified_layer_normalization(call: Call) -> Tensor:
    return HANDLERS["RMSNormalization"](call)


@importer("com.microsoft.LayerNormalization")
def layer_normalization(call: Call) -> tuple[Tensor, ...]:
    return HANDLERS["LayerNormalization"](call)


def _qlinear(call: Call, op: str) -> Tensor:
    """a, its scale, its zero point, b, ..., the result's scale and zero point."""
    parts = []
    for i in (0, 3):
        x = call.f32(i)
        if call.has(i + 2):
            x = call.op("sub", x, call.reshape(call.f32(i + 2), (), "zero"), part="centred")
        parts.append(call.op("mul", x, call.reshape(call.f32(i + 1), (), "scale"), part="real"))
    y = call.op("div", call.op(op, *parts, part="result"), call.f32(6), part="steps")
    kind = call.kind(0)
    call.made_kinds[0] = kind
    if call.has(7):
        y = call.op("add", call.op("round", y, part="near"), call.f32(7), part="moved")
    return quantized.whole_of(call, y, kind, "bytes")


@importer("com.microsoft.QLinearAdd")
def qlinear_add(call: Call) -> Tensor:
    return _qlinear(call, "add")


@importer("com.microsoft.QLinearMul")
def qlinear_mul(call: Call) -> Tensor:
    return _qlinear(call, "mul")


importer("com.microsoft.QuantizeLinear")(HANDLERS["QuantizeLinear"])
importer("com.microsoft.DequantizeLinear")(HANDLERS["DequantizeLinear"])


@importer("com.microsoft.FusedConv")
def fused_conv(call: Call) -> Tensor:
    y: Tensor = HANDLERS["Conv"](call)
    if len(call.inputs) > 3 and call.inputs[3] is not None:
        y = call.op("add", y, call.x(3), part="summed")
    kind = call.text("activation")
    values = call.items("activation_params") or []
    if kind in ("Relu", "Sigmoid", "Tanh"):
        return call.op(kind.lower(), y, part="activated")
    if kind == "LeakyRelu" and values:
        return call.op("leaky_relu", y, part="activated", alpha=float(values[0]))
    if kind == "Clip" and len(values) == 2:
        return call.op("clip", y, part="activated", lo=float(values[0]), hi=float(values[1]))
    raise call.refuse("unknown activation", received=kind[:40])
