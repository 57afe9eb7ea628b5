"""Run the array API standard's test suite on fanlight.array_api.

    python tools/array_api.py --suite FOLDER [--examples N] [more arguments of pytest]

FOLDER is a checkout of data-apis/array-api-tests, with its submodule and its requirements
installed. The suite is run twice: without uint8, whole; and with it, without operators, since those
of uint8 give int32 (fl's own meaning; fanlight.array_api wraps around). tools/array_api_skips.txt
lists what is left out, and why.

Without a checkout, tests/array_api compares every function with NumPy (in `make test`).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SKIPS = ROOT / "tools" / "array_api_skips.txt"
VERSION = "2024.12"
# Ids of tests of an operator: test_add[__add__(x1, x2)], test_bitwise_and[__iand__(x, s)].
OPERATORS = "__"


def runs(
    suite: Path, examples: int, more: list[str]
) -> list[tuple[str, dict[str, str], list[str]]]:
    """What is run: a title, variables of the environment, and a command."""
    command = [sys.executable, "-m", "pytest", "-rxXfE", "array_api_tests"]
    # In one word each: pytest takes a path that stands alone for a place of tests.
    command += [f"--rootdir={suite.resolve()}", f"--skips-file={SKIPS}"]
    command += [f"--max-examples={examples}", *more]
    common = {
        "ARRAY_API_TESTS_MODULE": "fanlight.array_api",
        "ARRAY_API_TESTS_VERSION": VERSION,
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).rstrip(":"),
    }
    return [
        ("all but uint8", {**common, "ARRAY_API_TESTS_SKIP_DTYPES": "uint8"}, command),
        ("functions, with uint8", common, [*command, "-k", f"not {OPERATORS}"]),
    ]


def reasons(text: str) -> dict[str, str]:
    """Every line of a skips file with the comment above it."""
    found, comment, fresh = {}, "", False
    for line in text.splitlines():
        if line.startswith("#"):
            comment = f"{comment} {line[1:].strip()}".strip() if fresh else line[1:].strip()
            fresh = True
        elif line.strip():
            found[line.strip()] = comment
            fresh = False
        else:
            comment, fresh = "", False
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--suite", type=Path, help="a checkout of data-apis/array-api-tests")
    parser.add_argument("--examples", type=int, default=20, help="per test (default: 20)")
    options, more = parser.parse_known_args(arguments)
    left_out = reasons(SKIPS.read_text("utf-8"))
    if options.suite is None:
        print("Give a checkout of the suite: --suite FOLDER. Left out of it would be:\n")
        for line, reason in left_out.items():
            print(f"{line}\n    {reason}")
        return 0
    if not (options.suite / "array_api_tests").is_dir():
        print(f"{options.suite} has no folder array_api_tests: it is no checkout of the suite.")
        return 2
    worst = 0
    for title, variables, command in runs(options.suite, options.examples, more):
        print(f"--- {title}: {len(left_out)} lines of {SKIPS.name} left out", flush=True)
        done = subprocess.run(
            command, cwd=options.suite, env={**os.environ, **variables}, check=False
        )
        worst = max(worst, done.returncode)
    return worst


if __name__ == "__main__":
    sys.exit(main())
