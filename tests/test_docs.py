"""What the documents show is so: code runs, commands parse, links and paths lead somewhere."""

from __future__ import annotations

import ast
import contextlib
import importlib
import inspect
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import CATALOGUE
from fanlight.ops import TABLE
from fanlight.passes.pipeline import PIPELINE_F16, Repeat
from fanlight.tensor.trace import trace
from tests.formats import crafted
from tests.support import ROOT, SHARED, fanlight_cli, run_python
from tests.web.server import serve

PAGES = sorted(
    p
    for p in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("fanlight/**/*.md")]
    if p.is_file()
)
IDS = [p.relative_to(ROOT).as_posix() for p in PAGES]


CORE = "docs/core.md"
TUTORIAL = "docs/tutorial.md"
DATA = "docs/data.md"
TRAINING = "docs/training.md"
OWN = "docs/own.md"
CONVERT = "docs/convert.md"
WHOLE = (CORE, TUTORIAL, DATA, TRAINING, OWN, CONVERT)  # whose blocks go on from each other


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: str
    line: int
    language: str
    text: str


def blocks(language: str | None = None) -> list[Block]:
    found = []
    for page, name in zip(PAGES, IDS, strict=True):
        text = page.read_text("utf-8")
        for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            line = text.count("\n", 0, match.start()) + 1
            if language in (None, match[1]):
                found.append(Block(name, line, match[1], match[2]))
    return found


def shell_lines() -> list[tuple[str, str]]:
    """(page, command) of every command line in the fenced blocks without a language, or of sh."""
    found = []
    for block in blocks():
        if block.language in ("", "sh", "bash", "shell", "console"):
            for line in block.text.splitlines():
                command = re.split(r"\s#", line)[0].strip().removeprefix("$ ")
                found.append((block.page, command))
    return found


def inline_code() -> list[tuple[str, str]]:
    """(page, code) of everything between single backticks."""
    found = []
    for page, name in zip(PAGES, IDS, strict=True):
        text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
        found += [(name, code) for code in re.findall(r"`([^`\n]+)`", text)]
    return found


def test_pages_are_found() -> None:
    assert {"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/architecture.md"} <= set(IDS)
    assert len(blocks("python")) >= 1


