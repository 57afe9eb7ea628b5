"""What fit, evaluate and predict show, in a terminal and elsewhere."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import fanlight as fl
from fanlight.layers import progress

L = fl.layers
X, Y = np.ones((6, 2), np.float32), np.ones((6, 1), np.float32)
FOUR = {"loss": 0.25, "accuracy": 0.5, "precision": 0.75, "val_top_k_accuracy": 0.125}


def model() -> Any:
    made = fl.Sequential([fl.Input((2,)), L.Dense(1, name="out")])
    made.compile("sgd", "mse", metrics=["mae"])
    return made


class Terminal(io.StringIO):
    """A text stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def in_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """sys.stdout is a terminal of 80 columns; not in a fixture: pytest has its own by the test."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    found = Terminal()
    monkeypatch.setattr("sys.stdout", found)
    return found


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


def test_evaluate_shows_a_bar_with_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = in_terminal(monkeypatch)
    made = model()
    for verbose in (1, "auto"):
        terminal.truncate(0)
        made.evaluate(X, Y, batch_size=2, verbose=verbose)
        told = plain(terminal.getvalue())
        assert re.search(r"evaluate ━+.* 1/3 .*loss \d", told), told
        assert re.search(r"evaluate  \d+\.\d s  loss \S+  mae \S+\n", told), told
        terminal.truncate(0)
        made.predict(X, batch_size=2, verbose=verbose)
        assert re.search(r"predict ━+.* 1/3 ", plain(terminal.getvalue()))
    terminal.truncate(0)
    made.evaluate(X, Y, verbose=0)
    made.predict(X, verbose=0)
    made.predict_on_batch(X)
    made.test_on_batch(X, Y)
    assert not terminal.getvalue()


def test_elsewhere_they_print_a_line_where_it_is_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    made = model()
    for verbose in (1, 2):
        made.evaluate(X, Y, verbose=verbose)
        assert re.fullmatch(r"evaluate  \d+\.\d s  loss \S+  mae \S+\n", capsys.readouterr().out)
        made.predict(X, verbose=verbose)
        assert re.fullmatch(r"predict  \d+\.\d s\n", capsys.readouterr().out)
    made.evaluate(X, Y)
    made.predict(X)
    assert not capsys.readouterr().out


def test_validation_has_no_bar_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = in_terminal(monkeypatch)
    model().fit(X, Y, validation_data=(X, Y))
    told = plain(terminal.getvalue())
    assert "evaluate" not in told and "epoch 1/1  " in told and "val_mae" in told


def test_a_bar_goes_away_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = in_terminal(monkeypatch)

    def broken() -> Any:
        yield X, Y
        raise KeyError("the data end here")

    with pytest.raises(KeyError):
        model().evaluate(broken(), verbose=1)
    assert terminal.getvalue().count("\x1b[?25h") == 1  # the cursor is there again


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_metrics_are_cut_and_not_the_bar(width: int) -> None:
    out = io.StringIO()
    console = Console(file=out, width=width, force_terminal=True, color_system=None)
    bar = progress.bar_of(console)
    task = bar.add_task("epoch 10/100", total=1000, logs=[])
    bar.update(task, completed=500, logs=progress._parts(FOUR))
    console.print(bar.get_renderable())
    lines = out.getvalue().rstrip("\n").split("\n")
    assert len(lines) == 1 and len(lines[0].rstrip()) <= width
    for part in ("epoch 10/100", "━" * 12, " 500/1000", "-:--"):
        assert part in lines[0], lines[0]
    shown = [part for part in progress._parts(FOUR) if part in lines[0]]
    assert len(shown) == {60: 0, 80: 1, 100: 3, 200: 4}[width]
    assert lines[0].rstrip().endswith(shown[-1] if shown else "-:--")


def test_lines_of_ended_epochs_keep_names_and_numbers_together() -> None:
    parts = ["epoch 1/3", "0.1 s", *progress._parts(FOUR)]
    for width in (40, 60, 80):
        lines = progress.folded(parts, width).split("\n")
        assert all(len(line) <= width for line in lines)
        assert [p for line in lines for p in line.strip().split("  ")] == parts
    assert len(progress.folded(parts, 200).split("\n")) == 1
