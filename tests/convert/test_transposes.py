"""Models of [N, C, H, W] keep hardly a transpose, whatever they become; and mean the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.graph import Graph, evaluate
from fanlight.passes import fold, optimize

onnx = pytest.importorskip("onnx", reason="the oracle, onnx, is not installed")
from onnx import helper, numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

RNG = np.random.default_rng(11)


class Net:
    """An ONNX model being written, one image [1, 8, 6, 6] wide."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.arrays: list[Any] = []

    def add(self, op: str, *inputs: Any, **attrs: Any) -> str:
        """A node; arrays among its inputs become initializers."""
        names = [x if isinstance(x, str) else self.array(x) for x in inputs]
        out = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, names, [out], name=out, **attrs))
        return out

    def array(self, values: Any) -> str:
        name = f"w{len(self.arrays)}"
        self.arrays.append(numpy_helper.from_array(np.asarray(values), name))
        return name

    def w(self, *shape: int) -> np.ndarray:
        return RNG.normal(size=shape).astype(np.float32) * 0.5

    def conv(self, x: str, cin: int = 8, cout: int = 8, size: int = 3) -> str:
        pad = size // 2
        return self.add("Conv", x, self.w(cout, cin, size, size), self.w(cout), pads=[pad] * 4)

    def model(self, y: str) -> Any:
        info = helper.make_tensor_value_info
        graph = helper.make_graph(
            self.nodes, "blocks", [info("x", 1, [1, 8, 6, 6])], [info(y, 1, None)], self.arrays
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])


def ints(*values: int) -> np.ndarray:
    return np.asarray(values, np.int64)


def group_norm(n: Net, x: str) -> str:
    """As PyTorch's exporter spells it."""
    flat = n.add("Reshape", x, ints(0, 4, -1))
    flat = n.add("InstanceNormalization", flat, np.ones(4, "f4"), np.zeros(4, "f4"))
    back = n.add("Reshape", flat, n.add("Shape", x))
    return n.add("Add", n.add("Mul", back, n.w(8, 1, 1)), n.w(8, 1, 1))


def silu(n: Net, x: str) -> str:
    return n.add("Mul", x, n.add("Sigmoid", x))


def instance_norm(n: Net, x: str) -> str:
    return n.add("Relu", n.add("InstanceNormalization", x, n.w(8), n.w(8)))


def layer_norm(n: Net, x: str) -> str:
    """Of ConvNeXt."""
    turned = n.add("Transpose", x, perm=[0, 2, 3, 1])
    made = n.add("LayerNormalization", turned, n.w(8), n.w(8), axis=-1)
    made = n.add("Relu", n.add("MatMul", made, n.w(8, 16)))
    made = n.add("Mul", n.add("MatMul", made, n.w(16, 8)), n.w(8))
    return n.add("Add", x, n.add("Transpose", made, perm=[0, 3, 1, 2]))


def channel_norm(n: Net, x: str) -> str:
    """A layer norm over the channels, as many spell it for [N, C, H, W]."""
    mean = n.add("ReduceMean", x, ints(1), keepdims=1)
    apart = n.add("Sub", x, mean)
    var = n.add("ReduceMean", n.add("Mul", apart, apart), ints(1), keepdims=1)
    root = n.add("Sqrt", n.add("Add", var, np.float32(1e-5)))
    return n.add("Mul", n.add("Div", apart, root), n.w(1, 8, 1, 1))


def squeeze_excite(n: Net, x: str) -> str:
    mean = n.add("ReduceMean", x, ints(2, 3), keepdims=1)
    small = n.add("Relu", n.conv(mean, 8, 2, 1))
    return n.add("Mul", x, n.add("Sigmoid", n.conv(small, 2, 8, 1)))


def squeeze_excite_flat(n: Net, x: str) -> str:
    """With products instead of convolutions."""
    flat = n.add("Flatten", n.add("GlobalAveragePool", x), axis=1)
    gate = n.add("Sigmoid", n.add("Gemm", flat, n.w(8, 8), n.w(8)))
    return n.add("Mul", x, n.add("Reshape", gate, ints(1, 8, 1, 1)))


def pixel_shuffle(n: Net, x: str) -> str:
    wide = n.add("DepthToSpace", n.conv(x, 8, 32), blocksize=2, mode="CRD")
    return n.add("AveragePool", wide, kernel_shape=[2, 2], strides=[2, 2])