# --- Python ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("block", blocks("python"), ids=lambda b: f"{b.page}:{b.line}")
def test_python_blocks_parse(block: Block) -> None:
    ast.parse(block.text)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the README speaks of; the working directory."""
    from PIL import Image

    model, arrays = crafted.small_cnn()
    crafted.write_tfjs(tmp_path, crafted.keras2(model), arrays)
    keras = crafted.functional_keras3()
    crafted.write_keras(tmp_path / "model.keras", keras, crafted.functional_weights())
    (tmp_path / "labels.txt").write_text("cat\ndog\nowl\nparrot\npizza\n")
    pixels = np.random.default_rng(0).integers(0, 256, (60, 80, 3)).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "cat.jpg")
    (tmp_path / "photos").mkdir()
    for i in range(3):
        Image.fromarray(pixels[i * 10 :]).save(tmp_path / "photos" / f"{i}.jpg")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.chromium
@pytest.mark.parametrize(
    "block",
    [b for b in blocks("python") if "import fanlight" in b.text and b.page not in WHOLE],
    ids=lambda b: f"{b.page}:{b.line}",
)
def test_python_blocks_run(
    block: Block, desk: Path, chromium_path: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {
        "labels": (desk / "labels.txt").read_text().split(),
        "rgb_uint8": np.zeros((50, 40, 3), np.uint8),
    }
    exec(compile(block.text, f"{block.page}:{block.line}", "exec"), names)
    bundle = names["bundle"]
    bundle.close()
    if "fl.check" in block.text:
        assert "all outputs agree" in capsys.readouterr().out
    assert (desk / Path(bundle.path).name / "manifest.json").is_file()
    if "newton/" in block.text:
        assert bundle.run({"x": 1.0}) == {"output": 1.5}
        bundle.close()


@pytest.mark.parametrize(
    "block", [b for b in blocks("python") if b.page == DATA], ids=lambda b: str(b.line)
)
def test_the_blocks_of_the_page_on_data_run(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    exec(compile(block.text, f"{block.page}:{block.line}", "exec"), {})


def ran(page: str) -> dict[str, Any]:
    """The names that the Python of a page has when it has run from top to bottom, right here."""
    names: dict[str, Any] = {}
    for block in blocks("python"):
        if block.page == page:
            exec(compile(block.text, f"{block.page}:{block.line}", "exec"), names)
    names["bundle"].close()
    return names


@pytest.mark.chromium
def test_the_page_on_tensors_runs_from_top_to_bottom(
    page: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names = ran(CORE)
    (script,) = (block.text for block in blocks("js") if block.page == CORE)
    with serve(tmp_path) as site:
        site.pages["page.html"] = (
            f'<!doctype html><script type="module">{script}\n'
            "globalThis.found = [x[0], edge, ...w.data, ...drawn, ...fresh.output.data];</script>"
        )
        page.goto(site.url + "page.html")
        page.wait_for_function("globalThis.found !== undefined")
        root, edge, *numbers = page.evaluate("found")
        w, numbers = numbers[:2], numbers[2:]
    assert abs(root - 2**0.5) < 1e-6 and abs(edge - 4) < 1e-2
    two = names["fit"](fl.zeros((2,)), fl.tensor([[1.0, 2], [3, 5]]), fl.tensor([0.0, 1]))
    np.testing.assert_allclose(w, two.numpy(), rtol=1e-4)
    np.testing.assert_allclose(numbers[:3], names["drawn"].numpy(), atol=1e-6)
    assert len({*numbers}) == 6  # another key, other numbers


@pytest.mark.chromium
def test_the_page_on_training_runs_from_top_to_bottom(
    page: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran(TRAINING)
    script = "\n".join(block.text for block in blocks("js") if block.page == TRAINING)
    with serve(tmp_path) as site:
        site.pages["page.html"] = (
            f'<!doctype html><script type="module">{script}\n'
            "globalThis.found = [history.loss, loss, accuracy, kind.data.length, kind.shape, "
            "await model.getClasses(), model.restored, model.outputs[0].shape, model.labels];"
            "await model.forget();</script>"
        )
        page.goto(site.url + "page.html")
        page.wait_for_function("globalThis.found !== undefined")
        losses, loss, accuracy, size, shape, count, restored, *ends = page.evaluate("found")
    assert len(losses) == 5 and loss < losses[0] and 0 <= accuracy <= 1
    assert size == 3 and shape == [1, 3] and count == 2 and restored is False
    assert ends[0][-1] == 2 and ends[1] == ["tulip", "crocus"]


@pytest.mark.chromium
def test_the_page_that_is_taught_learns_photos_and_names(
    page: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.web.test_training_pictures import photos, png

    monkeypatch.chdir(tmp_path)
    ran(TRAINING)
    (html,) = (block.text for block in blocks("html") if block.page == TRAINING)
    pictures = [
        {"name": f"{i}.png", "mimeType": "image/png", "buffer": bytes(png(photo))}
        for i, photo in enumerate(photos())
    ]
    with serve(tmp_path) as site:
        site.pages["taught.html"] = html
        page.goto(site.url + "taught.html")
        page.get_by_text("Ready.").wait_for()
        page.click("#learn")  # nothing was shown
        page.get_by_text("The number of classes is out of bounds.").wait_for()
        for i, name in enumerate(("red", "green", "blue")):
            page.fill("#name", name)
            page.set_input_files("#photos", pictures[i::3])
        page.click("#learn")
        page.get_by_text("red, green, blue: 100 % of the photos are right").wait_for()
        for _ in range(2):  # and on the next visit
            page.set_input_files("fanlight-classifier input[type=file]", pictures[1])
            page.locator("fanlight-classifier li .name").first.wait_for()
            assert page.locator("fanlight-classifier li .name").count() == 3
            assert (
                page.locator("fanlight-classifier li .name").first.inner_text() == "Green"
            )  # by CSS
            page.reload()
            page.wait_for_function("document.querySelector('fanlight-classifier').ready")
            page.wait_for_timeout(500)


def test_the_page_on_layers_of_ones_own_runs_from_top_to_bottom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in blocks("python"):
        if block.page == OWN:
            exec(compile(block.text, f"{block.page}:{block.line}", "exec"), names)
    assert names["own"].first.steps.item() == 4.0  # 2 epochs of 2 batches


def test_the_page_on_training_has_every_option_and_method() -> None:
    script = (ROOT / "fanlight" / "web" / "runtime" / "train.js").read_text("utf-8")
    text = (ROOT / TRAINING).read_text("utf-8")
    table = re.search(r"^const OPTIONS = \{\n(.*?)^\};", script, re.M | re.S)
    assert table
    options = re.findall(r"^  (\w+):", table[1], re.M)
    methods = re.findall(r"^  (?:async |get )?(\w+)\([^)]*\) \{", script, re.M)
    assert {"epochs", "signal"} <= set(options) and {"fit", "save", "outputs"} <= set(methods)
    for name in [*options, *(set(methods) - {"constructor"})]:
        assert re.search(rf"`(?:await model\.)?{name}[(`]", text), name


@pytest.mark.slow
@pytest.mark.chromium
def test_the_tutorial_runs_from_top_to_bottom(
    page: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tarfile

    monkeypatch.chdir(tmp_path)
    published = SHARED / "data" / "models" / "mobilenet-v1-0.25-layers-mitcml"
    archive = SHARED / "data" / "images" / "dog_cat_160.tar"
    here = published.is_dir() and archive.is_file()
    if here:
        (tmp_path / "mobilenet").mkdir()
        for file in published.iterdir():
            name = "model.json" if file.suffix == ".json" else file.name
            (tmp_path / "mobilenet" / name).symlink_to(file)
        with tarfile.open(archive) as tar:
            chosen = [m for m in tar.getmembers() if 100 <= int(m.name.split(".")[-2]) < 148]
            tar.extractall(tmp_path / "photos", chosen, filter="data")
    names: dict[str, Any] = {}
    for block in blocks("python"):
        if block.page == TUTORIAL:
            if not here and "mobilenet/" in block.text:
                pytest.skip(f"the published MobileNet or the photos are not in {SHARED}")
            exec(compile(block.text, f"{block.page}:{block.line}", "exec"), names)
    names["bundle"].close()
    assert {"history.svg", "confusion.svg", "model.svg"} <= {p.name for p in tmp_path.iterdir()}
    digits, pets = (block.text for block in blocks("js") if block.page == TUTORIAL)
    with serve(tmp_path) as site:
        site.pages["page.html"] = (
            f'<!doctype html><script type="module">{digits}\n'
            "globalThis.found = { ...history, accuracy, size: file.size };</script>"
        )
        page.goto(site.url + "page.html")
        page.wait_for_function("globalThis.found !== undefined")
        found = page.evaluate("found")
        # The pets the other way round: what it answers then, it has learnt here.
        shown = "".join(
            f'<img class="{"dog" if kind == "cat" else "cat"}" src="{path.relative_to(tmp_path)}">'
            for kind in ("cat", "dog")
            for path in sorted((tmp_path / "photos" / kind).iterdir())[:6]
        )
        site.pages["pets.html"] = (
            '<!doctype html><fanlight-classifier src="photos-page/"></fanlight-classifier>'
            f'{shown}<script type="module">{pets}\nglobalThis.found = answer;</script>'
        )
        page.goto(site.url + "pets.html")
        page.wait_for_function("globalThis.found !== undefined", timeout=120_000)
        taught = page.evaluate("found")
    assert found["accuracy"] == 1 and found["size"] > 1000
    assert found["loss"][-1] < found["loss"][0] and len(found["loss"]) == 30
    assert taught["label"] == "dog"


# --- commands -------------------------------------------------------------------------------------


def fanlight_commands() -> list[tuple[str, str]]:
    return [(p, c) for p, c in shell_lines() if c.startswith("fanlight ")]


@pytest.mark.parametrize(("page", "line"), fanlight_commands())
def test_commands_parse(page: str, line: str) -> None:
    """Every option that a page shows exists, by the command's own parser."""
    import rich_click as click

    from fanlight.cli.app import cli

    _, name, *arguments = shlex.split(line)
    command = cli.get_command(click.Context(cli), name)
    assert command is not None, f"{page}: there is no command {name}"
    command.make_context(name, arguments)


