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
from fanlight.web.headers import FOREVER, STRICT_CSP
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
        headers=["netlify", "vercel"],
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
    index = json.loads((made.path / "studio.json").read_text())
    beside = {head["id"]: head["files"] for head in index["heads"]}
    image = np.full((20, 30, 3), 90, np.uint8)
    for head in made.heads:
        with fl.open_bundle(made.path / "models" / f"{head.id}.json") as bundle:
            assert bundle.graph.outputs
            out = bundle.run({"image": image})
            assert out["scores"].shape == (2,) and out["heat"].shape == (8, 8, 2)
            assert bundle.manifest["dims"]["classes"] == {
                **bundle.manifest["dims"]["classes"], "min": 2, "max": 7, "size": 2,
            }  # fmt: skip
        # What TF.js has layers for can be exported as such.
        assert ("tfjs.json" in beside[head.id]) == (head.head != "neighbours")
        assert {"page.html.tpl", "training.json", "index.html"} <= set(beside[head.id])
        assert set(beside[head.id].values()) <= set(index["files"])
    # The runtime stands once, at the root.
    assert not list((made.path / "models").glob("fanlight*"))


def test_what_heads_have_in_common_stands_once(written: Any) -> None:
    made, _ = written
    index = json.loads((made.path / "studio.json").read_text())
    hashes = [entry["sha256"] for entry in index["files"].values()]
    assert len(hashes) == len(set(hashes))
    beside = {head["id"]: head["files"] for head in index["heads"]}
    for name in ("still.safetensors", "page.html.tpl"):
        pooled = {beside[head][name] for head in ("linear", "hidden", "neighbours")}
        assert len(pooled) == 1
    # No file is of none.
    used = {head["url"] for head in index["heads"]} | {
        p for b in beside.values() for p in b.values()
    }
    for head in index["heads"]:
        manifest = json.loads((made.path / head["url"]).read_text())
        used |= {f"models/{e['path']}" for e in (*manifest["weights"], *manifest["modules"])}
    assert used == {path for path in index["files"] if path.startswith("models/")}


def test_the_page_is_strict_installable_and_has_its_tabs(written: Any) -> None:
    made, _ = written
    page = (made.path / "index.html").read_text()
    assert "default-src 'none'" in html.unescape(page) and "Pets &amp; &lt;b&gt;co" in page
    assert '<a href="../">Look</a><a href="./" aria-current="page">Teach</a>' in page
    manifest = json.loads((made.path / "app.webmanifest").read_text())
    assert manifest["name"] == "Pets & <b>co</b>" and (made.path / "sw.js").is_file()
    worker = (made.path / "sw.js").read_text()
    index = json.loads((made.path / "studio.json").read_text())
    of = {path: part for path, _, _, part in json.loads(worker.split("FILES=")[1].split(";")[0])}
    # Nothing is missing without a network, and the page does not wait for what is of the models.
    assert {p for p in index["files"] if p.startswith("models/")} <= set(of)
    assert of["studio.js"] == of["models/linear.json"] == 0
    files = index["heads"][0]["files"]
    models = ("training.json", "page.html.tpl", "graph.json", "package.json")
    assert {of[files[name]] for name in models} == {1}
    assert "LICENSES.txt" in json.loads((made.path / "studio.json").read_text())["files"]


def test_static_hosts_are_told_the_headers(written: Any) -> None:
    made, _ = written
    rules = (made.path / "_headers").read_text("utf-8")
    assert STRICT_CSP in rules and "Cross-Origin-Embedder-Policy: require-corp" in rules
    shared = next((made.path / "models").glob("graph-*.json")).name
    assert f"/models/{shared}\n  Cache-Control: {FOREVER}" in rules
    assert "/models/linear.json\n" not in rules  # another build has another one of this name
    json.loads((made.path / "vercel.json").read_text("utf-8"))
    # What they are told with is nothing that pages ask for.
    worker = (made.path / "sw.js").read_text("utf-8")
    assert "vercel.json" not in worker and "_headers" not in worker


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
