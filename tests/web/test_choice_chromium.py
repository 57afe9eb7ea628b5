"""What computes fastest is found out by running it, told, and remembered by the module's hash."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Set
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import fanlight as fl
from fanlight.codegen import kernel as kernels
from fanlight.codegen.kernel import Kernel
from fanlight.codegen.wasm.module import Module
from fanlight.graph import Node, Value
from fanlight.targets import Target
from tests.web.conftest import BARE
from tests.web.server import Site, serve
from tests.web.test_threads_chromium import ISOLATED, X, net

pytestmark = pytest.mark.chromium


def repeated(kernel: Kernel, times: int) -> Kernel:
    """A kernel that does its work several times over: slow, and right."""
    inner = kernel.emit

    def emit(module: Module, name: str) -> None:
        inner(module, f"{name}_inner")
        f = module.function(name, module.resolve(f"{name}_inner")[1].params)
        with f.repeat(times):
            for local in f.params:
                f.get(local)
            f.call(f"{name}_inner")

    return replace(kernel, key=f"{times} times {kernel.key}", emit=emit)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """slow/: the kernels of convolutions are slow, their twins "wide" are not; quick/: reversed."""
    import fanlight.codegen.wasm.kernels  # noqa: F401  (fills LOWERINGS)

    folder = tmp_path_factory.mktemp("choice")
    real = kernels.LOWERINGS["conv2d"]
    try:
        for name, base, twin in (("slow", 4, 1), ("quick", 1, 4)):

            def lower(
                node: Node, target: Target, weights: Set[Value], b: int = base, t: int = twin
            ) -> Kernel:
                kernel = real(node, target, weights)
                return replace(repeated(kernel, b), twins={"wide": repeated(kernel, t)})

            kernels.LOWERINGS["conv2d"] = lower
            fl.build(net(), folder / name)
    finally:
        kernels.LOWERINGS["conv2d"] = real
    (folder / "x.bin").write_bytes(X.tobytes())
    return folder


@pytest.fixture
def site(folder: Path) -> Iterator[Site]:
    with serve(folder) as site:
        site.pages["bare.html"] = BARE
        yield site


@pytest.fixture
def settled(page: Any, site: Site) -> Callable[..., dict[str, Any]]:
    """`settled(name, options, calls)`: a model's info once it has found out what is fastest.

    `spoil` changes what the model's worker finds there before the runtime comes.
    """

    def settled(
        name: str, options: str = "{}", calls: int = 1, spoil: str | None = None
    ) -> dict[str, Any]:
        if spoil is not None:
            worker = (site.folder / name / "worker.js").read_text()
            site.pages[f"{name}/worker.js"] = "import './spoil.js';\n" + worker
            site.pages[f"{name}/spoil.js"] = spoil
        page.goto(site.url + "bare.html")
        return page.evaluate(
            f"""async () => {{
              const {{ load }} = await import('./{name}/fanlight.js');
              const model = await load('{name}', {options});
              const data = new Float32Array(await (await fetch('x.bin')).arrayBuffer());
              const x = {{ x: {{ data, shape: [1, 32, 32, 8] }} }};
              const answers = new Set();
              for (let i = 0; i < {calls}; i++) answers.add(String((await model.run(x)).y.data));
              for (let i = 0; i < 200 && !model.info.tried; i++) {{
                answers.add(String((await model.run(x)).y.data));
                await new Promise((resolve) => setTimeout(resolve, 50));
              }}
              answers.add(String((await model.run(x)).y.data));
              return {{ ...model.info, answers: answers.size }};
            }}"""
        )

    return settled


def test_the_faster_twin_is_taken(settled: Callable) -> None:
    info = settled("slow")
    assert info["variants"] == ["wide"] and info["answers"] == 1
    one, wide = info["tried"]
    assert (one["variants"], wide["variants"]) == ([], ["wide"]) and wide["ms"] < one["ms"]
    assert info["reasons"]["variants"].startswith("wide, measured: one thread ")
    assert info["reasons"]["variants"] in info["why"]


def test_the_slower_twin_is_not(settled: Callable) -> None:
    info = settled("quick")
    assert info["variants"] == [] and len(info["tried"]) == 2
    assert info["reasons"]["variants"].startswith("no variants, measured: ")


def test_it_is_remembered_by_hash(settled: Callable, site: Site) -> None:
    first = settled("slow")
    again = settled("slow")
    assert again["variants"] == ["wide"] and again["tried"] == first["tried"]
    assert "as found out before" in again["reasons"]["variants"]
    other = settled("quick")  # another module
    assert "measured" in other["reasons"]["variants"]


def test_threads_and_twins_together(settled: Callable, site: Site) -> None:
    site.headers.update(ISOLATED)
    info = settled("slow")
    assert info["answers"] == 1 and info["variants"] == ["wide"]
    assert info["reasons"]["variants"] == "wide, measured"
    assert "measured: one thread " in info["reasons"]["threads"]
    trials = {(t["threads"], *t["variants"]): t["ms"] for t in info["tried"]}
    assert {(1,), (1, "wide"), (2, "wide")} <= set(trials)
    # Whether two threads help depends on what else this machine does; that they are taken if they
    # did does not.
    assert info["threads"] == 1 + (trials[2, "wide"] < 0.9 * trials[1, "wide"])


def test_what_is_asked_for_is_not_tried(settled: Callable, site: Site) -> None:
    site.headers.update(ISOLATED)
    info = settled("slow", "{ variants: [] }")
    assert info["variants"] == [] and "variants" not in info["reasons"]
    assert {t["threads"] for t in info["tried"]} == {1, 2}
    info = settled("slow", "{ threads: 1 }")
    assert {t["threads"] for t in info["tried"]} == {1} and info["variants"] == ["wide"]


def test_nothing_is_tried_where_nothing_is_free(page: Any, site: Site) -> None:
    page.goto(site.url + "bare.html")
    page.evaluate(
        """async () => {
          const { load } = await import('./slow/fanlight.js');
          const model = await load('slow', { threads: 1, variants: ['wide'] });
          const x = { data: new Float32Array(8192), shape: [1, 32, 32, 8] };
          for (let i = 0; i < 3; i++) await model.run({ x });
          await new Promise((resolve) => setTimeout(resolve, 400));
          globalThis.info = model.info;
        }"""
    )
    assert page.evaluate("[info.variants, info.tried]") == [["wide"], None]
    assert not any(path.endswith(("choice.js", "threads.js")) for path in site.log)


NO_TABLE = {
    "refused": "indexedDB.open = () => { throw new Error('no table'); };",
    "of somebody else": """
      const { open } = IDBFactory.prototype;
      IDBFactory.prototype.open = function () { return open.call(this, 'of somebody else', 1); };
      await new Promise((resolve) => { indexedDB.open().onsuccess = resolve; });
    """,
}


@pytest.mark.parametrize("way", NO_TABLE)
def test_without_a_table_it_is_found_out_again(settled: Callable, way: str) -> None:
    for _ in range(2):
        info = settled("slow", spoil=NO_TABLE[way])
        assert "measured" in info["reasons"]["variants"]


NO_HELPERS = "globalThis.Worker = function () { throw new Error('no workers in workers') };"


def test_helpers_that_cannot_start_are_told_of_and_not_tried_again(
    settled: Callable, site: Site
) -> None:
    site.headers.update(ISOLATED)
    for how in ("measured", "as found out before"):
        info = settled("slow", spoil=NO_HELPERS)
        assert (info["threads"], info["variants"], info["answers"]) == (1, ["wide"], 1)
        why = info["reasons"]["threads"]
        assert why.startswith(f"one thread, {how}: one thread ")
        assert why.endswith("; more failed: no workers in workers")


def test_what_goes_wrong_while_trying_is_told(settled: Callable, site: Site, page: Any) -> None:
    """Here the runs themselves: all is as at the beginning."""
    site.headers.update(ISOLATED)
    spoil = """
      const { now } = performance;
      let calls = 0;
      performance.now = () => {
        if (++calls > 40) throw new Error('no clock');
        return now.call(performance);
      };
    """
    info = settled("slow", spoil=spoil)
    assert (info["threads"], info["variants"], info["answers"]) == (1, [], 1)
    assert info["reasons"]["threads"] == "one thread: no clock"
    assert info["reasons"]["variants"] == "no variants: no clock"


def test_one_file_has_threads_too(page: Any, site: Site, tmp_path: Path) -> None:
    """Under its own policy; the page runs its model, and the worker tells what it found out."""
    fl.build(net(), tmp_path / "one.html").close()
    site.pages["one.html"] = (tmp_path / "one.html").read_text("utf-8")
    site.headers.update(ISOLATED)
    page.add_init_script("""
      const Real = Worker;
      globalThis.Worker = class extends Real {
        constructor(...args) {
          super(...args);
          this.addEventListener('message', ({ data }) => {
            if (data.info?.tried) globalThis.info = data.info;
          });
        }
      };
    """)
    page.goto(site.url + "one.html")
    info = None
    for _ in range(200):  # the policy lets no function of the test wait in the page
        info = info or page.evaluate("globalThis.info")
        page.wait_for_timeout(0 if info else 50)
    assert info
    assert {1, 2} <= {trial["threads"] for trial in info["tried"]}
    assert "failed" not in info["why"]


def test_a_page_that_waits_for_its_visitor_warms_up(page: Any, site: Site) -> None:
    """Before the first call, with sizes of its own where they are free; answers stay right."""
    page.goto(site.url + "bare.html")
    found = page.evaluate(
        """async () => {
          const { load } = await import('./slow/fanlight.js');
          const model = await load('slow', { threads: 1, variants: [] });
          await new Promise((resolve) => setTimeout(resolve, 900));
          const x = { data: new Float32Array(8192).fill(0.25), shape: [1, 32, 32, 8] };
          const late = String((await model.run({ x })).y.data);
          const other = await load('slow', { worker: false });
          return [late === String((await other.run({ x })).y.data), model.info.tried];
        }"""
    )
    assert found == [True, None]
    assert any(path.endswith("choice.js") for path in site.log)