def test_the_readme_shows_every_important_command() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    for name in ("build", "serve", "run", "inspect", "check", "demo", "explain"):
        assert f"fanlight {name}" in text, name


def test_help_knows_every_command_that_is_named_anywhere() -> None:
    done = fanlight_cli("--help")
    assert done.returncode == 0, done.stderr
    known = set(re.findall(r"^\W*([a-z]+)\s{2,}", done.stdout, re.MULTILINE))
    named = {
        match[1]: page
        for page, code in [*shell_lines(), *inline_code()]
        if (match := re.match(r"fanlight ([a-z]+)\b", code))
    }
    assert len(named) > 5
    assert {n: p for n, p in named.items() if n not in known} == {}
    for name in named:
        assert fanlight_cli(name, "--help").returncode == 0, name


def test_the_commands_of_the_readme_work(desk: Path) -> None:
    """In their order, on a small model of our own; `model.keras` stands for the visitor's."""
    model, arrays = crafted.small_cnn()
    crafted.write_h5(desk / "model.h5", model, arrays, "2.15.0")
    ran = []
    for page, line in fanlight_commands():
        _, name, *arguments = shlex.split(line)
        if page != "README.md" or name in ("serve", "demo", "bench"):
            continue
        arguments = [a.replace("model.keras", "model.h5") for a in arguments]
        done = fanlight_cli(name, *arguments, cwd=desk)
        assert done.returncode == 0, (line, done.stderr)
        assert "Traceback" not in done.stderr
        ran.append(name)
    assert {"build", "run", "inspect", "check"} <= set(ran)
    assert (desk / "page.html").is_file() and (desk / "site" / "index.html").is_file()


