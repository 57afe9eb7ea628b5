"""Loops, conditions and lists of graph-models: TensorFlow.js gives the same numbers."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.formats import emitter, load_graph
from fanlight.formats.tfgraph import control
from fanlight.formats.tfgraph.library import Function
from fanlight.formats.tfgraph.nodes import Attrs, GraphNode
from fanlight.graph import Graph, evaluate, verify
from tests.formats import tfjs_graph
from tests.formats.crafted import write_tfjs
from tests.formats.loops import FLOAT, INT, Net
from tests.support import relative_error

Built = tuple[Net, list[str]]
CASES: dict[str, tuple[Callable[[], Built], dict[str, np.ndarray], str]] = {}
RNG = np.random.default_rng(5)
X = RNG.normal(0, 1, (2, 3)).astype(np.float32)
SERIES = RNG.normal(0, 1, (40, 3)).astype(np.float32)


def case(
    op: str = "", **inputs: np.ndarray
) -> Callable[[Callable[[], Built]], Callable[[], Built]]:
    """A graph, its inputs, and the op of the table that must be in it ("" for none of control)."""

    def register(build: Callable[[], Built]) -> Callable[[], Built]:
        CASES[build.__name__] = (build, inputs, op)
        return build

    return register


def less(net: Net, a: str, b: Any) -> str:
    return net.add("Less", a, b if isinstance(b, str) else net.const(b))


def plus(net: Net, a: str, b: Any) -> str:
    return net.add("AddV2", a, b if isinstance(b, str) else net.const(b))


def times(net: Net, a: str, b: Any) -> str:
    return net.add("Mul", a, b if isinstance(b, str) else net.const(b))


# --- TensorFlow 1 ---------------------------------------------------------------------------------


@case(x=X)
def frame_short() -> Built:
    """Three turns, known: written out."""
    net = Net()
    x = net.input("x", 2, 3)
    out = net.frame(
        "short",
        [net.const(0), x],
        lambda i, y: less(net, i, 3),
        lambda i, y: [plus(net, i, 1), times(net, y, 1.5)],
    )
    return net, [out[1], out[0]]


@case("scan", x=X)
def frame_long() -> Built:
    """300 turns, known: a scan, whose counter comes in by turns."""
    net = Net()
    x = net.input("x", 2, 3)

    def body(i: str, y: str, k: str) -> list[str]:
        step = net.add("Cast", i, SrcT=INT, DstT=FLOAT)
        return [plus(net, i, 1), plus(net, times(net, y, k), times(net, step, 0.001))]

    out = net.frame(
        "long", [net.const(0), x], lambda i, y, k: less(net, i, 300), body, [net.const(0.99)]
    )
    return net, [out[1], out[0]]


@case("while_loop", x=X)
def frame_open() -> Built:
    """As often as the numbers say."""
    net = Net()
    x = net.input("x", 2, 3)

    def cond(y: str, limit: str) -> str:
        return less(net, net.add("Max", y, net.const([0, 1])), limit)

    out = net.frame(
        "open", [x], cond, lambda y, limit: [plus(net, times(net, y, 1.5), 0.25)], [net.const(90.0)]
    )
    return net, out


@case("while_loop", x=X)
def frame_nested() -> Built:
    """A loop of open length in one of open length; the inner one counts to the outer counter."""
    net = Net()
    x = net.input("x", 2, 3)

    def inner(i: str, y: str, limit: str) -> list[str]:
        out = net.frame(
            "outer/inner",
            [net.const(0), y],
            lambda j, z, n, one: less(net, j, n),
            lambda j, z, n, one: [net.add("AddV2", j, one), times(net, z, 1.1)],
            [i, net.const(1)],
        )
        return [plus(net, i, 1), plus(net, out[1], 0.5)]

    out = net.frame(
        "outer",
        [net.const(0), x],
        lambda i, y, limit: less(net, net.add("Sum", y, net.const([0, 1])), limit),
        inner,
        [net.const(50.0)],
    )
    return net, [out[1], out[0]]


@case(x=X)
def frame_nested_short() -> Built:
    net = Net()
    x = net.input("x", 2, 3)

    def inner(i: str, y: str) -> list[str]:
        out = net.frame(
            "o/i",
            [net.const(0), y],
            lambda j, z: less(net, j, 2),
            lambda j, z: [plus(net, j, 1), times(net, z, 1.1)],
        )
        return [plus(net, i, 1), out[1]]

    out = net.frame("o", [net.const(0), x], lambda i, y: less(net, i, 3), inner)
    return net, [out[1]]


@case("cond", x=X)
def switch_merge() -> Built:
    """A condition with a constant in one branch, and one in both."""
    net = Net()
    x = net.input("x", 2, 3)
    pred = less(net, net.add("Sum", x, net.const([0, 1])), 0.0)
    out = net.branches(
        pred,
        [x],
        lambda a, pivot: [times(net, a, 2.0), net.const(1.0, pivot)],
        lambda a, pivot: [net.add("Neg", a), net.const(2.0, pivot)],
    )
    return net, out


@case("while_loop", x=X)
def condition_in_loop() -> Built:
    net = Net()
    x = net.input("x", 2, 3)

    def body(i: str, y: str) -> list[str]:
        even = net.add("Equal", net.add("FloorMod", i, net.const(2)), net.const(0))
        (z,) = net.branches(
            even, [y], lambda a, p: [times(net, a, 2.0)], lambda a, p: [plus(net, a, 1.0)]
        )
        return [plus(net, i, 1), z]

    def cond(i: str, y: str) -> str:
        return less(net, net.add("Max", y, net.const([0, 1])), 60.0)

    out = net.frame("mixed", [net.const(0), x], cond, body)
    return net, [out[1], out[0]]


@case("cond", x=X)
def nested_conditions() -> Built:
    net = Net()
    x = net.input("x", 2, 3)
    total = net.add("Sum", x, net.const([0, 1]))
    small, tiny = less(net, total, 100.0), less(net, total, -100.0)

    def then(a: str, t: str, pivot: str) -> list[str]:
        return net.branches(
            t, [a], lambda b, p: [plus(net, b, 7.0)], lambda b, p: [times(net, b, 3.0)]
        )

    out = net.branches(small, [x, tiny], then, lambda a, t, p: [net.add("Neg", a)])
    return net, out


@case("cond", x=X)
def loop_in_condition() -> Built:
    net = Net()
    x = net.input("x", 2, 3)
    pred = less(net, net.add("Sum", x, net.const([0, 1])), 100.0)

    def then(a: str, pivot: str) -> list[str]:
        return net.frame(
            "branch",
            [a],
            lambda y: less(net, net.add("Max", y, net.const([0, 1])), 30.0),
            lambda y: [plus(net, times(net, y, 2.0), 0.5)],
        )

    return net, net.branches(pred, [x], then, lambda a, p: [net.add("Neg", a)])


@case(x=X)
def known_condition() -> Built:
    net = Net()
    x = net.input("x", 2, 3)
    out = net.branches(
        net.const(True), [x], lambda a, p: [times(net, a, 2.0)], lambda a, p: [net.add("Neg", a)]
    )
    return net, out


def arrays(net: Net, count: int, name: str) -> tuple[str, str]:
    """A TensorArray: its handle, and its flow."""
    made = net.add("TensorArrayV3", net.const(count), name=name, dtype=FLOAT)
    return made, f"{made}:1"


def mapped(count: int, turns: int) -> Built:
    """tf.map_fn as TensorFlow 1 writes it, over `count` rows, of which the first `turns`."""
    net = Net()
    x = net.input("x", count, 3)
    source, flow = arrays(net, count, "source")
    every = net.const(np.arange(count))
    full = net.add("TensorArrayScatterV3", source, every, x, flow, T=FLOAT)
    target, empty = arrays(net, count, "target")

    def body(i: str, out: str, src: str, given: str, dst: str) -> list[str]:
        row = net.add("TensorArrayReadV3", src, i, given, dtype=FLOAT)
        return [
            plus(net, i, 1),
            net.add("TensorArrayWriteV3", dst, i, net.add("Tanh", row), out, T=FLOAT),
        ]

    out = net.frame(
        "map",
        [net.const(0), empty],
        lambda i, *_: less(net, i, turns),
        body,
        [source, full, target],
    )
    places = net.add(
        "Range", net.const(0), net.add("TensorArraySizeV3", target, out[1]), net.const(1)
    )
    last = net.add("TensorArrayGatherV3", target, places, out[1], dtype=FLOAT)
    return net, [last]


@case(x=SERIES[:4])
def array_map_short() -> Built:
    return mapped(4, 4)


@case("scan", x=np.tile(SERIES, (3, 1)))
def array_map_long() -> Built:
    return mapped(120, 120)


@case(x=SERIES[:6])
def array_split_concat() -> Built:
    net = Net()
    x = net.input("x", 6, 3)
    handle, flow = arrays(net, 2, "parts")
    cut = net.add("TensorArraySplitV3", handle, x, net.const([3, 3]), flow, T=FLOAT)
    joined = net.add("TensorArrayConcatV3", handle, cut, dtype=FLOAT)
    first = net.add("TensorArrayReadV3", handle, net.const(1), cut, dtype=FLOAT)
    net.add("TensorArrayCloseV3", handle)
    return net, [joined, first]


# --- TensorFlow 2 ---------------------------------------------------------------------------------


@case("scan", x=SERIES)
def list_rnn() -> Built:
    """A recurrent layer as Keras writes it, over 40 steps."""
    net = Net()
    x = net.input("x", 40, 3)
    w = net.const(np.random.default_rng(1).normal(0, 0.5, (3, 3)))
    steps = net.add("TensorListFromTensor", x, net.const([3]), element_dtype=FLOAT)
    out = net.reserve(40, -1)
    h = net.const(np.zeros((1, 3)))

    def body(inner: Net, i: str, ys: str, state: str, xs: str, weight: str) -> list[str]:
        row = inner.add("ExpandDims", inner.get(xs, i, 3), inner.const(0))
        for _ in range(4):  # long enough not to be written out
            row = inner.add("Sub", inner.add("Tanh", row), inner.const(0.1))
        mixed = inner.add("Tanh", inner.add("AddV2", row, inner.add("MatMul", state, weight)))
        item = inner.add("Reshape", mixed, inner.const([3]))
        return [plus(inner, i, 1), inner.set(ys, i, item), mixed, xs, weight]

    last = net.loop(
        "rnn", [net.const(0), out, h, steps, w], lambda n, i, *_: [less(n, i, 40)], body
    )
    return net, [net.stacked(last[1], 3), last[2]]


@case("cond", x=X)
def if_with_while() -> Built:
    """A loop in a branch."""
    net = Net()
    x = net.input("x", 2, 3)
    pred = less(net, net.add("Sum", x, net.const([0, 1])), 100.0)

    def then(inner: Net, a: str) -> list[str]:
        return inner.loop(
            "within",
            [a],
            lambda n, y: [less(n, n.add("Max", y, n.const([0, 1])), 9.0)],
            lambda n, y: [plus(n, times(n, y, 2.0), 0.5)],
        )

    return net, net.choice("if", pred, [x], then, lambda inner, a: [inner.add("Neg", a)])


@case("while_loop", x=X)
def while_with_if() -> Built:
    net = Net()
    x = net.input("x", 2, 3)

    def body(inner: Net, i: str, y: str) -> list[str]:
        big = less(inner, inner.const(3.0), inner.add("Max", y, inner.const([0, 1])))
        (z,) = inner.choice(
            "inside", big, [y], lambda n, a: [times(n, a, 1.5)], lambda n, a: [plus(n, a, 1.0)]
        )
        return [plus(inner, i, 1), z]

    def cond(inner: Net, i: str, y: str) -> list[str]:
        return [less(inner, inner.add("Max", y, inner.const([0, 1])), 40.0)]

    out = net.loop("loop", [net.const(0), x], cond, body, op="While")
    return net, [out[1], out[0]]


@case(x=X)
def known_if() -> Built:
    net = Net()
    x = net.input("x", 2, 3)
    out = net.choice(
        "k", net.const(False), [x], lambda n, a: [times(n, a, 2.0)], lambda n, a: [n.add("Neg", a)]
    )
    return net, out


# --- lists, each op -------------------------------------------------------------------------------


@case(x=SERIES[:6])
def list_scatter_gather() -> Built:
    net = Net()
    x = net.input("x", 6, 3)
    order = net.const([5, 3, 1, 0, 2, 4])
    made = net.add(
        "TensorListScatterV2", x, order, net.const([3]), net.const(6), element_dtype=FLOAT
    )
    some = net.add("TensorListGather", made, net.const([4, 1]), net.const([3]), element_dtype=FLOAT)
    older = net.add("TensorListScatter", x, order, net.const([3]), element_dtype=FLOAT)
    return net, [some, net.stacked(made, 3), net.stacked(older, 3)]


@case(x=SERIES[:2])
def list_with_gaps() -> Built:
    """Elements that were never set are zeros, many beside each other or one."""
    net = Net()
    x = net.input("x", 2, 3)
    made = net.add(
        "TensorListScatterV2", x, net.const([2, 40]), net.const([3]), net.const(43),
        element_dtype=FLOAT,
    )  # fmt: skip
    return net, [net.stacked(net.set(made, net.const(0), net.get(made, net.const(40), 3)), 3)]


@case(x=SERIES[:6])
def list_split_concat() -> Built:
    net = Net()
    x = net.input("x", 6, 3)
    made = net.add(
        "TensorListSplit", x, net.const([-1, 3]), net.const([2, 2, 2]), element_dtype=FLOAT
    )
    shape = {"element_shape": {"shape": {"dim": [{"size": "-1"}, {"size": "3"}]}}}
    joined = net.add("TensorListConcat", made, element_dtype=FLOAT, **shape)
    again = net.add(
        "TensorListConcatV2", made, net.const([-1, 3]), net.const([]), element_dtype=FLOAT, **shape
    )
    return net, [joined, again, net.get(made, net.const(1), 2, 3)]


@case(x=X)
def list_push_pop() -> Built:
    net = Net()
    x = net.input("x", 2, 3)
    handle = net.add("EmptyTensorList", net.const([2, 3]), net.const(9), element_dtype=FLOAT)
    for k in range(3):
        handle = net.add("TensorListPushBack", handle, times(net, x, k + 1.0), element_dtype=FLOAT)
    count = net.add("TensorListLength", handle)
    popped = net.add("TensorListPopBack", handle, net.const([2, 3]), element_dtype=FLOAT)
    return net, [count, f"{popped}:1"]


@case(x=X)
def list_grows_in_a_loop() -> Built:
    """Pushed to in each turn: only a loop that is written out can do that."""
    net = Net()
    x = net.input("x", 2, 3)
    handle = net.add("EmptyTensorList", net.const([2, 3]), net.const(-1), element_dtype=FLOAT)

    def body(i: str, ys: str, y: str) -> list[str]:
        return [
            plus(net, i, 1),
            net.add("TensorListPushBack", ys, y, element_dtype=FLOAT),
            plus(net, y, 1.0),
        ]

    out = net.frame("grow", [net.const(0), handle, x], lambda i, *_: less(net, i, 200), body)
    return net, [net.stacked(out[1], 2, 3)]


@case(x=X)
def shapes_that_grow() -> Built:
    """Joined in each turn: what is carried changes its shape, so the loop is written out."""
    net = Net()
    x = net.input("x", 2, 3)

    def body(i: str, y: str, x: str) -> list[str]:
        return [plus(net, i, 1), net.add("ConcatV2", y, x, net.const(0), N={"i": "2"})]

    out = net.frame("wide", [net.const(0), x], lambda i, y, x: less(net, i, 3), body, [x])
    return net, [out[1]]


# --- against TensorFlow.js ------------------------------------------------------------------------


def ref(name: str) -> str:
    return name if ":" in name else f"{name}:0"


def written(folder: Path, net: Net, outputs: list[str]) -> Path:
    described = {
        "inputs": {
            n["name"]: {
                "name": f"{n['name']}:0",
                "dtype": n["attr"]["dtype"]["type"],
                "tensorShape": n["attr"]["shape"]["shape"],
            }
            for n in net.nodes
            if n["op"] == "Placeholder"
        },
        "outputs": {f"y{i}": {"name": ref(o)} for i, o in enumerate(outputs)},
    }
    return write_tfjs(folder, net.topology(), net.arrays, signature=described)


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("control")
    return {name: written(root / name, *build()) for name, (build, _, _) in CASES.items()}


@pytest.fixture(scope="module")
def wanted(paths: dict[str, Path]) -> dict[str, Any]:
    asked = [name for name in CASES if name not in NUMPY]
    found = tfjs_graph.answers([(paths[name], CASES[name][1]) for name in asked])
    known = {name: NUMPY[name](CASES[name][1]["x"]) for name in NUMPY}
    return {**dict(zip(asked, found, strict=True)), **known}


def _nested(x: np.ndarray) -> list[np.ndarray]:
    i = 0
    while x.sum() < 50:
        for _ in range(i):
            x = x * np.float32(1.1)
        x, i = x + np.float32(0.5), i + 1
    return [x, np.array(i)]


def _grown(x: np.ndarray) -> np.ndarray:
    while x.max() < 30:
        x = x * 2 + 0.5
    return x


def _stepped(x: np.ndarray) -> list[np.ndarray]:
    i = 0
    while x.max() < 40:
        x, i = (x * np.float32(1.5) if x.max() > 3 else x + 1), i + 1
    return [x, np.array(i)]


# What TensorFlow.js throws at (frames in frames, parts of lists of several lengths, elements that
# are not set) or does not do
# as TensorFlow (Merge takes a constant of the branch that was not taken; PopBack gives no list).
NUMPY: dict[str, Callable[[np.ndarray], list[np.ndarray]]] = {
    "frame_nested": _nested,
    "frame_nested_short": lambda x: [x * np.float32(1.1**6)],
    "switch_merge": lambda x: [2 * x, np.array(1.0)],
    "loop_in_condition": lambda x: [_grown(x)],
    "array_split_concat": lambda x: [x, x[3:]],
    "while_with_if": _stepped,  # of which TensorFlow.js gives the first output alone
    "list_rnn": lambda x: _rnn(x),
    "list_split_concat": lambda x: [x, x, x[2:4]],
    "list_with_gaps": lambda x: [np.insert(np.zeros((40, 3)), [0, 1, 38], x[[1, 0, 1]], axis=0)],
    "list_push_pop": lambda x: [np.array(3), 3 * x],
    "shapes_that_grow": lambda x: [np.concatenate([x] * 4)],
}


def _rnn(x: np.ndarray) -> list[np.ndarray]:
    net, _ = CASES["list_rnn"][0]()
    w = next(a for a in net.arrays.values() if a.shape == (3, 3))
    h, rows = np.zeros((1, 3)), []
    for row in x[:, None]:
        for _ in range(4):
            row = np.tanh(row) - 0.1
        h = np.tanh(row + h @ w)
        rows.append(h[0])
    return [np.array(rows), h]


def control_ops(graph: Graph) -> set[str]:
    return {n.op for n in graph.nodes} & {"cond", "while_loop", "scan"}


@pytest.mark.parametrize("name", CASES)
def test_like_tfjs_or_numpy(name: str, paths: dict[str, Path], wanted: dict[str, Any]) -> None:
    _, inputs, op = CASES[name]
    source = load_graph(paths[name])
    verify(source.graph)
    assert control_ops(source.graph) == ({op} if op else set())
    got = list(evaluate(source.graph, inputs).values())
    assert not isinstance(wanted[name], str), wanted[name]
    assert len(got) == len(wanted[name])
    for g, w in zip(got, wanted[name], strict=True):
        assert g.shape == w.shape
        assert relative_error(g, w) < 1e-5


IN_WASM = (
    "frame_long",
    "frame_nested",
    "condition_in_loop",
    "nested_conditions",
    "array_map_long",
    "list_rnn",
    "if_with_while",
)


@pytest.mark.parametrize("name", IN_WASM)
def test_the_bundle_computes_it(name: str, paths: dict[str, Path], tmp_path: Path) -> None:
    inputs = CASES[name][1]
    bundle = fl.build(fl.load(paths[name]), tmp_path)
    report = fl.check(bundle, hosts=("wasm", "wasm-plain"), inputs=inputs, tolerance=1e-4)
    assert report.ok, report
    want = evaluate(load_graph(paths[name]).graph, inputs)
    got = bundle.run(inputs, host="wasm")
    for key, array in want.items():
        assert relative_error(got[key], array) < 1e-4


# --- what cannot be read --------------------------------------------------------------------------


def refused(folder: Path, net: Net, outputs: list[str], code: str, says: str) -> None:
    with pytest.raises(FanlightError) as raised:
        load_graph(written(folder, net, outputs))
    assert raised.value.code == code, raised.value
    assert says in str(raised.value)


def test_branches_of_other_shapes(tmp_path: Path) -> None:
    net = Net()
    x = net.input("x", 2, 3)
    pred = less(net, net.add("Sum", x, net.const([0, 1])), 0.0)
    out = net.choice("if", pred, [x], lambda n, a: [a], lambda n, a: [n.add("Sum", a, n.const(0))])
    refused(tmp_path, net, out, "E-FORMAT-012", "the branches give different shapes")


def test_a_list_without_a_length(tmp_path: Path) -> None:
    net = Net()
    n = net.input("n", dtype="DT_INT32")
    handle = net.add("TensorListReserve", net.const([3]), n, element_dtype=FLOAT)
    refused(tmp_path, net, [net.stacked(handle, 3)], "E-FORMAT-019", "number of elements")


def test_a_list_of_absurd_length(tmp_path: Path) -> None:
    net = Net()
    refused(
        tmp_path, net, [net.stacked(net.reserve(1 << 30, 3), 3)], "E-FORMAT-012", "out of range"
    )


def test_long_lists_of_which_little_is_set_are_small_graphs(tmp_path: Path) -> None:
    net = Net()
    handle = net.set(net.reserve(1 << 16, 1), net.const(1 << 15), net.input("x", 1))
    source = load_graph(written(tmp_path, net, [net.stacked(handle, 1)]))
    assert len(source.graph.nodes) < 8


def test_long_lists_over_and_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each takes memory until the end of the import; taken apart, time as well."""
    monkeypatch.setattr(emitter, "_LISTED", 1 << 10)
    monkeypatch.setattr(emitter, "_APART", 1 << 8)
    net = Net()
    handle = net.reserve(1 << 6, 1)
    x = net.input("x", 1)
    for at in range(1 << 4):
        handle = net.set(handle, net.const(at), x)
    out = [net.stacked(handle, 1)]
    refused(tmp_path / "a", net, out, "E-FORMAT-023", "lists of the model have too many elements")
    net = Net()
    x, index = net.input("x", 129, 1), net.const(0)
    whole = net.add("TensorListFromTensor", x, net.const([1]), element_dtype=FLOAT)
    ends = [net.set(whole, index, net.get(whole, net.const(i), 1)) for i in range(2)]
    out = [net.stacked(e, 1) for e in ends]
    refused(tmp_path / "b", net, out, "E-FORMAT-023", "lists of the model have too many elements")