def depth_to_space(n: Net, x: str) -> str:
    wide = n.add("DepthToSpace", n.conv(x, 8, 32), blocksize=2, mode="DCR")
    return n.add("MaxPool", wide, kernel_shape=[2, 2], strides=[2, 2])


def upsample(n: Net, x: str) -> str:
    wide = n.add("Resize", x, "", np.asarray([1, 1, 2, 2], "f4"), mode="nearest",
                 coordinate_transformation_mode="asymmetric", nearest_mode="floor")  # fmt: skip
    skip = n.add("Concat", wide, n.add("Sigmoid", wide), axis=1)
    return n.add("MaxPool", n.conv(skip, 16, 8), kernel_shape=[2, 2], strides=[2, 2])


def channel_shuffle(n: Net, x: str) -> str:
    wide = n.add("Reshape", x, ints(1, 2, 4, 6, 6))
    return n.add("Reshape", n.add("Transpose", wide, perm=[0, 2, 1, 3, 4]), ints(1, 8, 6, 6))


def attention(n: Net, x: str) -> str:
    """Of a UNet: the pixels are a sequence."""
    rows = n.add("Transpose", n.add("Reshape", x, ints(1, 8, 36)), perm=[0, 2, 1])
    q, k, v = (n.add("MatMul", rows, n.w(8, 8)) for _ in range(3))
    score = n.add("Softmax", n.add("MatMul", q, n.add("Transpose", k, perm=[0, 2, 1])), axis=-1)
    made = n.add("Transpose", n.add("MatMul", score, v), perm=[0, 2, 1])
    return n.add("Add", x, n.add("Reshape", made, ints(1, 8, 6, 6)))


def spatial_softmax(n: Net, x: str) -> str:
    flat = n.add("Softmax", n.add("Reshape", x, ints(1, 8, 36)), axis=2)
    return n.add("Mul", x, n.add("Reshape", flat, ints(1, 8, 6, 6)))


def reflect(n: Net, x: str) -> str:
    padded = n.add("Pad", x, ints(0, 0, 1, 1, 0, 0, 1, 1), mode="reflect")
    return n.add("Conv", padded, n.w(8, 8, 3, 3), n.w(8))


def prelu(n: Net, x: str) -> str:
    return n.add("PRelu", x, n.w(8, 1, 1))


def split(n: Net, x: str) -> str:
    """Half of the channels take another way."""
    a = n.add("Slice", x, ints(0), ints(4), ints(1))
    b = n.add("Slice", x, ints(4), ints(8), ints(1))
    return n.add("Concat", n.conv(n.add("Tanh", a), 4, 4), b, axis=1)


# Block between two convolutions -> transposes left in a graph of [N, H, W, C] and in ONNX. The
# input and the output are images of [N, C, H, W]: two belong to them where the order is ours. What
# is shuffled takes one more, and so does the transposed factor of an attention's first product.
BLOCKS: dict[Callable[[Net, str], str], tuple[int, int]] = {
    group_norm: (2, 0),
    silu: (2, 0),
    instance_norm: (2, 0),
    layer_norm: (2, 2),
    channel_norm: (2, 0),
    squeeze_excite: (2, 0),
    squeeze_excite_flat: (2, 0),
    pixel_shuffle: (3, 2),
    depth_to_space: (2, 0),
    upsample: (2, 0),
    channel_shuffle: (3, 2),
    attention: (3, 3),
    spatial_softmax: (4, 0),
    reflect: (2, 0),
    prelu: (2, 0),
    split: (2, 0),
}


def transposes(graph: Graph) -> int:
    return sum(n.op == "transpose" for n in graph.nodes)


def in_tfjs(folder: Path) -> int:
    described = json.loads((folder / "model.json").read_text())
    return sum(n["op"] == "Transpose" for n in described["modelTopology"]["node"])


def in_onnx(path: Path) -> int:
    return sum(n.op_type == "Transpose" for n in onnx.load(path).graph.node)


def close(a: Any, b: Any) -> bool:
    (x,), (y,) = ([np.asarray(v) for v in r.values()] for r in (a, b))
    return x.shape == y.shape and bool(np.abs(x - y).max() <= 2e-5 * max(1.0, np.abs(y).max()))


