"""Every model of tests/corpus/readers is read, or refused with one coded error, in little memory.

`python tools/fuzz_readers.py` finds more of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.formats.reader_seeds import KINDS, seeds
from tools.fuzz_readers import CORPUS, Worker

CASES = sorted(p for kind in CORPUS.iterdir() for p in kind.iterdir())


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    """A process of 1.5 GB of address space, which gives a model 10 seconds."""
    made = Worker()
    yield made
    made.close()


@pytest.mark.parametrize("case", CASES, ids=lambda p: f"{p.parent.name}/{p.name}")
def test_corpus(worker: Worker, case: Path) -> None:
    what, told = worker.try_folder(case.parent.name, case)
    assert what in ("loaded", "refused"), told
    assert (what, case.name) == ("loaded", "sound") or case.name != "sound"


@pytest.mark.parametrize("kind", KINDS)
def test_what_mutations_start_from_is_sound(worker: Worker, kind: str) -> None:
    found = [worker.try_case(kind, seed) for seed in seeds(kind)]
    assert found[0][0] == "loaded", found[0]
    # Some layers have no form as a graph: those files are read as layers alone.
    assert {told for what, told in found if what != "loaded"} <= {"E-FORMAT-014"}
    assert {p.parent.name for p in CASES} <= set(KINDS)


def test_a_process_that_dies_is_told(worker: Worker) -> None:
    """The next model gets a new one."""
    sound = seeds("frozen")[0]
    assert worker.try_case("frozen", sound)[0] == "loaded"
    worker._process.kill()
    worker._process.join()
    assert worker.try_case("frozen", sound)[0] == "Crash"
    assert worker.try_case("frozen", sound)[0] == "loaded"
