"""Write docs/onnx.md from the table of importers and the lists of node tests.

python tools/gen_onnx_docs.py            write it
python tools/gen_onnx_docs.py --check    exit with 1 if it is not up to date
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import fanlight.formats.onnx.reader  # noqa: E402, F401  (fills the table)
from fanlight.formats.onnx.call import HANDLERS  # noqa: E402

PAGE = ROOT / "docs" / "onnx.md"
LISTS = ROOT / "tests" / "formats" / "onnx" / "node_tests.json"

INTRO = """# ONNX

<!-- Written by tools/gen_onnx_docs.py from fanlight/formats/onnx and its lists of node tests. -->

`fl.load("model.onnx")` reads ONNX files of opset 7 and newer. The `onnx` package is not needed.

```python
model = fl.load("model.onnx")                                      # a free first dim is the batch
model = fl.load("model.onnx", size=224)                            # free height and width
model = fl.load("model.onnx", input_shapes={"ids": (1, 128)})      # any other free size
model(x)                                                           # NumPy
fl.build(model, "site")                                            # for the browser
```

**Shapes.** A first dim that is free is the batch. Sizes of other free dims (`dim_param`) are said
at import; then all shapes are known, and what is computed from shapes alone folds away. A value
that decides a shape and depends on an input is E-FORMAT-019.

**Batches.** Answers of a batch are those of its examples one by one. Where a model makes them of
each other (a product of x with x transposed, a mean or a softmax over the batch, a recurrent layer
whose time comes first), reading it finds that out, from a second look at another batch size: its
batch is fixed to 1 then, `source.mixes` and a warning name the nodes, and
`input_shapes={"x": (8, 4)}` reads the model for batches of 8.

**Layout.** Inputs and outputs keep their shapes, `[N, C, H, W]` for most. Inside, convolutions and
what lies between them run channels last: at most one transpose at the entry and one at the exit
stay. `source.metadata["layouts"]` of `fanlight.formats.load_graph` says which inputs are NCHW.

**Numbers.** FLOAT, FLOAT16, BFLOAT16 and DOUBLE are float32; INT64, INT32, UINT32, UINT64 and
narrower signed numbers are int32, and 8- and 16-bit numbers wrap around within their own range;
UINT8 and BOOL stay. A constant beyond 32 bits is limited to them, with a warning.

**Control flow.** `If` on a known condition takes one branch, else it is our `cond`. `Loop` and
`Scan` of known length are our `scan`, a `Loop` that numbers end is our `while_loop`. If it has a
result for each turn, it must say how many turns there are at most, and the result has a count.
Sequences are lists at import.

**Bits.** BitCast between whole numbers of one width is computed; between floats and whole numbers
it is taken at import, from numbers that are known.

**Results of unknown length.** NonMaxSuppression, NonZero, Compress and Unique are computed at
import where their inputs are known. Else their results are as long as they can be, with a count: an
output `y` of the model that depends on it has `y_count` beside it, and what lies behind the count
means nothing. Elementwise ops, Gather, GatherND, Transpose, Reshape, Slice, Split, Pad, Concat,
Expand, Range, reductions, ArgMax, TopK, Softmax, CumSum, Shape, NonMaxSuppression and MatMul (of
rows) go on with such results; other ops are E-FORMAT-019.

**Quantised models.** QuantizeLinear, DequantizeLinear (also per axis and in blocks), QLinearConv,
QLinearMatMul, ConvInteger, MatMulInteger and DynamicQuantizeLinear give their exact steps. Products
of whole numbers (MatMul, Gemm, Einsum, MatMulInteger, ConvInteger, QLinearMatMul, QLinearConv) are
exact in int32, which wraps around. QLinearConv of images and QLinearMatMul are our ops on bytes
where weights, scales and zero points are known, and compute in whole numbers in the page, too.

**External data** is read from files in the model's folder, mapped into memory, not copied. Paths
that lead outside and links are E-FORMAT-010.
"""


def page() -> str:
    """The whole page."""
    own = sorted(op for op in HANDLERS if "." not in op)
    domains: dict[str, list[str]] = {}
    for name in sorted(op for op in HANDLERS if "." in op):
        domain, _, op = name.rpartition(".")
        domains.setdefault(domain, []).append(op)
    lists = json.loads(LISTS.read_text())
    lines = [INTRO, f"## The {len(own)} ops of ai.onnx", "", ", ".join(own) + ".", ""]
    for domain, rest in domains.items():
        lines += [f"## The {len(rest)} ops of {domain}", "", ", ".join(rest) + ".", ""]
    lines += [
        "## Node tests",
        "",
        "The node tests that the onnx package generates run against the reader",
        "(tests/formats/onnx). All pass but these:",
        "",
        "| tests | why |",
        "|---|---|",
    ]
    for kind in ("failing", "out of scope"):
        for pattern, reason in lists[kind]:
            told = ", ".join(f"`{p.removeprefix('test_')}`" for p in pattern.split("|"))
            lines.append(f"| {told} | {kind}: {reason} |")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write or check the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    made = page()
    if parser.parse_args().check:
        return int(not PAGE.exists() or PAGE.read_text(encoding="utf-8") != made)
    PAGE.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