def test_elements_of_no_known_shape(tmp_path: Path) -> None:
    net = Net()
    refused(tmp_path, net, [net.stacked(net.reserve(2, -1), -1)], "E-FORMAT-012", "element_shape")


def test_a_list_is_no_output_and_no_number(tmp_path: Path) -> None:
    net = Net()
    handle = net.reserve(2, 3)
    refused(tmp_path / "a", net, [handle], "E-FORMAT-012", "is a list of tensors")
    refused(tmp_path / "b", net, [net.add("Neg", handle)], "E-FORMAT-012", "lists are not taken")


def test_what_is_carried_keeps_its_shape(tmp_path: Path) -> None:
    net = Net()
    x = net.input("x", 2, 3)
    out = net.frame(
        "wide",
        [x],
        lambda y: less(net, net.add("Max", y, net.const([0, 1])), 9.0),
        lambda y: [net.add("ConcatV2", y, y, net.const(0), N={"i": "2"})],
    )
    refused(tmp_path, net, out, "E-FORMAT-012", "changes its shape from turn to turn")


@pytest.mark.parametrize("broken", ["LoopCond", "NextIteration", "Switch", "Enter"])
def test_frames_that_are_no_loops(broken: str, tmp_path: Path) -> None:
    net = Net()
    x = net.input("x", 2, 3)
    out = net.frame(
        "f",
        [net.const(0), x],
        lambda i, y: less(net, i, 3),
        lambda i, y: [plus(net, i, 1), times(net, y, 2.0)],
    )
    for entry in net.nodes:
        if entry["op"] == broken:
            entry["op"] = "Identity"
    with pytest.raises(FanlightError) as raised:
        load_graph(written(tmp_path, net, out))
    assert raised.value.code in ("E-FORMAT-013", "E-FORMAT-015", "E-FORMAT-016")


