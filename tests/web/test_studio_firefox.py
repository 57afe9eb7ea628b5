"""Studio in a real Firefox: what it keeps, how photos come in, and a visitor's whole way."""

from __future__ import annotations

import json
import subprocess
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest

import fanlight as fl
from tests.studio.nets import plain
from tests.web.server import Site, serve
from tests.web.studio_lab import ROOT, lab
from tests.web.studio_photos import BLUE, GREEN, RED, WHITE, bad_photos, good_photos
from tests.web.studio_site import photo, write_studio

pytestmark = pytest.mark.firefox


def test_photos_come_in_and_are_kept(firefox_path: str, tmp_path: Path) -> None:
    if not (ROOT / "node_modules/puppeteer-core").is_dir():
        pytest.fail("puppeteer-core is missing: run `make setup`")
    good, bad = good_photos(), bad_photos()
    (tmp_path / "files").mkdir()
    for name, data in {**good, **{name: data for name, (data, _, _) in bad.items()}}.items():
        (tmp_path / "files" / name).write_bytes(data)
    command = [ROOT / "tools/with_node.sh", "node", Path(__file__).parent / "studio_firefox.mjs"]
    with lab(tmp_path) as site:
        done = subprocess.run(
            [*command, firefox_path, site.url, json.dumps([*good, *bad])],
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["why"] == ""  # in a worker
    assert found["errors"].keys() == bad.keys()
    for name, (code, message) in found["errors"].items():
        assert code == bad[name][1] and bad[name][2] in message, (name, message)
    for name in good:
        for seen, wanted in zip(found["looks"][name], (RED, GREEN, BLUE, WHITE)):
            most = max(abs(a - b) for a, b in zip(seen, wanted))
            assert most <= (60 if name == "cmyk.jpg" else 30), (name, found["looks"][name])
    kept = found["kept"]
    assert kept["whole"] and kept["count"] == kept["features"] == len(good)
    assert kept["head"] == [1, 2] and kept["pairs"] > 0 and kept["copies"] == [96, 96]
    assert found["gone"] == "E-STUDIO-022"


# Seconds after which a walk is ended that did not give up by itself. (It takes about 15.)
LIMIT = 400


def walk(firefox: str, url: str, folder: Path, site: Site | None = None) -> dict[str, Any]:
    """Collect, train, ask, correct, come back, take it along; the third visit is without `site`.

    What was found; with `failed`, `said` and `screen` where it did not come to its end.
    """
    if not (ROOT / "node_modules/puppeteer-core").is_dir():
        pytest.fail("puppeteer-core is missing: run `make setup`")
    downloads = folder / "downloads"
    downloads.mkdir()
    photos = []
    for kind, count in (("red", 10), ("blue", 10), ("green", 1)):
        for n in range(count):
            photos.append(str(folder / f"{kind}-{n}.png"))
            Path(photos[-1]).write_bytes(photo(kind, n))
    given = {"firefox": firefox, "url": url, "photos": photos, "downloads": str(downloads)}
    script = Path(__file__).with_name("studio_firefox_walk.mjs")
    with subprocess.Popen(
        [ROOT / "tools/with_node.sh", "node", script, json.dumps(given | {"offline": bool(site)})],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin and process.stdout
        late = threading.Timer(LIMIT, process.kill)
        late.start()
        found: dict[str, Any] = {"failed": "the walk said nothing at all"}
        for line in process.stdout:
            found = json.loads(line)
            if site and "stop" in found:
                site.down = True
                process.stdin.write("go\n")
                process.stdin.flush()
        late.cancel()
    if "failed" in found or process.returncode:
        pytest.fail(json.dumps(found, indent=1))
    return found


def as_taught(found: dict[str, Any], project: Path) -> None:
    """What a walk has to find, and the project that it took along."""
    assert found["said"] == []
    collected = {"classes": [["Red", 7], ["Blue", 7]], "trained": False, "runs": 0}
    assert found["collected"] == {**collected, "sources": ["file"]}
    assert found["report"]["accuracy"] == 1 and found["report"]["count"] > 0
    assert found["rate"] == 0.1  # as it was chosen
    assert found["asked"] == ["Red", "Blue"]
    corrected = found["corrected"]
    really, (before, after) = corrected.pop("really"), corrected.pop("scores")
    assert found["neither"] != really and after > before
    assert found["learnt"].startswith("Learnt in") and f"now says {really}" in found["learnt"]
    counts = [[name, 7 + (name == really)] for name in ("Red", "Blue")]
    kept = {"classes": counts, "trained": True, "runs": 1, "sources": ["file", "correction"]}
    assert corrected == found["again"] == kept
    assert found["askedAgain"] == ["Red", "Blue", really]
    with zipfile.ZipFile(project) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
    assert "project.json" in names and sum(name.endswith(".png") for name in names) == 15
    assert isinstance(fl.load(project), fl.Model)


def test_a_visitor_teaches_corrects_comes_back_and_needs_no_network(
    firefox_path: str, tmp_path: Path
) -> None:
    write_studio(tmp_path / "site")
    with serve(tmp_path / "site") as site:
        found = walk(firefox_path, site.url + "index.html", tmp_path, site)
    as_taught(found, tmp_path / "downloads" / found["file"])
    assert found["offline"] == found["again"] and found["askedOffline"] == ["Red", "Blue"]
    assert found["filmed"] == ["camera"]
    assert found["live"] in {"Red", "Blue", "Not sure"}  # of a picture that nobody taught


@pytest.fixture(scope="module")
def studio_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("studio") / "studio.html"
    fl.studio(path, plain(), input_range=(-1, 1), unfreeze=[], title="Small")
    return path


@pytest.mark.parametrize("where", ["file", "server"])
def test_studio_in_one_file_does_the_same(
    firefox_path: str, studio_file: Path, tmp_path: Path, where: str
) -> None:
    """Firefox keeps photos and what was learnt for a page of file:, too."""
    with serve(studio_file.parent) as site:
        url = studio_file.as_uri() if where == "file" else site.url + studio_file.name
        found = walk(firefox_path, url, tmp_path)
    as_taught(found, tmp_path / "downloads" / found["file"])
