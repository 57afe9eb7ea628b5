"""Golden cases: a folder of readable text per model, reviewed as a diff when it changes.

FANLIGHT_UPDATE_GOLDEN=1 rewrites the texts: `graph.txt` is the model, `legal.txt` what the passes
leave of it, `manifest.json` the protocol (without hashes and the list of the runtime's files).
"""

from __future__ import annotations

import json
import os
import runpy
from pathlib import Path

import pytest

import fanlight as fl
from fanlight.graph import parse, to_text
from fanlight.passes import optimize
from fanlight.targets import TARGETS

HERE = Path(__file__).parent
CASES = sorted(p.parent.name for p in HERE.glob("*/model.py"))
UPDATE = bool(os.environ.get("FANLIGHT_UPDATE_GOLDEN"))


def texts_of(case: str, folder: Path) -> dict[str, str]:
    """The files of a case as they are now."""
    made = runpy.run_path(str(HERE / case / "model.py"))
    graph, task = made["make"](), made.get("TASK")
    whole = graph if task is None else task.apply(graph)[0]
    with fl.build(graph, folder / "site", task=task) as bundle:
        manifest = dict(bundle.manifest)
    for entry in (*manifest["modules"], *manifest["weights"]):
        for key in ("path", "sha256"):
            del entry[key]
    for entry in manifest["modules"]:
        del entry["bytes"]
    del manifest["files"], manifest["producer"]
    return {
        "graph.txt": to_text(whole).rstrip("\n") + "\n",
        "legal.txt": to_text(optimize(whole, TARGETS[0])).rstrip("\n") + "\n",
        "manifest.json": json.dumps(manifest, indent=1) + "\n",
    }


def test_there_are_cases() -> None:
    assert len(CASES) >= 3
    assert not (UPDATE and os.environ.get("CI")), "goldens are updated by people, not by CI"


@pytest.mark.parametrize("case", CASES)
def test_golden(case: str, tmp_path: Path) -> None:
    for name, text in texts_of(case, tmp_path).items():
        path = HERE / case / name
        if UPDATE:
            path.write_text(text, "utf-8")
        assert path.is_file(), f"no {path.name} yet: run with FANLIGHT_UPDATE_GOLDEN=1"
        assert path.read_text("utf-8") == text, "changed; FANLIGHT_UPDATE_GOLDEN=1 takes it over"


@pytest.mark.parametrize("case", CASES)
def test_golden_texts_parse(case: str) -> None:
    """They are not only for reading: small weights are inline, so they are whole programs."""
    for name in ("graph.txt", "legal.txt"):
        text = (HERE / case / name).read_text("utf-8")
        assert to_text(parse(text)).rstrip("\n") + "\n" == text
