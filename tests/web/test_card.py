"""Cards: a little Markdown becomes HTML, and HTML stays text."""

from __future__ import annotations

from fanlight.models import default_card
from fanlight.web.card import card_html


def test_the_kinds_of_block() -> None:
    text = "# A & B\n\nOne `a|b*` and **two\nlines**.\n\n- x\n- y\n  z\n\n"
    text += "| | |\n|---|:-:|\n| k | `v` |\n"
    assert card_html(text) == (
        "<h2>A &amp; B</h2>\n"
        "<p>One <code>a|b*</code> and <strong>two\nlines</strong>.</p>\n"
        "<ul><li>x</li><li>y\nz</li></ul>\n"
        "<table><tr><td>k</td><td><code>v</code></td></tr></table>"
    )


def test_blocks_need_no_blank_line_between_them() -> None:
    assert card_html("## H\ntext\n- a\n# I\n|c|") == (
        "<h2>H</h2>\n<p>text</p>\n<ul><li>a</li></ul>\n<h2>I</h2>\n<table><tr><td>c</td></tr></table>"
    )


def test_html_is_text() -> None:
    evil = "<script>alert(1)</script>"
    for form in ("{}", "# {}", "- {}", "| {} |", "`{}`", "**{}**", "x\n{}"):
        assert "<script" not in card_html(form.format(evil))
        assert "&lt;script&gt;" in card_html(form.format(evil))


def test_the_shipped_card_has_no_marks_left() -> None:
    shown = card_html(default_card())
    assert not any(mark in shown for mark in ("**", "`", "\n#", "|--"))
    assert shown.count("<h2>") == 6 and "<td>Parameters</td>" in shown
