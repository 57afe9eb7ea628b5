"""The whole table as WebAssembly computes it, against what NumPy says that it means.

Every row with a kernel, in every dtype that it takes: any shapes, broadcasting, inputs that do not
lie as C has it, NaN and infinities where they propagate; with relaxed SIMD and without.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from fanlight import dtypes
from fanlight.errors import FanlightError
from fanlight.graph import Builder
from fanlight.jit import Program
from fanlight.ops import TABLE, TensorType
from fanlight.ops import row as rows
from fanlight.targets import WASM_PLAIN, WASM_RELAXED, Target
from tests.ops.table_calls import DTYPES, PLANS, Draw

# The first example that fails is small as it is, and shrinking it means many compilations.
EXAMPLES = settings(max_examples=10, phases=[Phase.generate])
# Rows that are called nowhere here, and why.
ELSEWHERE = {
    row.name: "bytes with scales: tests/codegen/test_bytes_properties.py"
    for row in TABLE.values()
    if row.family == "quantized"
}
ELSEWHERE |= dict.fromkeys(
    ("dim_size", "to_bound", "from_bound"), "of symbolic dims: tests/ops/test_symbols.py"
)
ELSEWHERE |= dict.fromkeys(
    ("cond", "scan", "while_loop"), "ops of graphs: tests/tensor/test_control.py"
)
CALLS = [(op, DTYPES[letter]) for op, plan in PLANS.items() for letter in plan.dtypes]
REFUSED = [
    (op, dtype)
    for op, plan in PLANS.items()
    for letter, dtype in DTYPES.items()
    if letter not in plan.dtypes
]


def types_of(arrays: Sequence[np.ndarray]) -> list[TensorType]:
    return [TensorType(a.shape, dtypes.from_numpy(a.dtype) or "") for a in arrays]


def program(op: str, types: Sequence[TensorType], attrs: dict[str, Any], target: Target) -> Program:
    builder = Builder(op)
    inputs = [builder.input(f"x{i}", t.shape, t.dtype) for i, t in enumerate(types)]
    made = builder.add(op, *inputs, **attrs)
    outputs = made if isinstance(made, tuple) else (made,)
    return Program(builder.finish({f"y{i}": y for i, y in enumerate(outputs)}), target)


def difference(op: str, got: np.ndarray, want: np.ndarray) -> str:
    """What is wrong, or "". Floats may differ by the row's tolerance, of its largest number."""
    if got.shape != want.shape or got.dtype != want.dtype:
        return f"{got.dtype}{got.shape}, not {want.dtype}{want.shape}"
    if want.dtype != np.float32:
        return "" if np.array_equal(got, want) else f"{got.tolist()}, not {want.tolist()}"
    plain = np.isfinite(want)
    if not np.array_equal(got[~plain], want[~plain], equal_nan=True):
        return f"{got.tolist()}, not {want.tolist()}"
    scale = max(1.0, float(np.abs(want[plain]).max(initial=0)))
    error = float(np.abs(got[plain].astype(np.float64) - want[plain]).max(initial=0))
    if error <= TABLE[op].tol["float32"] * scale:
        return ""
    return f"off by {error / scale:.2g}: {got.tolist()}, not {want.tolist()}"


@pytest.mark.parametrize(("op", "dtype"), CALLS)
@EXAMPLES
@given(data=st.data())
def test_webassembly_gives_what_numpy_means(op: str, dtype: str, data: st.DataObject) -> None:
    draw = Draw(data, special=TABLE[op].nan.startswith("propagate"))
    arrays, attrs = PLANS[op].make(draw, dtype)
    arrays = [draw.strided(a) for a in arrays]
    types = types_of(arrays)
    full, outputs = rows.infer(op, types, attrs)
    wanted = rows.evaluate(op, arrays, full)
    for want, type in zip(wanted, outputs, strict=True):
        assert (want.shape, want.dtype.name) == (type.shape, type.dtype), f"{op} promised {type}"
    if op != "after" and TABLE[op].scalar is None and "float32" in {t.dtype for t in types}:
        # What a tape has to know: a gradient through one of them is refused.
        assert TABLE[op].positions == ("int32" in {t.dtype for t in outputs}), op
    if not all(t.size for t in (*types, *outputs)):
        return  # nothing to be computed
    target = draw.of(WASM_RELAXED, WASM_PLAIN)
    made = program(op, types, full, target)
    found = made.run(arrays)
    for i, (got, want) in enumerate(zip(found, wanted, strict=True)):
        wrong = difference(op, got, np.asarray(want))
        inputs = ", ".join(f"np.{a.dtype}({a.tolist()})" for a in arrays)
        assert not wrong, f"result {i} of {op}({inputs}, {attrs}) by {target.name}: {wrong}"
    # What a run leaves in the memory changes nothing.
    for again, got in zip(made.run(arrays), found, strict=True):
        np.testing.assert_array_equal(again, got)


@pytest.mark.parametrize(("op", "dtype"), REFUSED)
@settings(max_examples=1)
@given(data=st.data())
def test_other_dtypes_are_refused(op: str, dtype: str, data: st.DataObject) -> None:
    draw = Draw(data, special=False)
    arrays, attrs = PLANS[op].make(draw, dtype)
    if all(a.dtype.name != dtype for a in arrays):
        return  # it has none to choose
    with pytest.raises(FanlightError, match="E-OP-003"):
        rows.infer(op, types_of(arrays), attrs)


def test_every_row_is_called_or_says_why_not() -> None:
    assert set(PLANS) | set(ELSEWHERE) == set(TABLE)
    assert not set(PLANS) & set(ELSEWHERE)
