"""`fanlight studio`: which heads it writes, and what it says of them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fanlight.cli.app import cli
from fanlight.studio.site import DIST
from fanlight.web.headers import STRICT_CSP
from tests.cli.test_commands import fetched
from tests.studio.nets import plain
from tests.support import ROOT

pytestmark = pytest.mark.skipif(
    not (DIST / "studio.js").is_file(), reason="Studio was not bundled: npm run studio"
)


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("backbone") / "plain.keras"
    plain().save(path)
    return path


def studio(backbone: Path, *arguments: object) -> Result:
    given = ["studio", "--backbone", backbone, "--input-range", "-1,1", *arguments]
    return CliRunner().invoke(cli, [str(a) for a in given], prog_name="fanlight")


def test_only_the_heads_that_were_named(backbone: Path, tmp_path: Path) -> None:
    out = tmp_path / "site"
    result = studio(
        backbone, "--heads", "neighbours, linear", "--unfreeze", "0", "-o", out, "--json"
    )
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["heads"] == ["linear", "neighbours"]  # in the order of the page
    index = json.loads((out / "studio.json").read_text("utf-8"))
    assert [head["id"] for head in index["heads"]] == told["heads"]
    assert told["bytes"]["model"] == index["heads"][0]["bytes"]
    manifests = {path.name for path in (out / "models").glob("*.json") if "-" not in path.name}
    assert manifests == {"linear.json", "neighbours.json"}


def test_it_is_served_when_it_is_written(backbone: Path, tmp_path: Path) -> None:
    arguments = "--input-range -1,1 --heads linear --unfreeze 0 --headers netlify --port 0 --serve"
    process = subprocess.Popen(
        [sys.executable, "-m", "fanlight", "studio", "--backbone", str(backbone),
         "-o", str(tmp_path / "site"), *arguments.split()],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    lines = iter(process.stdout.readline, "")
    url = next(w for line in lines for w in line.split() if w.startswith("http://127.0.0.1:"))
    page = fetched(url + "/")
    assert b"<fanlight-studio" in page
    index = json.loads(fetched(url + "/studio.json"))
    for path in ("studio.js", index["heads"][0]["files"]["graph.json"]):
        assert len(fetched(f"{url}/{path}")) == index["files"][path]["bytes"]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 0
    assert STRICT_CSP in (tmp_path / "site" / "_headers").read_text("utf-8")


@pytest.mark.parametrize("wrong", ["hidden", "linear,tree", "", ",", "LINEAR"])
def test_heads_that_there_are_not(backbone: Path, tmp_path: Path, wrong: str) -> None:
    """The page begins with the linear one, so that is always among them."""
    for out in (tmp_path / "site", tmp_path / "one.html"):
        result = studio(backbone, "--heads", wrong, "-o", out)
        assert result.exit_code == 1 and "E-STUDIO-003" in result.output
        assert "linear, and any of hidden, neighbours" in " ".join(result.output.split())
    assert list(tmp_path.iterdir()) == []