def test_make_targets_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z]+):", makefile, re.MULTILINE))
    named = [
        (page, match[1])
        for page, code in [*shell_lines(), *inline_code()]
        if (match := re.match(r"make ([a-z]+)\b", code))
    ]
    assert named
    assert [(p, t) for p, t in named if t not in targets] == []


# --- links, paths, names --------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        goal = (page.parent / path).resolve() if path else page
        if not goal.exists() or not goal.is_relative_to(ROOT):
            broken.append(target)
        elif anchor and goal.suffix == ".md" and anchor not in _anchors(goal):
            broken.append(target)
    assert broken == []


def _anchors(page: Path) -> set[str]:
    heads = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h).strip().lower().replace(" ", "-") for h in heads}


def test_paths_that_are_named_exist() -> None:
    """`tests/support.py`, `fanlight/hosts/`, `codegen/plan.py`: with the package or without it."""
    rooms = {p.name for p in (ROOT / "fanlight").iterdir() if p.is_dir() and p.name[0] != "_"}
    tops = {"tests", "tools", "docs", "bench", "fanlight"}
    missing = []
    for page, code in inline_code():
        match = re.fullmatch(r"([\w./-]+/[\w./-]*)(::\w+)?", code)
        if match is None or match[1].split("/")[0] not in rooms | tops:
            continue
        path = match[1]
        # bench/speed.html is a bundle's: its source lies among the pages.
        places = (ROOT / path, ROOT / "fanlight" / path, ROOT / "fanlight/web/pages" / path)
        if not any(p.exists() for p in places):
            missing.append((page, code))
    assert missing == []


def test_error_codes_that_are_named_exist() -> None:
    for page, name in zip(PAGES, IDS, strict=True):
        codes = set(re.findall(r"\bE-[A-Z]+-\d{3}\b", page.read_text("utf-8")))
        assert codes <= set(CATALOGUE), name


@pytest.mark.parametrize("page", PAGES, ids=IDS)
def test_no_gaps_are_left_to_fill(page: Path) -> None:
    gaps = re.findall(r"\b(?:TODO|FIXME|TBD|XXX|FIGURES[\w-]*)\b", page.read_text("utf-8"))
    assert gaps == [], f"{page.name} still has gaps"


def test_the_readme_has_a_picture_of_the_page() -> None:
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", (ROOT / "README.md").read_text("utf-8"))
    assert pictures
    for picture in pictures:
        assert (ROOT / picture).stat().st_size > 5_000


# --- generated pages, and those that list things --------------------------------------------------


def test_ops_page_is_up_to_date_and_names_every_op() -> None:
    done = run_python(str(ROOT / "tools" / "gen_ops_docs.py"), "--check")
    assert done.returncode == 0, done.stdout + done.stderr
    text = (ROOT / "docs" / "ops.md").read_text("utf-8")
    assert [name for name in TABLE if f"`{name}`" not in text and f"# {name}" not in text] == []


def test_errors_page_is_up_to_date_and_has_every_code() -> None:
    done = run_python(str(ROOT / "tools" / "gen_error_docs.py"), "--check")
    assert done.returncode == 0, done.stdout + done.stderr
    codes = re.findall(
        r"^### (\S+)$", (ROOT / "docs" / "errors.md").read_text("utf-8"), re.MULTILINE
    )
    assert sorted(codes) == sorted(CATALOGUE)


def test_passes_page_names_every_pass_of_the_pipeline() -> None:
    text = (ROOT / "docs" / "passes.md").read_text("utf-8")
    steps = [s.step if isinstance(s, Repeat) else s for s in PIPELINE_F16]
    assert [s.name for s in steps if s.name not in text] == []


