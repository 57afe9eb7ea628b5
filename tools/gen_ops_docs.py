"""Write docs/ops.md from the op table.

python tools/gen_ops_docs.py            write it
python tools/gen_ops_docs.py --check    exit with 1 if it is not up to date
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import fanlight as fl
import fanlight.codegen.wasm.kernels
import fanlight.formats.keras.model
from fanlight.codegen.kernel import LOWERINGS
from fanlight.formats.keras.call import LAYERS as READERS
from fanlight.ops import TABLE, Row, Unsupported, derivative, symbols
from fanlight.ops import scalar as sc
from fanlight.ops.backward import NotDifferentiable
from fanlight.ops.row import REQUIRED
from fanlight.tensor import methods

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "ops.md"

# Where people meet an op that has no function of its own name.
FUNCTIONS = {
    "conv2d_kernel": "conv2d",
    "fused_sum": "sum",
    "depthwise_conv2d_kernel": "depthwise_conv2d",
    "after": "checkpoint",
    "dim_size": "spec",
    "from_bound": "spec",
    "to_bound": "spec",
    "batch_to_space": "batch_to_space_nd",
    "random_bits": "random.bits",
    "resize_image": "tasks.classify",
    "resize_nearest": "image.resize_nearest_neighbor",
    "select": "where",
    "space_to_batch": "space_to_batch_nd",
}
# Keras layers that are this op, or this op and little else; tests/ops/test_ops_page.py reads them.
LAYERS = {
    "add": ("Add",),
    "avg_pool": ("AveragePooling2D", "AveragePooling1D"),
    "batch_norm": ("BatchNormalization",),
    "concat": ("Concatenate",),
    "conv2d": ("Conv2D", "Conv1D", "SeparableConv2D"),
    "conv2d_transpose": ("Conv2DTranspose", "Conv1DTranspose"),
    "depthwise_conv2d": ("DepthwiseConv2D", "DepthwiseConv1D", "SeparableConv2D"),
    "elu": ("ELU",),
    "gather": ("Embedding",),
    "leaky_relu": ("LeakyReLU",),
    "matmul": ("Dense",),
    "max": ("GlobalMaxPooling2D", "GlobalMaxPooling1D"),
    "max_pool": ("MaxPooling2D", "MaxPooling1D"),
    "maximum": ("Maximum",),
    "mean": ("GlobalAveragePooling2D", "GlobalAveragePooling1D", "LayerNormalization"),
    "minimum": ("Minimum",),
    "mul": ("Multiply", "Rescaling"),
    "pad": ("ZeroPadding2D", "ZeroPadding1D"),
    "prelu": ("PReLU",),
    "relu": ("ReLU",),
    "reshape": ("Reshape", "Flatten"),
    "resize_bilinear": ("Resizing",),
    "resize_nearest": ("UpSampling2D",),
    "slice": ("Cropping2D", "Cropping1D", "CenterCrop"),
    "softmax": ("Softmax",),
    "sub": ("Subtract",),
    "tile": ("RepeatVector",),
    "transpose": ("Permute",),
}
PASSES = "passes and functions of several terms make it"
ROOMS = ("", "image.", "linalg.", "random.", "signal.")

INTRO = """# Ops

<!-- Written by tools/gen_ops_docs.py from the op table in fanlight/ops. Do not edit. -->

Every op is one row of the table in `fanlight/ops`. Its NumPy meaning is the definition; every host
is compared to it, within the row's tolerance, which is relative to max(1, the largest value).
Images are `[N, H, W, C]`. A dim is a number, or free up to a bound when what was built runs
(`fl.spec(("batch", 3))`): **Free sizes** are the dims of each op's inputs that may be. The size of
a result is a number or such a dim itself; one that is computed of it (`batch + 1`) is E-OP-007.
In shapes, `...` stands for any dims, the same on both sides of an arrow.

Any call can fail with E-OP-001 (number of inputs), E-OP-002 (unknown or missing attribute),
E-OP-003 (dtype), E-OP-004 (shape), E-OP-005 (value of an attribute) or E-OP-007 (symbolic dim); the
message names the op, the argument, what was expected and what came.

**Python**: the function that people call, in its file, and the method of tensors, if there is one.
What is made of several ops has a function and no row: `dir(fl)` lists all. **Keras layers**: those
that are read as this op, or this and little else; [formats.md](formats.md) lists all that are read.

**WebAssembly**: *loops*: the generic generator; *kernel*: one of its own; *alias*: no code, the
same memory. Ops marked with + take an epilogue: further inputs and an attribute `epilogue`, a
scalar expression in which a0 is the op's own result and a1, a2, ... are those inputs, broadcast
to it.

**Gradient**: the rules are made of ops (`fanlight/ops/backward.py`), so gradients have gradients.
At a kink the derivative is that of the piece that is computed there. An op without one that stands
in the way is E-OP-008.

