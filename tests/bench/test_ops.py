"""What `bench ops` stands on: every row has a call or a reason, bounds are what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench import ops
from bench.op_cases import LEFT_OUT, WHY, Case, cases, numbers, uncovered
from fanlight.codegen.wasm.scalar_code import instructions
from fanlight.ops import TABLE
from fanlight.ops import scalar as sc

SMALL = (16, 64)


def test_every_row_is_timed_or_left_out_with_a_reason() -> None:
    assert uncovered() == []
    timed = {case.op for case in cases(*SMALL)}
    assert not timed & set(LEFT_OUT)
    assert set(WHY) <= timed <= set(TABLE)


def test_every_case_compiles_and_runs() -> None:
    runner = ops.Wasmtime()
    for number, case in enumerate(cases(*SMALL)):
        subject = ops.Subject(f"s{number}", case)
        runner.load(subject.module)
        assert runner.best(subject.module.name, "repeat", 2) >= 0, case
        assert subject.read and subject.written
        runner.forget(subject.module.name)


def test_instructions_are_counted_without_constants_and_locals() -> None:
    a, b = sc.arg(0), sc.arg(1)
    assert instructions(a + b, ["float32", "float32"]) == 1
    assert instructions((a + 1.0) * (a + 1.0), ["float32"]) == 2  # shared parts once
    assert instructions(sc.exp(a), ["float32"]) > 20


def test_bounds() -> None:
    machine = ops.Machine(8e9, {1000: 4e9, 100000: 2e9}, {1000: 2e9, 100000: 1e9})
    assert machine.seconds(500, 500) == pytest.approx(1000 / 2e9)
    # A sum reads alone; a fill is a copy that reads nothing.
    assert machine.seconds(1000, 0) == pytest.approx(1000 / 4e9)
    assert machine.seconds(0, 100000) == pytest.approx(100000 / 1e9)
    case = Case("add", "", lambda: [numbers((16, 16)), numbers((16, 16))])
    subject = ops.Subject("add", case)
    assert (subject.read, subject.written, subject.flops) == (2048, 1024, 2 * 256)
    subject.found["Chromium"] = [(6e-6, 2e-6, 1e-6), (6e-6, 1e-6, 3e-6), (6e-6, 1e-6, 3e-6)]
    row = subject.row("memory")
    assert (row["bound"], row["Chromium, %"], row["ok"]) == ("FMA", 50, True)


def test_the_tables_go_between_their_marks(tmp_path: Path) -> None:
    rows = [
        {"op": op, "call": call, "in": where, "bound": "memory", "ok": share > 33 or None,
         "Chromium, %": share, "Chromium, ms": 1.0, "wasmtime, %": other, "wasmtime, ms": 1.0}
        for op, call, where, share, other in (
            ("add", "float32", "memory", 90, 50), ("add", "a row to all", "memory", 70, 60),
            ("add", "float32", "cache", 80, 30), ("sort", "rows", "memory", 20, 25),
        )
    ]  # fmt: skip
    text = ops.section(rows)
    assert "| add | 2 | memory | 70 % | 80 % | 50 % | 30 % |" in text
    assert "Of 4 measurements under a third: 1 in Chromium, 2 in wasmtime, 1 in both:" in text
    assert "| sort | rows | memory | memory | 20 % | 25 % |" in text
    path = tmp_path / "page.md"
    path.write_text(f"before\n{ops.BEGIN}old\n{ops.END}after\n")
    for _ in range(2):
        ops.write_into(path, text)
        assert path.read_text() == f"before\n{ops.BEGIN}\n{text}\n{ops.END}after\n"


def test_numbers_are_the_same_in_every_run() -> None:
    assert np.array_equal(numbers((3, 4)), numbers((3, 4)))
    assert numbers((50,), high=7).max() < 7
