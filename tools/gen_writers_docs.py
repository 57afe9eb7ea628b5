"""Writes docs/writers.md: every op of the table, and how it is written for TF.js and ONNX.

Run: python tools/gen_writers_docs.py
"""

from __future__ import annotations

import ast
from pathlib import Path
from types import ModuleType

from fanlight.formats import onnx_writer, tfgraph_writer
from fanlight.formats.onnx_writer.writer import WRITES as ONNX
from fanlight.formats.spelling import SPELLINGS
from fanlight.formats.tfgraph_writer.writer import WRITES as TFJS
from fanlight.ops.row import TABLE

PAGE = Path(__file__).parent.parent / "docs" / "writers.md"
_PASSES = "made by passes for code, never in what a reader gives"
_MATRICES = "no op there, and computed in float64 here: ops of float32 would be less exact"
# What is not written, and why.
REASONS = {
    **dict.fromkeys(("fused", "fused_sum", "to_bound", "from_bound"), _PASSES),
    **dict.fromkeys("cholesky det eigh qr slogdet solve svd triangular_solve".split(), _MATRICES),
    "random_bits": "numbers of a key; there each run draws others: draw them before, as inputs",
    "resize_image": "of a picture of any size, in the page: give the model the picture resized",
    "scan": "written out turn by turn, up to 4,096 turns",
}
FORMATS = {"TF.js": TFJS, "ONNX": ONNX}


def way(op: str, format: str) -> str:
    """How an op is written: "own", "of others", or why it is not."""
    if op in FORMATS[format]:
        return "own"
    return "of others" if op in SPELLINGS else REASONS[op]


def limits(package: ModuleType) -> dict[str, list[str]]:
    """What a writer refuses of ops that it has: function -> the texts of its errors."""
    found: dict[str, list[str]] = {}
    for path in sorted(Path(str(package.__file__)).parent.glob("*.py")):
        for function in ast.walk(ast.parse(path.read_text())):
            if not isinstance(function, ast.FunctionDef):
                continue
            for node in ast.walk(function):
                text = _text(node)
                if text is not None and text not in (known := found.setdefault(function.name, [])):
                    known.append(text)
    return found


def _text(node: ast.AST) -> str | None:
    """The text of an error that is raised here."""
    if not isinstance(node, ast.Raise) or not isinstance(node.exc, ast.Call):
        return None
    if not isinstance(node.exc.func, ast.Name) or node.exc.func.id != "Unsupported":
        return None
    argument = node.exc.args[0]
    if isinstance(argument, ast.Constant):
        return str(argument.value)
    parts = argument.values if isinstance(argument, ast.JoinedStr) else []
    return "".join(str(p.value) if isinstance(p, ast.Constant) else "..." for p in parts)


def page() -> str:
    """The page as it should be."""
    counts = {f: sum(way(op, f) in ("own", "of others") for op in TABLE) for f in FORMATS}
    lines = [
        "<!-- Written by tools/gen_writers_docs.py. -->",
        "# Ops in graph-models and ONNX",
        "",
        f"Of the {len(TABLE)} ops of the table {counts['TF.js']} are written for TF.js and "
        f"{counts['ONNX']} for ONNX: as ops there, or put together of others "
        "(`fanlight/formats/spelling.py`). Ops on bytes are ops of whole numbers in ONNX "
        "(QLinearConv, ConvInteger, MatMulInteger) and give the same bytes; TF.js has none, and "
        "computes them in float32, exactly as long as sums stay below 2^24. Whatever is not "
        "written is told by name, all at once (E-FORMAT-040); a bundle of `fl.build` holds every "
        "op.",
        "",
        "## Not as they are",
        "",
        "| op | TF.js | ONNX |",
        "|---|---|---|",
    ]
    for op in sorted(TABLE):
        ways = [way(op, f) for f in FORMATS]
        if ways != ["own", "own"]:
            lines.append(f"| `{op}` | {ways[0]} | {ways[1]} |")
    lines += ["", "All others have their own ops, or a few of them, in both.", ""]
    for name, package in (("TF.js", tfgraph_writer), ("ONNX", onnx_writer)):
        lines += [f"## Limits of {name}", ""]
        texts = sorted({t for found in limits(package).values() for t in found})
        lines += [f"- {t}" for t in texts]
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page())
