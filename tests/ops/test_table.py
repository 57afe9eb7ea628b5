"""The table is total: every row says all that a row has to say."""

from __future__ import annotations

import re
import subprocess
import sys
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight.ops as ops
from fanlight import dtypes
from fanlight.ops import TABLE, Row, TensorType, Unsupported
from fanlight.ops import scalar as sc
from fanlight.ops.backward import NotDifferentiable
from fanlight.ops.row import REQUIRED, register
from tests.support import ROOT, run_python

ROWS = list(TABLE.values())
NAMES = [row.name for row in ROWS]
# A value for every attribute that has no default, to make scalar bodies with.
REQUIRED_VALUES: dict[str, Any] = {"lo": -1, "hi": 2.5, "dtype": "int32", "body": "add(a0, 1)"}
REQUIRED_VALUES |= {"scale": 0.5, "scale_a": 0.5, "scale_b": 0.25}


def scalar_body(row: Row) -> sc.Expr:
    assert row.scalar is not None
    attrs = {
        name: REQUIRED_VALUES[name] if attr.default is REQUIRED else attr.default
        for name, attr in row.attrs.items()
    }
    return row.scalar(*map(sc.arg, range(row.arity[0])), **attrs)


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_rows_are_complete(row: Row) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]*", row.name)
    assert Path(ops.__file__).with_name(f"{row.family}.py").is_file()
    low, high = row.arity
    assert 1 <= low <= (high or low)
    assert len(row.doc) > 3
    assert row.doc.endswith((".", ")"))
    assert row.nan
    assert row.tol
    assert all(dtypes.is_dtype(d) and 0 <= t < 1e-3 for d, t in row.tol.items())
    assert row.wasm in ("loops", "kernel", "alias") or (
        isinstance(row.wasm, Unsupported) and len(row.wasm.why) > 10
    )
    for name, attr in row.attrs.items():
        assert len(attr.doc) > 5, (row.name, name)


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_rows_say_shapes_and_source(row: Row) -> None:
    """Of elementwise rows the page says the shapes, see below."""
    assert row.scalar is not None or "->" in row.doc
    (source,) = re.findall(r"Source: (.+?)\.(?= [A-Z]|$)", row.doc)
    for name in re.findall(r"\bnumpy\.([\w.]+)", source):
        assert attrgetter(name)(np) is not None
    for path in re.findall(r"\b(?:docs|fanlight)/[\w/.-]+", source):
        assert (ROOT / path).is_file(), path


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_the_page_of_ops_says_all_of_each(row: Row) -> None:
    """How it is called, computed and derived, in which files, and how near hosts come."""
    text = (ROOT / "docs" / "ops.md").read_text("utf-8")
    (section,) = re.findall(rf"^### {row.name}\n\n(.*?)(?=^##|\Z)", text, re.DOTALL | re.MULTILINE)
    if row.name == "fused":
        assert "Python: passes" in section
    else:
        assert re.search(r"Python: \[`fl\.[\w.]+`\]\(\.\./fanlight/[\w/]+\.py\)", section)
    if not isinstance(row.wasm, Unsupported) and row.wasm != "alias":
        kernel = re.search(r"WebAssembly: \[\w+\]\(\.\./(fanlight/codegen/[\w/]+\.py)\)", section)
        assert kernel and (ROOT / kernel[1]).is_file()
    if isinstance(row.vjp, NotDifferentiable):
        assert f"Gradient: none, for {row.vjp.why}." in section
        assert len(row.vjp.why.split()) >= 4
    else:
        rule = re.search(r"Gradient: \[[\w ]+\]\(\.\./(fanlight/ops/\w+\.py)\)", section)
        assert rule and (ROOT / rule[1]).is_file()
    assert re.search(r"Tolerance: (exact|[\w ]+ \de-\d)", section)
    told = row.doc if row.scalar is None or "[..." in row.doc else section
    assert re.search(r"\[.*\]|shape|state|inputs broadcast", told), told
    if row.scalar is not None and "[..." not in row.doc:
        alone = row.arity == (1, 1)
        assert f"Shapes: {'[...] -> [...]' if alone else 'inputs broadcast'}." in section


@pytest.mark.parametrize("row", ROWS, ids=NAMES)
def test_defaults_print_and_are_plain(row: Row) -> None:
    for name, attr in row.attrs.items():
        assert attr.default is REQUIRED or eval(repr(attr.default)) == attr.default, name


SCALAR = [row for row in ROWS if row.scalar is not None]


@pytest.mark.parametrize("row", SCALAR, ids=[row.name for row in SCALAR])
def test_scalar_bodies_print_and_parse(row: Row) -> None:
    body = scalar_body(row)
    assert sc.parse(str(body)) is body
    assert row.wasm == "loops"
    # Nothing reads an input that is not there, and every input is read.
    used = {n.value for n in sc.topological(body) if n.op == "arg"}
    assert used == set(range(row.arity[0]))


@pytest.mark.parametrize("row", SCALAR, ids=[row.name for row in SCALAR])
def test_bodies_do_not_warn_on_any_number(row: Row) -> None:
    """NumPy warnings are errors in this test suite: overflow and NaN must pass in silence."""
    hard = np.float32([0, -0.0, 1e38, -1e38, 1e-45, np.inf, -np.inf, np.nan])
    body = scalar_body(row)
    for kind in (hard, np.int32([-(2**31), -1, 0, 1, 2**31 - 1]), np.array([True, False])):
        try:
            dtype = str(dtypes.from_numpy(kind.dtype))
            sc.infer(body, [dtype] * row.arity[0])
        except Exception:
            continue
        sc.evaluate(body, [kind] * row.arity[0])


def test_families_and_names_of_the_contract() -> None:
    assert len(TABLE) == len(set(NAMES)) >= 90
    for name in ("conv2d", "depthwise_conv2d", "matmul"):
        assert TABLE[name].epilogue
    assert sum(row.epilogue for row in ROWS) == 3
    assert TABLE["reshape"].wasm == "alias"


def test_a_name_is_taken_once() -> None:
    with pytest.raises(ValueError, match="defined twice"):
        register(TABLE["add"])


def test_rows_know_no_source_format() -> None:
    """Names of importers' worlds stay in formats/."""
    for path in Path(ops.__file__).parent.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"fanlight\.(formats|graph|codegen|passes|tensor)", text), path


def test_the_documentation_is_up_to_date() -> None:
    done = run_python(str(ROOT / "tools" / "gen_ops_docs.py"), "--check")
    assert done.returncode == 0, done.stdout + done.stderr


def test_importing_the_table_loads_numpy_and_the_standard_library_only() -> None:
    code = (
        "import sys; import fanlight.ops; "
        "print(sorted({m.split('.')[0] for m in sys.modules} - set(sys.stdlib_module_names)))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    loaded = {m for m in eval(out.stdout) if not m.startswith("_")}
    assert loaded <= {"fanlight", "numpy", "sitecustomize", "site", "distutils-precedence"}


def test_types_print_and_measure() -> None:
    type = TensorType((2, ops.Dim("height", 480), 3), "uint8")
    assert str(type) == "u8[2, height<=480, 3]"
    assert (type.rank, type.size, type.nbytes, type.static) == (3, 2880, 2880, False)