def test_a_merge_without_switches(tmp_path: Path) -> None:
    net = Net()
    x = net.input("x", 2, 3)
    out = [net.add("Merge", x, net.add("Neg", x))]
    refused(tmp_path, net, out, "E-FORMAT-015", "does not join the two branches")


def test_a_loop_without_its_function(tmp_path: Path) -> None:
    net = Net()
    x = net.input("x", 2, 3)
    net.loop("w", [x], lambda n, y: [less(n, y, 1.0)], lambda n, y: [plus(n, y, 1.0)])
    net.functions.pop()
    refused(tmp_path, net, ["w"], "E-FORMAT-016", "no function 'w_body'")


def test_a_function_whose_branch_calls_itself(tmp_path: Path) -> None:
    net = Net()
    x = net.input("x", 2, 3)
    pred = less(net, net.add("Sum", x, net.const([0, 1])), 0.0)
    out = net.choice("if", pred, [x], lambda n, a: [n.add("Neg", a)], lambda n, a: [a])
    branch = net.functions[0]
    again = dict(net.nodes[-1], name="again", input=["if_then_a0", "if_then_a0"])
    branch["nodeDef"] = [again]
    branch["ret"] = {"r0": "again:output:0"}
    with pytest.raises(FanlightError) as raised:
        load_graph(written(tmp_path, net, out))
    assert raised.value.code in ("E-FORMAT-012", "E-FORMAT-015")