@pytest.mark.parametrize("block", BLOCKS, ids=lambda b: b.__name__)
def test_a_block_of_onnx(block: Callable[[Net, str], str], tmp_path: Path) -> None:
    net = Net()
    model = net.model(net.conv(block(net, net.conv("x"))))
    onnx.save(model, tmp_path / "m.onnx")
    graph = fl.load(tmp_path / "m.onnx").graph
    ours, theirs = BLOCKS[block]
    assert transposes(fold(graph)) == ours
    assert transposes(optimize(graph)) == ours
    x = RNG.normal(size=(1, 8, 6, 6)).astype(np.float32)
    wanted = {"y": ReferenceEvaluator(model).run(None, {"x": x})[0]}
    assert close(evaluate(fold(graph), {"x": x}), wanted)
    assert close(evaluate(optimize(graph), {"x": x}), wanted)
    fl.convert(tmp_path / "m.onnx", tmp_path / "web")
    assert in_tfjs(tmp_path / "web") == ours
    fl.convert(tmp_path / "m.onnx", tmp_path / "again.onnx")
    assert in_onnx(tmp_path / "again.onnx") == theirs
    again = ReferenceEvaluator(str(tmp_path / "again.onnx"))
    assert close({"y": again.run(None, {"x": x})[0]}, wanted)


def test_a_unet_of_torch(tmp_path: Path) -> None:
    """Group norm, SiLU, skips and upsampling; before this pass knew of norms, 27 were left."""
    torch = pytest.importorskip("torch", reason="the oracle, torch, is not installed")
    nn = torch.nn

    def twice(i: int, o: int) -> Any:
        return nn.Sequential(
            nn.Conv2d(i, o, 3, padding=1), nn.GroupNorm(4, o), nn.SiLU(),
            nn.Conv2d(o, o, 3, padding=1, padding_mode="reflect"),
            nn.InstanceNorm2d(o, affine=True), nn.LeakyReLU(0.2),
        )  # fmt: skip

    class UNet(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = twice(3, 8), twice(8, 16), twice(16, 32)
            self.up, self.d, self.e = nn.ConvTranspose2d(32, 16, 2, 2), twice(32, 16), twice(24, 8)
            self.out = nn.Conv2d(8, 2, 1)

        def forward(self, x: Any) -> Any:
            a = self.a(x)
            b = self.b(nn.functional.max_pool2d(a, 2))
            y = self.up(self.c(nn.functional.avg_pool2d(b, 2)))
            y = self.d(torch.cat([y, b], 1))
            y = nn.functional.interpolate(y, scale_factor=2, mode="bilinear")
            return torch.sigmoid(self.out(self.e(torch.cat([y, a], 1))))

    torch.manual_seed(0)
    net, x = UNet().eval(), torch.rand(1, 3, 16, 16)
    model = fl.from_torch(net, (x,))
    name = model.graph.inputs[0].name
    wanted = {"y": net(x).detach().numpy()}
    for graph in (fold(model.graph), optimize(model.graph)):
        assert transposes(graph) == 2
        assert close(evaluate(graph, {name: x.numpy()}), wanted)
    fl.convert(model, tmp_path / "web")
    assert in_tfjs(tmp_path / "web") == 2
    fl.convert(model, tmp_path / "m.onnx")
    assert in_onnx(tmp_path / "m.onnx") == 0
    again = ReferenceEvaluator(str(tmp_path / "m.onnx"))
    assert close({"y": again.run(None, {name: x.numpy()})[0]}, wanted)


def test_a_convnext_block_of_torch() -> None:
    torch = pytest.importorskip("torch", reason="the oracle, torch, is not installed")
    nn = torch.nn

    class Block(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.deep, self.norm = nn.Conv2d(8, 8, 7, padding=3, groups=8), nn.LayerNorm(8)
            self.wide, self.back = nn.Linear(8, 32), nn.Linear(32, 8)

        def forward(self, x: Any) -> Any:
            y = self.norm(self.deep(x).permute(0, 2, 3, 1))
            y = self.back(nn.functional.gelu(self.wide(y)))
            return x + y.permute(0, 3, 1, 2)

    torch.manual_seed(0)
    net, x = nn.Sequential(nn.Conv2d(3, 8, 4, 4), Block(), Block()).eval(), torch.rand(1, 3, 16, 16)
    model = fl.from_torch(net, (x,))
    graph = optimize(model.graph)
    assert transposes(graph) == 2
    wanted = {"y": net(x).detach().numpy()}
    assert close(evaluate(graph, {model.graph.inputs[0].name: x.numpy()}), wanted)
