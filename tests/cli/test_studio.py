"""`fanlight studio`: which heads it writes, and what it says of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fanlight.cli.app import cli
from fanlight.studio.site import DIST
from tests.studio.nets import plain

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


@pytest.mark.parametrize("wrong", ["hidden", "linear,tree", "", ",", "LINEAR"])
def test_heads_that_there_are_not(backbone: Path, tmp_path: Path, wrong: str) -> None:
    """The page begins with the linear one, so that is always among them."""
    for out in (tmp_path / "site", tmp_path / "one.html"):
        result = studio(backbone, "--heads", wrong, "-o", out)
        assert result.exit_code == 1 and "E-STUDIO-003" in result.output
        assert "linear, and any of hidden, neighbours" in " ".join(result.output.split())
    assert list(tmp_path.iterdir()) == []