@pytest.mark.parametrize("seed", range(60))
def test_damaged_control_flow_is_refused_or_read(seed: int, tmp_path: Path) -> None:
    """Inputs, ops and attributes swapped at random: an error of ours, or a graph that verifies."""
    order = np.random.default_rng(seed)
    name = list(CASES)[seed % len(CASES)]
    net, outputs = CASES[name][0]()
    every = net.nodes + [n for f in net.functions for n in f["nodeDef"]]
    every = [n for n in every if n["op"] != "Placeholder"]
    for _ in range(int(order.integers(1, 4))):
        first, second = (every[int(order.integers(len(every)))] for _ in range(2))
        what = int(order.integers(4))
        if what == 0 and first["input"]:
            first["input"][int(order.integers(len(first["input"])))] = second["name"]
        elif what == 1:
            first["op"], second["op"] = second["op"], first["op"]
        elif what == 2:
            first["input"] = first["input"][:-1]
        else:
            first["attr"], second["attr"] = second["attr"], first["attr"]
    try:
        verify(load_graph(written(tmp_path, net, outputs)).graph)
    except FanlightError as error:
        assert error.code.startswith("E-")


def test_loops_in_loops_are_not_all_written_out(tmp_path: Path) -> None:
    """Six of 40 turns each would be 40 ** 6 nodes."""
    net = Net()
    x = net.input("x", 2, 3)

    def body(depth: int) -> Callable[[str, str], list[str]]:
        def turn(i: str, y: str) -> list[str]:
            y = times(net, y, 0.999)
            if depth:
                y = net.frame(
                    f"f{depth}", [net.const(0), y], lambda j, z: less(net, j, 40), body(depth - 1)
                )[1]
            return [plus(net, i, 1), y]

        return turn

    out = net.frame("top", [net.const(0), x], lambda i, y: less(net, i, 40), body(5))
    graph = load_graph(written(tmp_path, net, [out[1]])).graph
    assert control_ops(graph) == {"scan"} and len(graph.nodes) < 100


