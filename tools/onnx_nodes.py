"""Run ONNX's generated node tests through the functions of Fanlight and compare.

    python tools/onnx_nodes.py [--host numpy|wasm|jit] [--ops Conv,Softmax] [--verbose]

The cases are those of onnx.backend.test: a model of one node, or of several where an op is
expanded into others, with inputs and outputs. Each node goes to the adapter of its op
(tools/onnx_adapters*.py), which calls functions of Fanlight; this is not an importer of ONNX.
int64 becomes int32, and float64 float32; cases of other dtypes, and of ops without an adapter,
are skipped and counted. A case passes if every output has the expected shape, the dtype and the
values: equal if whole, else within the tolerances of the case, but no less than 1e-5 relative.
The last line is `N passed, N failed`; the exit status is 1 if anything failed.
"""

from __future__ import annotations

import argparse
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import fanlight as fl
from fanlight.environment import BACKENDS, stayed_with_numpy
from fanlight.errors import FanlightError
from tools import onnx_adapters
from tools.onnx_adapters import Node, Skipped

_NARROWED = {"int64": "int32", "float64": "float32"}
_TAKEN = ("float32", "int32", "bool", "uint8", "object")
# Sums that cancel: what is left is noise of their terms, on both sides of the comparison.
_NOISY = ("DFT", "STFT")
HOSTS = (*BACKENDS, "jit")
_CONTROL = ("Loop", "Scan", "SequenceMap")


@dataclass(frozen=True)
class Outcome:
    """What became of one case: "passed", "failed" or "skipped", and why."""

    case: str
    op: str
    status: str
    why: str = ""


