"""Write the list of PyTorch's operators in docs/formats.md from the table of importers.

python tools/gen_torch_docs.py            write it
python tools/gen_torch_docs.py --check    exit with 1 if it is not up to date
"""

from __future__ import annotations

import argparse
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import fanlight.formats.torch.reader  # noqa: E402, F401  (fills the table)
from fanlight.formats.torch.call import HANDLERS  # noqa: E402
from fanlight.formats.torch.complex import RULES  # noqa: E402

PAGE = ROOT / "docs" / "formats.md"
TITLE = "## Operators of PyTorch"
NEXT = "\n## Keras layers"
INTRO = f"""{TITLE}

<!-- This section is written by tools/gen_torch_docs.py. -->

`fl.from_torch` lets PyTorch write what is not in this list as simpler operators; for a `.pt2` file
that is `program.run_decompositions()` before `torch.export.save`. Operators that write into a
tensor (`add_`, `copy_`, `zero_`) are read where the ones without `_` are: what they write reaches
all that shares the memory, views and what they are views of. Those with `out=` and those that
change dims in place (`t_`, `squeeze_`) are left to `run_decompositions`.

What is as long as the numbers want (`x[mask]`, `nonzero`, `masked_select`, `unique`,
`torchvision::nms`) leaves the model padded, with its length beside it: `boxes` and `boxes_count`.
In the model it goes through elementwise operators, indexing, slices, `cat`, `view`, reductions,
`sort`, `topk`, `matmul` and more; where an operator would need two such sizes at once, the error
says so. A size that comes of a number (`n.item()`, `bincount`, `repeat_interleave`) needs a bound
in the module: `torch._check(n <= 100)`. `rand` and the like are drawn once, when the model is read.

Of `aten`, in all overloads unless one is named:
"""

COMPLEX = """Complex numbers are pairs of real tensors on the way, for the graph has none. A complex
input or output has a last dim of 2 on the page, real and imaginary part, as of
`torch.view_as_real`; a warning says so. These are read of complex numbers, or make them; others
name what to take before (`.abs()`, `.real`):
"""


def section() -> str:
    """The whole section."""
    aten = {k.removeprefix("aten.") for k in HANDLERS if k.startswith("aten.")}
    own = sorted(k for k in aten if not k.endswith("_") or k[:-1] not in aten)
    rest = sorted(k for k in HANDLERS if not k.startswith("aten."))
    lists = [", ".join(f"`{n}`" for n in names) for names in (own, [*rest, "higher_order.cond"])]
    lists.append(", ".join(f"`{n}`" for n in sorted(aten & set(RULES))))
    wrapped = ["\n".join(textwrap.wrap(t, 110, break_on_hyphens=False)) for t in lists]
    return (
        f"{INTRO}\n{wrapped[0]}\n\nBeside them: {wrapped[1]}, and arithmetic on sizes.\n\n"
        f"{COMPLEX}\n{wrapped[2]}\n"
    )


def page(text: str) -> str:
    """docs/formats.md with the section in its place."""
    head, _, tail = text.partition(NEXT)
    return head.partition(f"\n{TITLE}")[0] + f"\n{section()}{NEXT}{tail}"


def main() -> int:
    """Write or check the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    text = PAGE.read_text(encoding="utf-8")
    made = page(text)
    if parser.parse_args().check:
        return int(text != made)
    PAGE.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
