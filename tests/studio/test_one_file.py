"""Studio as one HTML file: what is in it, and what is refused. What it does: tests/web."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.studio.site import DIST
from tests.studio.nets import plain

pytestmark = pytest.mark.skipif(
    not (DIST / "one_file.js").is_file(), reason="Studio was not bundled: npm run studio"
)
PART = re.compile(r'<script type="([^"]+)" id="([^"]+)">([^<]*)</script>')


def write(path: Path, **options: object) -> Any:
    given = {"input_range": (-1, 1), "unfreeze": [], "heads": ["linear"]} | options
    return fl.studio(path, plain(), **given)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("one") / "studio.html"
    made = write(path, heads=["linear", "hidden"])
    assert [head.id for head in made.heads] == ["linear", "hidden"]
    return path.read_text("utf-8")


def test_every_file_is_in_it_once_and_whole(text: str) -> None:
    parts = {name: (kind, data) for kind, name, data in PART.findall(text)}
    index = json.loads(parts["fanlight-studio"][1])
    files = index["files"]
    assert {f"file-{file['sha256']}" for file in files.values()} == {
        name for name in parts if name.startswith("file-")
    }
    for name, (kind, data) in parts.items():
        if name.startswith("file-"):
            assert kind == "application/gzip;base64"
            raw = gzip.decompress(base64.b64decode(data))
            assert hashlib.sha256(raw).hexdigest() == name.removeprefix("file-")
    # What two heads have in common is not there twice.
    assert len(files) == len({file["sha256"] for file in files.values()})
    for head in index["heads"]:
        assert {head["url"], *head["files"].values()} <= set(files)
        assert {"training.json", "page.html.tpl", "tfjs.json"} <= set(head["files"])
    # What an exported classifier takes along, and nothing of the page of a folder.
    assert {"fanlight.js", "worker.js", "train.js", "page.css"} <= set(files)
    assert not {"studio.js", "sw.js", "studio.css", "index.html", "one_file.js"} & set(files)
    licenses = text.partition(' id="licenses">')[2].partition("</script>")[0]
    assert "\nlit " in licenses and "Copyright" in licenses


def test_it_replaces_a_page_of_ours_only(tmp_path: Path) -> None:
    path = tmp_path / "own.html"
    path.write_text("<p>my homework</p>")
    with pytest.raises(FanlightError) as caught:
        write(path)
    assert caught.value.code == "E-BUILD-004" and path.read_text() == "<p>my homework</p>"
    path.unlink()
    write(path)
    first = path.read_bytes()
    write(path)
    assert path.read_bytes() == first  # and is the same each time


@pytest.mark.parametrize("heads", [[], ["hidden"], ["linear", "tree"], "linear"])
def test_wrong_heads_are_refused(tmp_path: Path, heads: object) -> None:
    with pytest.raises(FanlightError) as caught:
        write(tmp_path / "studio.html", heads=heads)
    assert caught.value.code == "E-STUDIO-003" and caught.value.where == "heads"
    assert list(tmp_path.iterdir()) == []


def test_in_one_file_only_the_least_is_unfrozen_unless_asked(tmp_path: Path) -> None:
    from fanlight.studio.backbone import backbone_of
    from fanlight.studio.heads import heads_for
    from fanlight.studio.site import _offered

    heads = heads_for(backbone_of(plain(), input_range=(-1, 1)), [1, 2])
    assert [h.id for h in _offered(heads, None, True)][3:] == ["tune-1"]
    assert [h.id for h in _offered(heads, None, False)][3:] == ["tune-1", "tune-2"]
