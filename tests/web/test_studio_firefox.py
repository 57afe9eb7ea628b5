"""What Studio keeps, and how photos come in, in a real Firefox."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.web.studio_lab import ROOT, lab
from tests.web.studio_photos import BLUE, GREEN, RED, WHITE, bad_photos, good_photos

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