def test_architecture_names_every_room() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    package = ROOT / "fanlight"
    rooms = [p.name for p in package.iterdir() if (p / "__init__.py").is_file()]
    assert len(rooms) >= 10
    assert [r for r in rooms if not re.search(rf"\b{r}\b", text)] == []


def test_the_graph_in_architecture_is_what_printing_shows() -> None:
    (shown,) = (
        b.text for b in blocks("") if b.page.endswith("architecture.md") and "cond(" in b.text
    )

    def choose(p: Any, x: Any) -> Any:
        return fl.cond(p, lambda x: x * 2, lambda x: x, x)

    graph = trace(choose, {"p": fl.spec((), "bool"), "x": fl.spec((3,))})
    assert str(graph).replace('"', "").split() == shown.split()


def test_architecture_tells_of_what_functions_are_made_of() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    levels = {"Trace", "Body", "Batch", "Tape"}
    files = {"calls", "core", "trace", "bodies", "vmap", "vmap_rules", "complex", "tape", "watch"}
    assert {n for n in levels if f"`{n}`" not in text} == set()
    assert {n for n in files if f"tensor/{n}.py" not in text} == set()
    assert {"graph/generalize.py", "ops/symbols.py"} <= {code for _, code in inline_code()}
    decisions = {p.name[:4] for p in (ROOT / "docs" / "adr").glob("*.md")}
    assert {
        n for n in ("0006", "0007", "0008") if f"adr/{n}" not in text or n not in decisions
    } == set()


def test_decisions_are_numbered_and_linked() -> None:
    adrs = sorted((ROOT / "docs" / "adr").glob("*.md"))
    assert [int(p.name[:4]) for p in adrs] == list(range(1, len(adrs) + 1))
    assert len(adrs) >= 3


def test_the_page_of_layers_is_up_to_date() -> None:
    done = run_python("tools/gen_layers_docs.py", "--check")
    assert done.returncode == 0, done.stdout + done.stderr


LAYER_ROWS = re.findall(
    r"^\| `(\w+)\((.*)\)` \|", (ROOT / "docs" / "layers.md").read_text("utf-8"), re.MULTILINE
)


@pytest.mark.parametrize("module", [
    fl.layers, fl.losses, fl.metrics, fl.optimizers, fl.optimizers.schedules, fl.callbacks, fl.data,
    fl.utils,
])  # fmt: skip
def test_rows_of_the_page_on_layers_begin_with_what_has_to_be_given(module: Any) -> None:
    wrong = []
    for name, shown in LAYER_ROWS:
        if not hasattr(module, name) or inspect.ismodule(getattr(module, name)):
            continue
        parameters = inspect.signature(getattr(module, name)).parameters.values()
        names = [p.name for p in parameters if p.default is p.empty
                 and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]  # fmt: skip
        # Of a name that several rooms have, each has its row.
        rows = [s for n, s in LAYER_ROWS if n == name]
        if not any([s for s in row.split(", ") if s.isidentifier()] == names for row in rows):
            wrong.append((name, shown, names))
    assert wrong == []


def test_javascript_of_the_readme_uses_what_the_runtime_offers() -> None:
    runtime = (ROOT / "fanlight" / "web" / "types" / "engine.d.ts").read_text("utf-8")
    runtime += (ROOT / "fanlight" / "web" / "types" / "fanlight.d.ts").read_text("utf-8")
    runtime += (ROOT / "fanlight" / "web" / "types" / "train.d.ts").read_text("utf-8")
    page = (ROOT / "README.md").read_text("utf-8")
    for method in set(re.findall(r"\bmodel\.(\w+)\(", "".join(b.text for b in blocks("js")))):
        assert re.search(rf"\b{method}\b", runtime), method
    for file in set(re.findall(r"site/([\w.]+\.js)", page)):
        assert (ROOT / "fanlight" / "web" / "runtime" / file).is_file(), file


def test_nothing_names_a_place_of_this_machine() -> None:
    with contextlib.suppress(FileNotFoundError):
        command = ["git", "grep", "-l", "-F", "-e", str(ROOT), "-e", str(SHARED)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.stdout == ""


def test_the_task_modes_of_help_are_those_of_the_code() -> None:
    from fanlight.cli.options import RESIZE_MODES as shown

    tasks = importlib.import_module("fanlight.models.tasks")
    assert set(shown) == set(tasks.RESIZE_MODES)