def test_loops_without_an_end(tmp_path: Path) -> None:
    net = Net()
    x = net.input("x", 2, 3)
    out = net.frame("f", [net.const(0), x], lambda i, y: less(net, i, 9), lambda i, y: [i, y])
    refused(tmp_path / "a", net, [out[1]], "E-FORMAT-012", "carries nothing and does not end")
    net = Net()
    x = net.input("x", 2, 3)
    out = net.frame(
        "f", [net.const(0), x], lambda i, y: less(net, i, 9), lambda i, y: [i, plus(net, y, 1.0)]
    )
    graph = load_graph(written(tmp_path / "b", net, [out[1]])).graph
    assert control_ops(graph) == {"while_loop"}


def test_loops_of_one_body_in_each_other_are_counted_quickly() -> None:
    # 300 loops in each of five bodies: 300 ** 4 of them, if each was looked at.
    def body(name: str, inner: str) -> Function:
        attrs = Attrs({"body": {"func": {"name": inner}}}, "a loop")
        loops = [GraphNode(f"w{i}", "While", (), attrs, "a loop") for i in range(300)]
        return Function(name, (), {n.name: n for n in loops}, ())

    functions = {f"f{i}": body(f"f{i}", f"f{i + 1}") for i in range(5)}
    functions["f5"] = Function("f5", (), {}, ())
    start = time.perf_counter()
    found = control._weight(functions["f0"], functions)
    assert time.perf_counter() - start < 2
    share = 300 * control._NESTED
    assert found == 300 * (1 + share + share**2 + share**3 + share**4)
