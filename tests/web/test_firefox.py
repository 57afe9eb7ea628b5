"""The core journeys in a real Firefox, driven by puppeteer-core (see firefox.mjs)."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fanlight.web.single_file import single_file
from tests.codegen.test_expand import HALVES, float_bits
from tests.conformance import FIREFOX, counted
from tests.web import byte_nets, families, free_sizes, halves, test_training_file, training
from tests.web.server import serve

pytestmark = pytest.mark.firefox
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def journeys(
    toys: Path,
    byte_bundles: Path,
    family_bundle: Path,
    free_sizes_bundle: Path,
    training_bundle: Path,
    tmp_path_factory: pytest.TempPathFactory,
    firefox_path: str,
) -> dict[str, Any]:
    """What each journey found."""
    from tests.web.conftest import BARE

    if not (ROOT / "node_modules" / "puppeteer-core").is_dir():
        pytest.fail("puppeteer-core is missing: run `make setup`")
    page = tmp_path_factory.mktemp("one") / "one.html"
    page.write_text(single_file(toys / "photos"), "utf-8")
    learns, lesson = page.with_name("learns.html"), page.with_name("lesson.js")
    learns.write_text(single_file(training_bundle), "utf-8")
    what = json.dumps(test_training_file.given(training_bundle, True))
    lesson.write_text(f"({test_training_file.JOURNEY})({what})", "utf-8")
    with serve(toys) as site:
        site.pages["bare.html"] = BARE
        site.pages["bytes.js"] = f"export default {byte_nets.JOURNEY};"
        site.pages["families.js"] = f"export default {families.JOURNEY};"
        site.pages["free_sizes.js"] = f"export default {free_sizes.JOURNEY};"
        site.pages["training.js"] = f"export default {training.JOURNEY};"
        site.fail("double/weights-1of2", "corrupt")
        done = subprocess.run(
            [
                str(ROOT / "tools" / "with_node.sh"),
                "node",
                str(Path(__file__).with_name("firefox.mjs")),
                firefox_path,
                site.url,
                page.as_uri(),
                str(toys / "green_field.jpg"),
                learns.as_uri(),
                str(lesson),
            ],
            capture_output=True,
            text=True,
            timeout=240,
            cwd=ROOT,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def answer(journeys: dict[str, Any], name: str) -> Any:
    found = journeys[name]
    assert "failed" not in found, found
    assert found["errors"] == []
    return found["answer"]


@pytest.mark.parametrize("worker", [True, False])
def test_run(journeys: dict[str, Any], worker: bool) -> None:
    """The first of these also meets a corrupt shard, and fetches it once more."""
    found = answer(journeys, f"run, worker {str(worker).lower()}")
    assert found["data"] == [2, 3, 5, 7] * 2 and found["shape"] == [2, 4]
    assert (found["error"], found["gone"]) == ("E-WEB-012", "E-WEB-014")
    assert found["simd"] == "relaxed" and found["worker"] is worker


@pytest.mark.parametrize("simd", ["relaxed", "plain"])
def test_float16_weights(journeys: dict[str, Any], simd: str) -> None:
    assert answer(journeys, f"float16 {simd}") == halves.answer()


@pytest.mark.parametrize("setting", ["relaxed", "plain", "pairs"])
def test_quantised_nets_give_the_same_bytes(
    journeys: dict[str, Any], byte_bundles: Path, setting: str
) -> None:
    assert answer(journeys, f"bytes {setting}") == byte_nets.meaning(byte_bundles)


@pytest.mark.parametrize("simd", ["relaxed", "plain"])
def test_build_equals_jit(journeys: dict[str, Any], simd: str) -> None:
    families.same_as_elsewhere(answer(journeys, f"families {simd}"))


@pytest.mark.parametrize("simd", ["relaxed", "plain"])
def test_any_number_of_rows(journeys: dict[str, Any], simd: str) -> None:
    free_sizes.as_eager(answer(journeys, f"free sizes {simd}"))


@pytest.mark.parametrize("simd", ["relaxed", "plain"])
def test_a_page_trains_as_python_does(
    journeys: dict[str, Any], training_bundle: Path, simd: str
) -> None:
    same = training.as_python(answer(journeys, f"training {simd}"), training_bundle)
    counted(FIREFOX, same, of=same)


def test_every_half_is_exact(journeys: dict[str, Any]) -> None:
    assert np.array_equal(answer(journeys, "expand"), float_bits(HALVES))


def test_cache(journeys: dict[str, Any]) -> None:
    assert answer(journeys, "cache") == [False, True]


def test_policy(journeys: dict[str, Any]) -> None:
    assert journeys["policy"]["answer"] == ["refused", "connect-src"]


def test_page(journeys: dict[str, Any]) -> None:
    worker, first, *others = answer(journeys, "page")
    assert worker is True and first.startswith("green73") and len(others) == 2


def test_sources(journeys: dict[str, Any]) -> None:
    found = answer(journeys, "sources")
    assert found.pop("half") == ["red", 50]
    for name, (label, percent) in found.items():
        assert label == "green" and percent >= 98, name
    assert len(found) == 6


def test_not_an_image(journeys: dict[str, Any]) -> None:
    assert "E-WEB-016" in answer(journeys, "not an image")[0]


def test_one_file_from_file(journeys: dict[str, Any]) -> None:
    worker, first, *_ = answer(journeys, "one file")
    assert worker is True and first.startswith("green73")


def test_a_page_in_one_file_trains(journeys: dict[str, Any], training_bundle: Path) -> None:
    found = answer(journeys, "training in one file")
    test_training_file.as_python(found, training_bundle, True)
