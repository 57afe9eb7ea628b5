"""Write fanlight/tensor/method_types.pyi: the methods of Tensor as type checkers see them.

    python tools/gen_methods.py [--check]

The methods are bound while Fanlight is imported (fanlight/tensor/methods.py has the table); this
file holds their signatures, and is read by type checkers only. `--check` fails if it is not up to
date.
"""

from __future__ import annotations

import argparse
import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from fanlight.tensor.methods import TABLE  # noqa: E402

TARGET = ROOT / "fanlight" / "tensor" / "method_types.pyi"
HEAD = '''"""The methods of Tensor, for type checkers only; written by tools/gen_methods.py."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fanlight.tensor.core import Tensor
from fanlight.tensor.functions import Axes


class Methods:
    """What fanlight.tensor.methods binds: each is the function of its name."""
'''


def signature(name: str, function: Callable[..., Any]) -> str:
    """One method: the function's parameters with `self` in place of the first."""
    whole = inspect.signature(function)
    first, *rest = whole.parameters.values()
    own = inspect.Parameter("self", first.kind)
    parameters = ", ".join(_plain(p) for p in (own, *rest))
    returned = whole.return_annotation
    return f"    def {name}({parameters}) -> {returned}: ...\n"


def _plain(parameter: inspect.Parameter) -> str:
    """A parameter as source; annotations are strings already."""
    text = ("*" if parameter.kind is parameter.VAR_POSITIONAL else "") + parameter.name
    if parameter.annotation is not parameter.empty:
        text += f": {parameter.annotation}"
    if parameter.default is not parameter.empty:
        text += f" = {parameter.default!r}"
    return text


def made() -> str:
    """The whole file, formatted."""
    text = HEAD + "".join("\n" + signature(*row) for row in sorted(TABLE.items()))
    command = [sys.executable, "-m", "ruff", "format", "-", "--stdin-filename", str(TARGET)]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=True, cwd=ROOT)
    return done.stdout


def main() -> int:
    """Write the file, or compare it."""
    parser = argparse.ArgumentParser(description="The methods of Tensor for type checkers.")
    parser.add_argument("--check", action="store_true", help="fail if it is not up to date")
    text = made()
    if parser.parse_args().check:
        if TARGET.read_text(encoding="utf-8") != text:
            print("method_types.pyi is not up to date: run tools/gen_methods.py")
            return 1
        return 0
    TARGET.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
