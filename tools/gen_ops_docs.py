"""Write docs/ops.md from the op table.

python tools/gen_ops_docs.py            write it
python tools/gen_ops_docs.py --check    exit with 1 if it is not up to date
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fanlight.ops import TABLE, Row, Unsupported
from fanlight.ops import scalar as sc
from fanlight.ops.backward import NotDifferentiable
from fanlight.ops.row import REQUIRED

PAGE = Path(__file__).resolve().parent.parent / "docs" / "ops.md"

INTRO = """# Ops

<!-- Written by tools/gen_ops_docs.py from the op table in fanlight/ops. Do not edit. -->

Every op is one row of the table in `fanlight/ops`. Its NumPy meaning is the definition; every host
is compared to it, within the row's tolerance, which is relative to max(1, the largest value).
Images are `[N, H, W, C]`. Shapes are fixed, except for the picture that `resize_image` takes.

Any call can fail with E-OP-001 (number of inputs), E-OP-002 (unknown or missing attribute),
E-OP-003 (dtype), E-OP-004 (shape), E-OP-005 (value of an attribute) or E-OP-007 (symbolic dim); the
message names the op, the argument, what was expected and what came.

**WebAssembly**: *loops*: the generic generator (`codegen/wasm/kernels/loops.py`); *kernel*: one of
its own in `codegen/wasm/kernels`; *alias*: no code, the same memory. Ops marked with + take an
epilogue: further inputs and an attribute `epilogue`, a scalar expression in which a0 is the op's
own result and a1, a2, ... are those inputs, broadcast to it.

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


def wasm(row: Row) -> str:
    """How WebAssembly computes it, as text."""
    how = row.wasm.why if isinstance(row.wasm, Unsupported) else row.wasm
    return how + (" +" if row.epilogue else "")


def gradient(row: Row) -> str:
    """How gradients pass it, as text."""
    if isinstance(row.vjp, NotDifferentiable):
        return f"none, for {row.vjp.why}"
    if row.vjp is not None:
        return "by a rule of its own"
    return "of the scalar body" if row.partials is None else "by its partial derivatives"


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
    lines = [f"### {row.name}", "", row.doc, ""]
    lines.append(
        f"Inputs: {inputs(row)}. WebAssembly: {wasm(row)}. Tolerance: {tolerance(row)}. "
        f"NaN: {row.nan}. Gradient: {gradient(row)}."
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
