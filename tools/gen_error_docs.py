"""Write docs/errors.md from the catalogue of errors and its explanations.

python tools/gen_error_docs.py            write it
python tools/gen_error_docs.py --check    exit with 1 if it is not up to date
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fanlight.cli.explanations import EXPLANATIONS
from fanlight.errors import CATALOGUE

PAGE = Path(__file__).resolve().parent.parent / "docs" / "errors.md"

INTRO = """# Errors

<!-- Written by tools/gen_error_docs.py from fanlight/errors.py and fanlight/cli/explanations. -->

Every failure is a `fl.FanlightError` (in a page: an `Error` with the same fields). It has a stable
`code`, and says what went wrong, `where`, what was `expected`, what was `received`, and what to do
`next`. This page says of each code what usually leads there; `fanlight explain CODE` says the same
in the terminal, with `--json` for machines.
"""
FAMILIES = {
    "E-OP": "a call of an op does not fit its row",
    "E-TENSOR": "tensors, gradients, traced functions",
    "E-LAYER": "layers and models",
    "E-TRAIN": "training",
    "E-DATA": "datasets",
    "E-GRAPH": "the structure of a graph",
    "E-INPUT": "what is handed to a model",
    "E-FORMAT": "model files",
    "E-BUILD": "building",
    "E-CALIB": "calibration of models in bytes",
    "E-BUNDLE": "built bundles",
    "E-HOST": "what runs a bundle from Python",
    "E-CONVERT": "converting models",
    "E-CLI": "commands and the server",
    "E-WEB": "the runtime in a visitor's page",
    "E-STUDIO": "Studio, the page that is taught",
}


def section(code: str) -> list[str]:
    """The paragraphs of one code."""
    told = EXPLANATIONS[code]
    lines = [f"### {code}", "", CATALOGUE[code], ""]
    lines += [f"**Usual cause.** {told.cause}", "", f"**What to do.** {told.cure}", ""]
    if told.wrong:
        lines += ["```python", f"{told.wrong}  # {code}", "", f"{told.right}  # works", "```", ""]
    return lines


def page() -> str:
    """The whole page."""
    lines = [INTRO]
    for family, about in FAMILIES.items():
        lines.append(f"- [{family}](#{family.lower()}): {about}")
    for family in FAMILIES:
        lines += ["", f"## {family}", ""]
        for code in CATALOGUE:
            if code.rsplit("-", 1)[0] == family:
                lines += section(code)
    return "\n".join(lines).rstrip() + "\n"


def main() -> int:
    """Write the page, or check it."""
    parser = argparse.ArgumentParser(description="Write docs/errors.md from the catalogue.")
    parser.add_argument("--check", action="store_true", help="only say whether it is up to date")
    if parser.parse_args().check:
        fresh = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page()
        print("up to date" if fresh else "docs/errors.md is stale: run tools/gen_error_docs.py")
        return 0 if fresh else 1
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