def all_cases() -> list[Any]:
    """All generated node tests."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # overflows that are meant
        from onnx.backend.test.case.node import collect_testcases

        return sorted(collect_testcases(None), key=lambda case: str(case.name))


def op_of(case: Any, ops: Mapping[str, str]) -> str:
    """The op that a case is about; an expanded one is named after the case of that op."""
    nodes = case.model.graph.node
    plain = str(case.name).partition("_expanded")[0]
    if len(nodes) == 1 or plain not in ops:
        return str(nodes[-1].op_type)
    return ops[plain]


# --- values ---------------------------------------------------------------------------------------


def narrowed(array: np.ndarray) -> np.ndarray:
    """An array in a dtype that Fanlight computes in; Skipped if there is none."""
    name = array.dtype.name
    if name in _NARROWED:
        if name == "int64":  # ends of slices are as large as can be
            array = np.clip(array, -(2**31), 2**31 - 1)
        return array.astype(_NARROWED[name])
    if array.dtype.kind in "UT":
        return array.astype(object)
    if name not in _TAKEN:
        raise Skipped(f"dtype {name}")
    return array


def value_of(given: Any) -> Any:
    """An input as a tensor, a list of them or None."""
    import onnx

    if given is None:
        return None
    if isinstance(given, list):
        return [value_of(v) for v in given]
    if isinstance(given, onnx.TensorProto):
        if given.data_type not in (1, 2, 6, 7, 9, 11):
            raise Skipped(f"dtype {onnx.TensorProto.DataType.Name(given.data_type).lower()}")
        given = onnx.numpy_helper.to_array(given)
    if isinstance(given, onnx.SparseTensorProto | onnx.SequenceProto | onnx.OptionalProto):
        raise Skipped("sequences, optional and sparse values")
    array = narrowed(np.asarray(given))
    if array.dtype == object:
        texts = [v.decode() if isinstance(v, bytes) else str(v) for v in array.ravel()]
        array = np.array(texts, object).reshape(array.shape)
    return fl.tensor(array)


def compare(received: Any, expected: Any, rtol: float, atol: float) -> str:
    """What differs, or ""."""
    if not isinstance(received, fl.Tensor):
        return f"{type(received).__name__} instead of a tensor"
    if received.shape != expected.shape:
        return f"shape {list(received.shape)}, expected {list(expected.shape)}"
    if received.dtype != expected.dtype:
        return f"dtype {received.dtype}, expected {expected.dtype}"
    a, b = received.numpy(), expected.numpy()
    if received.dtype == "string":
        return "" if a.tolist() == b.tolist() else f"{a.tolist()}, expected {b.tolist()}"
    if received.dtype == "float32":
        near = np.isclose(a, b, rtol=max(rtol, 1e-5), atol=atol, equal_nan=True)
    else:
        near = a == b
    if near.all():
        return ""
    place = tuple(np.argwhere(~near)[0].tolist())
    return f"at {place} {a[place]}, expected {b[place]} ({(~near).sum()} of {near.size})"


# --- models ---------------------------------------------------------------------------------------


def _attribute(attribute: Any) -> Any:
    import onnx

    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, list) and value and isinstance(value[0], bytes):
        return [v.decode() for v in value]
    return value


class Walk:
    """Runs the nodes of a model in order."""

    def __init__(self, model: Any, table: Mapping[str, onnx_adapters.Adapter]) -> None:
        self.model = model
        self.opset = max(
            (s.version for s in model.opset_import if s.domain in ("", "ai.onnx")), default=0
        )
        self.table = table

    def run(self, inputs: Sequence[Any]) -> list[Any]:
        """The outputs of the model."""
        return self.graph(self.model.graph, {}, inputs)

    def graph(self, graph: Any, known: dict[str, Any], inputs: Sequence[Any]) -> list[Any]:
        """The outputs of a graph; `known` are the values that it sees from outside."""
        values = {**known, "": None}
        values |= {t.name: value_of(t) for t in graph.initializer}
        values |= {i.name: v for i, v in zip(graph.input, inputs, strict=False)}
        for node in graph.node:
            given = [values[name] for name in node.input]
            results = self.node(node, given, values)
            if not isinstance(results, list | tuple):
                results = [results]
            if len(results) < len([name for name in node.output if name]):
                raise AssertionError(f"{node.op_type} gave {len(results)} outputs")
            values |= {n: v for n, v in zip(node.output, results, strict=False) if n}
        return [values[o.name] for o in graph.output]

    def node(self, node: Any, given: Sequence[Any], values: dict[str, Any]) -> Any:
        """The results of a node."""
        if any(isinstance(v, list) for v in given):
            raise Skipped("sequences, optional and sparse values")
        attrs = {a.name: _attribute(a) for a in node.attribute}
        if node.op_type == "If":
            branch = attrs["then_branch" if given[0].item() else "else_branch"]
            return self.graph(branch, values, [])
        if node.op_type in _CONTROL:
            raise Skipped("loops over graphs")
        if node.op_type not in self.table:
            raise Skipped(f"no function for {node.op_type}")

        def run_graph(graph: Any, inputs: Sequence[Any]) -> list[Any]:
            return self.graph(graph, values, inputs)

        about = Node(node.op_type, attrs, list(node.output), self.opset, run_graph)
        return self.table[node.op_type](about, given)


# A number was asked of what is traced; no elements to compile for; no kernel.
_ASKS = ("E-TENSOR-003", "E-TENSOR-008", "E-BUILD-010", "E-BUILD-001")


def compiled(walk: Walk, inputs: Sequence[Any]) -> list[Any]:
    """The outputs of the model as one compiled function of its inputs.

    Where shapes depend on some of them, they are constants, and it is a function of those of
    float32 or of the first one.
    """
    tensors = [i for i, v in enumerate(inputs) if isinstance(v, fl.Tensor) and v.dtype != "string"]
    floats = [i for i in tensors if inputs[i].dtype == "float32"]
    for places in (tensors, floats, tensors[:1]):

        def model(*given: Any, places: Sequence[int] = places) -> tuple[Any, ...]:
            values = list(inputs)
            for place, v in zip(places, given, strict=True):
                values[place] = v
            return tuple(walk.run(values))

        try:
            if places:
                return list(fl.jit(model)(*(inputs[i] for i in places)))
        except FanlightError as error:
            if error.code not in _ASKS:
                raise
    raise Skipped("not to be compiled: shapes depend on values, or nothing is computed")


def run(
    case: Any, op: str, table: Mapping[str, onnx_adapters.Adapter], host: str = "numpy"
) -> Outcome:
    """One case, of an op."""
    name = str(case.name)
    try:
        for given, wanted in case.data_sets:
            expected = [value_of(v) for v in wanted]
            if any(isinstance(v, list) or v is None for v in expected):
                raise Skipped("sequences, optional and sparse values")
            inputs = [value_of(v) for v in given]
            walk = Walk(case.model, table)
            results = (compiled if host == "jit" else Walk.run)(walk, inputs)
            for received, right in zip(results, expected, strict=True):
                atol = case.atol
                if op in _NOISY:
                    atol = max(atol, 1e-6 * float(np.abs(right.numpy()).max()))
                why = compare(received, right, case.rtol, atol)
                if why:
                    return Outcome(name, op, "failed", why)
    except Skipped as reason:
        return Outcome(name, op, "skipped", str(reason))
    except FanlightError as error:
        if error.code == "E-TENSOR-014":
            return Outcome(name, op, "skipped", "more than six dims")
        return Outcome(name, op, "failed", str(error))
    except Exception as error:
        return Outcome(name, op, "failed", f"{type(error).__name__}: {error}")
    return Outcome(name, op, "passed")


def run_all(
    host: str = "numpy", ops: set[str] | None = None, cases: Sequence[Any] = ()
) -> Iterator[Outcome]:
    """All cases (or those of the ops named); the caller has set the back end."""
    table = onnx_adapters.table()
    found = cases or all_cases()
    plain = {
        str(case.name): str(case.model.graph.node[0].op_type)
        for case in found
        if len(case.model.graph.node) == 1
    }
    for case in found:
        op = op_of(case, plain)
        if ops is None or op in ops:
            with np.errstate(all="ignore"):
                yield run(case, op, table, host)


def main() -> int:
    """Print passed, failed and skipped per op."""
    parser = argparse.ArgumentParser(description="Run ONNX's node tests through Fanlight.")
    parser.add_argument(
        "--host",
        choices=HOSTS,
        default="numpy",
        help="what computes: NumPy, each op as WebAssembly, or each model as one program",
    )
    parser.add_argument("--ops", help="names, separated by commas (default: all)")
    parser.add_argument("--verbose", action="store_true", help="say why each case did not pass")
    options = parser.parse_args()
    fl.set_backend("numpy" if options.host == "jit" else options.host)
    ops = set(options.ops.split(",")) if options.ops else None
    outcomes = list(run_all(options.host, ops))
    counts: Counter[tuple[str, str]] = Counter((o.op, o.status) for o in outcomes)
    for op in sorted({o.op for o in outcomes}):
        passed, failed, skipped = (counts[op, s] for s in ("passed", "failed", "skipped"))
        print(f"{op:28} {passed:4} passed {failed:4} failed {skipped:4} skipped")
    if options.verbose:
        for o in outcomes:
            if o.status != "passed":
                print(f"{o.case} {o.op} {o.status}: {o.why}")
    reasons = Counter(o.why for o in outcomes if o.status == "skipped")
    for why, count in reasons.most_common():
        print(f"skipped {count}: {why}")
    for op, (count, why) in sorted(stayed_with_numpy().items()):
        print(f"{op}: {count} programs stayed with NumPy, {why}")
    total = Counter(o.status for o in outcomes)
    print(f"{len(outcomes)} cases, {total['skipped']} skipped")
    print(f"{total['passed']} passed, {total['failed']} failed")
    return 1 if total["failed"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