**Scalar body**: what an elementwise op computes, in the instructions of `fanlight/ops/scalar.py`,
with attributes at their defaults. NumPy and WebAssembly are interpreters of it.
"""


def inputs(row: Row) -> str:
    """The number of inputs, as text."""
    low, high = row.arity
    return f"{low} or more" if high is None else f"{low}" if low == high else f"{low} to {high}"


def link(text: str, file: str | None) -> str:
    """A link to a source file."""
    assert file is not None
    return f"[{text}](../{Path(file).resolve().relative_to(ROOT).as_posix()})"


def function(row: Row) -> tuple[str, Callable[..., Any]] | None:
    """The public function of an op, with its name behind `fl.`; None where passes make it."""
    if row.family == "quantized":
        return "quantize", fl.quantize
    for name in [FUNCTIONS[row.name]] if row.name in FUNCTIONS else [r + row.name for r in ROOMS]:
        found: Any = fl
        for part in name.split("."):
            found = getattr(found, part) if found and part in dir(found) else None
        if callable(found):
            return name, found
    return None


def python(row: Row) -> str:
    """What people call, as text."""
    found = function(row)
    if found is None:
        return PASSES
    name, made = found
    text = link(f"`fl.{name}`", inspect.getsourcefile(inspect.unwrap(made)))
    return text + (f", `x.{name}`" if methods.TABLE.get(name) is made else "")


def layers(row: Row) -> str:
    """The Keras layers that become this op, each with the file that reads it."""
    kinds = LAYERS.get(row.name, ())
    named = [link(f"`{kind}`", inspect.getsourcefile(READERS[kind])) for kind in kinds]
    return f" Keras layers: {', '.join(named)}." if named else ""


def wasm(row: Row) -> str:
    """How WebAssembly computes it, as text."""
    if isinstance(row.wasm, Unsupported):
        return row.wasm.why
    lowering = LOWERINGS.get("loops" if row.wasm == "loops" else row.name)
    how = row.wasm if lowering is None else link(row.wasm, inspect.getsourcefile(lowering))
    return how + (" +" if row.epilogue else "")


def gradient(row: Row) -> str:
    """How gradients pass it, as text."""
    if isinstance(row.vjp, NotDifferentiable):
        return f"none, for {row.vjp.why}"
    if row.vjp is not None:
        return link("by a rule of its own", inspect.getsourcefile(row.vjp))
    if row.partials is not None:
        return link("by its partial derivatives", inspect.getsourcefile(row.partials))
    return link("of the scalar body", derivative.__file__)


def shapes(row: Row) -> str:
    """Shapes of elementwise rows; those of others are told by the text of the row."""
    if row.scalar is None or "[..." in row.doc:
        return ""
    return " Shapes: " + ("[...] -> [...]." if row.arity == (1, 1) else "inputs broadcast.")


def tolerance(row: Row) -> str:
    """The tolerances, as text: "exact", or those that are not 0."""
    loose = [f"{name} {value:.0e}" for name, value in row.tol.items() if value]
    return ", ".join(loose).replace("e-0", "e-") or "exact"


def body(row: Row) -> str | None:
    """The scalar body with default attributes; None where there is none."""
    if row.scalar is None or any(a.default is REQUIRED for a in row.attrs.values()):
        return None
    defaults: dict[str, Any] = {name: a.default for name, a in row.attrs.items()}
    return str(row.scalar(*map(sc.arg, range(row.arity[0])), **defaults))


def section(row: Row) -> list[str]:
    """The paragraphs of one op."""
    lines = [f"### {row.name}", "", row.doc + shapes(row), ""]
    lines.append(
        f"Inputs: {inputs(row)}. Python: {python(row)}. WebAssembly: {wasm(row)}. "
        f"Tolerance: {tolerance(row)}. NaN: {row.nan}. Gradient: {gradient(row)}. "
        f"Free sizes: {symbols.told(row)}." + layers(row)
    )
    if row.attrs:
        lines += ["", "| attribute | default | |", "|---|---|---|"]
        for name, attr in row.attrs.items():
            default = "required" if attr.default is REQUIRED else f"`{attr.default!r}`"
            lines.append(f"| `{name}` | {default} | {attr.doc} |")
    text = body(row)
    if text is not None:
        lines += ["", f"Scalar body: `{text}`"]
    return [*lines, ""]


def page() -> str:
    """The whole page."""
    families: dict[str, list[Row]] = {}
    for row in TABLE.values():
        families.setdefault(row.family, []).append(row)
    lines = [INTRO]
    for family, members in families.items():
        names = ", ".join(f"[{r.name}](#{r.name})" for r in members)
        lines.append(f"- **{family}**: {names}")
    for family, members in families.items():
        about = (importlib.import_module(f"fanlight.ops.{family}").__doc__ or "").strip()
        lines += ["", f"## {family}", "", f"`fanlight/ops/{family}.py`. {about}", ""]
        for row in members:
            lines += section(row)
    return "\n".join(lines).rstrip() + "\n"


def main() -> int:
    """Write the page, or check it."""
    parser = argparse.ArgumentParser(description="Write docs/ops.md from the op table.")
    parser.add_argument("--check", action="store_true", help="only say whether it is up to date")
    if parser.parse_args().check:
        fresh = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page()
        print("up to date" if fresh else "docs/ops.md is stale: run tools/gen_ops_docs.py")
        return 0 if fresh else 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
