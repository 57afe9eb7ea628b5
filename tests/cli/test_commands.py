"""Every command does its work, for people and (--json) for machines."""

from __future__ import annotations

import importlib.metadata
import json
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from fanlight.cli.app import COMMANDS, cli
from fanlight.cli.explanations import EXPLANATIONS
from fanlight.errors import CATALOGUE
from fanlight.web.headers import STRICT_CSP
from tests.support import ROOT, apart, fanlight_cli


def fanlight(*arguments: object) -> Result:
    result = CliRunner().invoke(cli, [str(a) for a in arguments], prog_name="fanlight")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def as_json(*arguments: object) -> Any:
    result = fanlight(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.fixture
def site(tmp_path: Path, model: Path, labels: Path) -> Path:
    out = tmp_path / "site"
    result = fanlight("build", model, "-o", out, "--labels", labels, "--input-range", "0,1")
    assert result.exit_code == 0, result.output
    return out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command(command: str) -> None:
    result = fanlight(command, "--help")
    assert result.exit_code == 0 and "Usage: fanlight" in result.stdout
    assert command in fanlight("--help").stdout


def test_build_folder(site: Path) -> None:
    names = {path.name for path in site.iterdir()}
    assert {"manifest.json", "fanlight.js", "index.html", "package.json"} <= names
    manifest = json.loads((site / "manifest.json").read_text())
    assert manifest["task"]["labels"] == ["red", "green", "blue"]
    assert manifest["task"]["preprocess"]["input_range"] == [0, 1]


def test_build_says_what_it_built(tmp_path: Path, model: Path, labels: Path) -> None:
    result = fanlight("build", model, "-o", tmp_path / "a", "--labels", labels)
    assert "classify, 3 labels, 16 x 16 pixels" in result.stdout
    assert "fanlight serve" in result.stdout
    report = as_json("build", model, "-o", tmp_path / "b", "--task", "none")
    assert report["task"] is None and report["flops"] > 0 and report["weights_bytes"] >= 48


def test_build_replaces_its_own_bundle(site: Path, model: Path) -> None:
    assert fanlight("build", model, "-o", site, "--task", "none").exit_code == 0
    assert json.loads((site / "manifest.json").read_text())["task"] is None


def test_build_for_a_host(tmp_path: Path, model: Path, labels: Path) -> None:
    out = tmp_path / "site"
    options = ("--offline", "--headers", "vercel", "--headers", "apache")
    report = as_json("build", model, "-o", out, "--labels", labels, *options)
    page = report["page"]
    assert (page["br"] or 0) < page["gzip"] < page["bytes"]
    names = {path.name for path in out.iterdir()}
    assert {"app.webmanifest", "sw.js", "vercel.json", ".htaccess", "page.js.gz"} <= names
    told = fanlight("build", model, "-o", out, "--labels", labels, "--headers", "github")
    assert "without the model" in told.output and "--offline makes up for it" in told.output
    plain = as_json("build", model, "-o", out, "--labels", labels, "--no-compress")
    assert plain["page"]["gzip"] is None and not list(out.glob("*.gz"))
    wrong = fanlight("build", model, "-o", out, "--headers", "geocities")
    assert wrong.exit_code == 2 and "netlify" in wrong.output
    assert fanlight("build", model, "-o", tmp_path / "a.html", "--offline").exit_code == 1


def test_build_html(tmp_path: Path, model: Path, labels: Path, photo: Path) -> None:
    out = tmp_path / "page.html"
    result = fanlight("build", model, "-o", out, "--labels", labels, "--samples", photo)
    assert result.exit_code == 0, result.output
    assert out.is_file() and "<!doctype html>" in out.read_text()[:200].lower()
    assert sorted(p.name for p in tmp_path.iterdir() if "page" in p.name) == ["page.html"]


@pytest.mark.parametrize("host", ["wasm", "numpy"])
def test_run_json_is_exactly_the_contract(site: Path, photo: Path, host: str) -> None:
    found = as_json("run", site, photo, photo, "--top", 2, "--host", host)
    assert [entry["image"] for entry in found] == [str(photo), str(photo)]
    for entry in found:
        assert set(entry) == {"image", "predictions"}
        assert [set(p) for p in entry["predictions"]] == [{"index", "label", "score"}] * 2
    first, second = found[0]["predictions"]
    assert first["index"] == 1 and first["label"] == "green"
    assert 1 > first["score"] > second["score"] > 0


def test_run_builds_a_source_first(model: Path, labels: Path, photo: Path) -> None:
    found = as_json("run", model, photo, "--labels", labels, "--input-range", "0,1")
    assert found[0]["predictions"][0]["label"] == "green"
    assert len(found[0]["predictions"]) == 3
    unnamed = as_json("run", model, photo)
    assert unnamed[0]["predictions"][0]["label"] == "class 1"


@pytest.mark.chromium
def test_run_in_the_browser(site: Path, photo: Path, chromium_path: str) -> None:
    found = as_json("run", site, photo, "--host", "browser")
    assert found[0]["predictions"][0]["label"] == "green"


def test_run_for_people(site: Path, photo: Path) -> None:
    result = fanlight("run", site, photo, "--top", 1)
    assert "green" in result.stdout and "%" in result.stdout and "█" in result.stdout
    assert "red" not in result.stdout


@pytest.mark.parametrize(
    "content",
    [
        '["red", "green", "blue"]',
        '{"0": "red", "1": "green", "2": "blue"}',
        '{"2": ["n3", "blue"], "0": ["n1", "red"], "1": ["n2", "green"]}',
        '{"labels": ["red", "green", "blue"], "modelName": "tm"}',
        "\ufeffred\r\ngreen\r\nblue\r\n\r\n",
    ],
)
def test_forms_of_labels(tmp_path: Path, model: Path, photo: Path, content: str) -> None:
    path = tmp_path / "names"
    path.write_text(content, encoding="utf-8")
    found = as_json("run", model, photo, "--labels", path, "--input-range", "0,1")
    assert found[0]["predictions"][0]["label"] == "green"


def test_inspect(model: Path, site: Path) -> None:
    report = as_json("inspect", model)
    assert report["format"] == "tfjs-layers" and report["totals"]["parameters"] == 12
    ops = {node["op"] for node in report["nodes"]}
    assert {"mean", "matmul", "softmax"} <= ops
    assert sum(n["flops"] for n in report["nodes"]) == report["totals"]["flops"] > 16 * 16 * 3
    text = fanlight("inspect", model).stdout
    assert "softmax" in text and "FLOPs" in text
    assert all(len(line) <= 80 for line in text.splitlines()) and "…" not in text
    bundle = as_json("inspect", site)
    assert bundle["labels"] == ["red", "green", "blue"] and bundle["precision"] == "f32"
    assert "to download" in fanlight("inspect", site).stdout
    assert "to download" not in text
    lines = fanlight("inspect", site, "--names").stdout.splitlines()  # of a bundle: its values
    assert len(lines) == len(set(lines)) >= len(bundle["nodes"])


def test_half_the_download(tmp_path: Path) -> None:
    source = ROOT / "fanlight" / "models" / "default_files"
    reports = {
        p: as_json("build", source, "-o", tmp_path / p, "--precision", p) for p in ("f32", "f16")
    }
    assert reports["f16"]["precision"] == "f16"
    assert reports["f16"]["weights_bytes"] < 0.52 * reports["f32"]["weights_bytes"]
    result = fanlight("build", source, "-o", tmp_path / "f16", "--precision", "f16")
    assert "MB as float16" in result.stdout
    found = as_json("inspect", tmp_path / "f16")
    assert found["precision"] == "f16"
    assert found["download_bytes"] == reports["f16"]["weights_bytes"]
    assert found["totals"]["weight_bytes"] > 1.9 * found["download_bytes"]
    assert as_json("check", tmp_path / "f16", "--host", "wasm")["ok"]


def test_int8(tmp_path: Path) -> None:
    source = ROOT / "fanlight" / "models" / "default_files"
    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(3):
        noise = np.random.default_rng(i).integers(0, 256, (6, 6, 3)).astype(np.uint8)
        Image.fromarray(noise).resize((70, 64)).save(photos / f"{i}.png")
    (photos / "broken.png").write_bytes(b"none")
    options = ("--precision", "int8", "--calibrate", photos, "--input-range=-1,1")
    report = as_json("build", source, "-o", tmp_path / "int8", *options)
    assert report["precision"] == "int8" and report["weights_bytes"] < 1_000_000
    assert report["quantization"]["items"] == 3
    assert len(report["quantization"]["layers"]) == 20
    assert any("1 files could not be read" in note for note in report["warnings"])
    assert as_json("inspect", tmp_path / "int8")["precision"] == "int8"
    assert as_json("check", tmp_path / "int8", "--host", "wasm")["ok"]
    again = fanlight("build", source, "-o", tmp_path / "int8", *options)
    assert "20 of 20 layers" in again.stdout
    # Where nobody watches a bar, each thing that takes long is said once.
    said = again.stderr.splitlines()
    assert 3 <= len(said) == len(set(said))


def test_inspect_graph_text_parses(model: Path, tmp_path: Path) -> None:
    import fanlight as fl
    from fanlight.graph import to_text

    result = fanlight("inspect", model, "--graph", "text")
    assert result.stdout.strip() == to_text(fl.load(model).graph).strip()
    out = tmp_path / "graph.txt"
    assert fanlight("inspect", model, "-o", out).exit_code == 0
    assert out.read_text().strip() == result.stdout.strip()


def test_inspect_graph_svg(model: Path, tmp_path: Path) -> None:
    out = tmp_path / "graph.svg"
    assert fanlight("inspect", model, "--graph", "svg", "-o", out).exit_code == 0
    root = ElementTree.fromstring(out.read_text())
    texts = [t.text for t in root.iter("{http://www.w3.org/2000/svg}text")]
    assert {"input", "mean", "matmul", "softmax"} <= set(texts)
    assert fanlight("inspect", model, "--graph", "svg").stdout.strip() == out.read_text().strip()


def test_check(site: Path) -> None:
    report = as_json("check", site, "--host", "wasm", "--host", "wasm-plain")
    assert report["ok"] and not report["not_run"]
    assert {row["host"] for row in report["rows"]} == {"wasm", "wasm-plain"}
    assert "ok" in fanlight("check", site, "--host", "wasm").stdout
    strict = fanlight("check", site, "--host", "wasm", "--tolerance", 0)
    assert strict.exit_code in (0, 1) and ("differs" in strict.stdout) == (strict.exit_code == 1)


@pytest.mark.chromium
def test_bench(model: Path, tmp_path: Path, chromium_path: str) -> None:
    out = tmp_path / "figures.json"
    result = fanlight("bench", model, "--rounds", 3, "--threads", "1,2", "--json", out)
    assert result.exit_code == 0, result.output
    figures = json.loads(out.read_text())
    assert figures["ms"]["median"] > 0 and len(figures["ms"]["rounds"]) == 3
    assert [run["asked"] for run in figures["threads"]] == [1, 2]
    assert figures["info"]["threads"] == 1 and "asked for 2 threads" in result.stdout
    assert figures["kernels"] and "slowest kernels" in result.stdout


@pytest.mark.parametrize("options", [("--threads", "2"), ("--peers", "tfjs")])
def test_a_roofline_is_of_this_alone_on_one_thread(model: Path, options: tuple[str, str]) -> None:
    result = fanlight("bench", model, "--roofline", *options)
    assert result.exit_code == 1 and result.stderr.startswith("E-CLI-010")
    assert options[0] in result.stderr


@pytest.mark.chromium
def test_bench_roofline(model: Path, tmp_path: Path, chromium_path: str) -> None:
    out, plot = tmp_path / "roofline.json", tmp_path / "roofline.svg"
    result = fanlight("bench", model, "--roofline", "--plot", plot, "--json", out)
    assert result.exit_code == 0, result.output
    assert "limit" in result.output and "GFLOP/s" in result.output
    report = json.loads(out.read_text())
    assert report["peak"] > 1
    assert all(row["attainable_ms"] >= 0 for row in report["rows"])
    assert plot.read_text().startswith("<svg")


@pytest.mark.chromium
def test_bench_beside_peers_whose_packages_cannot_be_installed(
    model: Path, tmp_path: Path, chromium_path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise RuntimeError("npm: no network")

    monkeypatch.setattr("bench.peers.run.install_peers", refuse)
    outs = [tmp_path / f"figures.{kind}" for kind in ("json", "md", "svg")]
    named = [part for out in outs for part in ("--out", out)]
    how = ("--peers", "tfjs,litert", "--threads", 1, "--rounds", 2)
    result = apart(fanlight, "bench", model, *how, *named)
    assert result.exit_code == 0, result.output
    assert result.stdout.count("npm: no network") == 2
    rows = json.loads(outs[0].read_text())["rows"]
    ours = [row for row in rows if row["engine"] == "fanlight"]
    assert {"f32", "int8"} <= {row["precision"] for row in ours}
    assert all(row["median_ms"] > 0 and row["cold_ms"] > 0 for row in ours)
    assert all(len(row["rounds_ms"]) == 2 for row in ours)
    assert [row["failure"] for row in rows if row not in ours] == ["npm: no network"] * 2
    assert "npm: no network" in outs[1].read_text() and outs[2].read_text().startswith("<svg")


def test_explain() -> None:
    said = " ".join(fanlight("explain", "e-tensor-013").stdout.split())
    told = EXPLANATIONS["E-TENSOR-013"]
    meant = CATALOGUE["E-TENSOR-013"]
    for part in (meant, told.cause, told.cure, told.wrong, told.right):
        assert " ".join(part.split()) in said, part
    assert as_json("explain") == CATALOGUE
    family = {c: text for c, text in CATALOGUE.items() if c.startswith("E-CALIB-")}
    assert as_json("explain", "e-calib") == family != {}
    one = as_json("explain", "E-CLI-001")["E-CLI-001"]
    assert list(one) == ["meaning", "cause", "cure"] and one["meaning"] == CATALOGUE["E-CLI-001"]
    assert as_json("explain", "E-TENSOR-013")["E-TENSOR-013"]["right"] == told.right


def test_doctor() -> None:
    findings = as_json("doctor")
    assert all(f["ok"] for f in findings if f["needed"])
    names = {f["name"] for f in findings}
    assert {"numpy", "wasm", "chromium", "default model", "brotli"} <= names


def test_doctor_says_what_each_reader_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    version = importlib.metadata.version

    def without(name: str) -> str:
        if name in ("h5py", "torch", "brotli"):
            raise importlib.metadata.PackageNotFoundError(name)
        return "9.8" if name == "jax" else version(name)

    monkeypatch.setattr(importlib.metadata, "version", without)
    found = {f["name"]: f for f in as_json("doctor")}  # what is missing is optional: no exit code
    for name in ("TF.js model.json", "SavedModel, .pb", ".tflite, .task", ".onnx", ".pt2"):
        assert found[name]["ok"] and "nothing" in found[name]["found"], name
    keras, torch = found[".keras, .h5"], found["PyTorch modules"]
    assert not keras["ok"] and keras["found"] == "needs h5py" and not keras["needed"]
    assert "pip install 'fanlight[keras]'" in keras["use"]
    assert not torch["ok"] and torch["use"].endswith("pip install torch")
    assert not found["brotli"]["ok"] and not found["brotli"]["needed"]
    assert "pip install 'fanlight[brotli]'" in found["brotli"]["use"]
    assert found["JAX functions"]["ok"] and found["JAX functions"]["found"] == "by jax 9.8"


def test_serve_and_stop(site: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "fanlight", "serve", str(site), "--port", "0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    url = next(word for word in line.split() if word.startswith("http://127.0.0.1:"))
    with urllib.request.urlopen(url + "/manifest.json", timeout=10) as answer:
        assert json.load(answer)["fanlight"] == 1
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=20)
    assert process.returncode == 0 and "GET /manifest.json" in log and "Traceback" not in log


def test_demo_sees_an_orange_in_its_own_picture(tmp_path: Path) -> None:
    result = fanlight("demo", "--no-serve", "-o", tmp_path / "demo")
    assert result.exit_code == 0, result.output
    best = next(line for line in result.stdout.splitlines() if "█" in line)
    assert best.endswith("orange") or "orange" in best.split()
    assert (tmp_path / "demo" / "index.html").is_file()
    manifest = json.loads((tmp_path / "demo" / "manifest.json").read_text())
    assert sum(s["bytes"] for s in manifest["weights"]) < 1.9e6  # float16, as its file


def fetched(url: str) -> bytes:
    """What a server sends, with the headers that a page should have."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.headers["Content-Security-Policy"] == STRICT_CSP
        assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
        return answer.read()


def test_demo_on_a_photo_serves_the_page(photo: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "fanlight", "demo", str(photo), "--port", "0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    lines: list[str] = []
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and "Ctrl+C" not in "".join(lines[-1:]):
        lines.append(process.stdout.readline())
    url = next(w for w in lines[-1].split() if w.startswith("http://127.0.0.1:"))
    with urllib.request.urlopen(url + "/", timeout=10) as answer:
        page = answer.read()
    assert b"fanlight" in page.lower() and b'href="studio/"' in page  # the second tab
    told = fetched(url + "/studio/")
    assert b"<fanlight-studio" in told and b'href="../"' in told
    index = json.loads(fetched(url + "/studio/studio.json"))
    for path in ("studio.js", index["heads"][0]["files"]["graph.json"]):
        assert len(fetched(f"{url}/studio/{path}")) == index["files"][path]["bytes"]
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 0


def test_as_a_process(site: Path, photo: Path) -> None:
    result = fanlight_cli("run", site, photo, "--json")
    assert result.returncode == 0 and result.stderr == ""
    assert json.loads(result.stdout)[0]["predictions"][0]["label"] == "green"
    assert fanlight_cli("--version").stdout.startswith("fanlight 0.")
