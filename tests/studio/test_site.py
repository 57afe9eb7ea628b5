"""The folder that `fanlight studio` writes: whole, verified, replaceable, installable."""

from __future__ import annotations

import hashlib
import html
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.studio import site as studio_site
from fanlight.web.site import tabs
from tests.studio.nets import SIDE, plain

RANGE = (-1, 1)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Any:
    told: list[tuple[str, int, int]] = []
    made = fl.studio(
        tmp_path_factory.mktemp("studio") / "site",
        plain(),
        input_range=RANGE,
        unfreeze=[2],
        title="Pets & <b>co</b>",
        most_classes=7,
        links={"Look": "../", "Teach": "./"},
        progress=lambda *step: told.append(step),
    )
    return made, told


def test_studio_json_lists_every_file_with_its_hash(written: Any) -> None:
    made, told = written
    index = json.loads((made.path / "studio.json").read_text())
    assert index["version"] == 1 and index["mostClasses"] == 7
    assert index["backbone"]["size"] == [SIDE, SIDE]
    assert index["backbone"]["form"] == made.backbone.form()
    for path, entry in index["files"].items():
        data = (made.path / path).read_bytes()
        assert len(data) == entry["bytes"] and hashlib.sha256(data).hexdigest() == entry["sha256"]
    shape = [(h["id"], h["head"], h["unfreeze"], h["features"]) for h in index["heads"]]
    assert shape == [
        ("linear", "linear", 0, "pooled"), ("hidden", "hidden", 0, "pooled"),
        ("neighbours", "neighbours", 0, "pooled"), ("tune-2", "linear", 2, "tune-2"),
    ]  # fmt: skip
    assert [step[0] for step in told] == ["linear", "hidden", "neighbours", "tune-2", ""]


def test_each_head_is_a_bundle_that_python_opens(written: Any) -> None:
    made, _ = written
    image = np.full((20, 30, 3), 90, np.uint8)
    for head in made.heads:
        with fl.open_bundle(made.path / "models" / head.id) as bundle:
            out = bundle.run({"image": image})
            assert out["scores"].shape == (2,) and out["heat"].shape == (8, 8, 2)
            assert bundle.manifest["dims"]["classes"] == {
                **bundle.manifest["dims"]["classes"], "min": 2, "max": 7, "size": 2,
            }  # fmt: skip
        # What TF.js has layers for can be exported as such.
        there = (made.path / "models" / head.id / "tfjs.json").is_file()
        assert there == (head.head != "neighbours")
        assert (made.path / "models" / head.id / "page.html.tpl").is_file()
        # The runtime stands once, at the root.
        assert not (made.path / "models" / head.id / "fanlight.js").exists()


def test_the_page_is_strict_installable_and_has_its_tabs(written: Any) -> None:
    made, _ = written
    page = (made.path / "index.html").read_text()
    assert "default-src 'none'" in html.unescape(page) and "Pets &amp; &lt;b&gt;co" in page
    assert '<a href="../">Look</a><a href="./" aria-current="page">Teach</a>' in page
    manifest = json.loads((made.path / "app.webmanifest").read_text())
    assert manifest["name"] == "Pets & <b>co</b>" and (made.path / "sw.js").is_file()
    worker = (made.path / "sw.js").read_text()
    for kept in ("studio.js", "models/linear/manifest.json", "models/tune-2/training.json"):
        assert kept in worker  # nothing is missing without a network
    assert "LICENSES.txt" in json.loads((made.path / "studio.json").read_text())["files"]


def test_an_older_one_is_replaced_and_nothing_else(written: Any, tmp_path: Path) -> None:
    made, _ = written
    (made.path / "notes.txt").write_text("mine")
    with pytest.raises(FanlightError) as told:
        fl.studio(made.path, plain(), input_range=RANGE, unfreeze=[])
    assert told.value.code == "E-BUILD-004" and "notes.txt" in str(told.value.received)
    (made.path / "notes.txt").unlink()
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.txt").write_text("mine")
    with pytest.raises(FanlightError):
        fl.studio(other, plain(), input_range=RANGE)
    assert [p.name for p in other.iterdir()] == ["a.txt"] and len(list(tmp_path.iterdir())) == 1


def test_without_its_scripts_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studio_site, "DIST", studio_site.PAGE / "nowhere")
    with pytest.raises(FanlightError) as told:
        fl.studio(tmp_path / "site", plain(), input_range=RANGE)
    assert told.value.code == "E-STUDIO-001" and "make setup" in str(told.value.next)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("most", [1, 1001, 2.5, "many"])
def test_a_wrong_number_of_classes_is_told(tmp_path: Path, most: Any) -> None:
    with pytest.raises(FanlightError) as told:
        fl.studio(tmp_path / "site", plain(), most_classes=most)
    assert told.value.code == "E-STUDIO-003"


def test_tabs_lead_nowhere_else() -> None:
    assert tabs("Here", None) == "" and tabs("Here", {}) == ""
    assert '<a href="./" aria-current="page">Here</a><a href="b/">&lt;B&gt;</a>' in tabs(
        "Here", {"<B>": "b/"}
    )
    for wrong in ("https://a.example/", "//a.example", "javascript:alert(1)", "/root", ""):
        with pytest.raises(FanlightError) as told:
            tabs("Here", {"x": wrong})
        assert told.value.code == "E-BUILD-005"
