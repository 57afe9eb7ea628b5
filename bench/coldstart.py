"""From navigation to the first answer: cold profile, local server, MobileNet v1 0.25.

A new browser context per visit has no cache, so files are fetched and code is compiled each time.
Each engine has the smallest page that its README shows: TF.js in script tags, Fanlight as a module
with its model in a worker. No debugger looks on (see visitor.py). Each classifies once; the clock
is the page's own `performance.now()`, which starts at the navigation. An empty page tells what of
that is the browser's.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.lab import HERE, install_peers, serve
from bench.networks import prepare
from bench.visitor import NoAnswer, visitors

NETWORK = "mobilenet_v1_0.25_224"
GOAL = 4.0  # how many times faster than this peer the first answer is meant to be
PEERS = ("tfjs", "ort")

_DATA = """
const shape = [1, 224, 224, 3];
const data = new Float32Array(150528);
for (let i = 0; i < data.length; i++) data[i] = (i % 195) / 97 - 1;
const done = (scores) => {
  globalThis.answer = { ms: performance.now(), best: scores.indexOf(Math.max(...scores)) };
};
"""
_TELL = """
const tell = ({ reason, message }) => { globalThis.failure = String(reason ?? message); };
addEventListener('error', tell);
addEventListener('unhandledrejection', tell);
"""
_FANLIGHT = """
const model = await load('./fanlight/');
const outputs = await model.run({ [model.inputs[0].name]: { data, shape } });
done(outputs[model.outputs[0].name].data);
"""
_TFJS = """
tf.wasm.setWasmPaths('/peers/@tensorflow/tfjs-backend-wasm/dist/');
await tf.setBackend('wasm');
const model = await tf.loadGraphModel('./tfjs/model.json');
done(await model.predict(tf.tensor(data, shape)).data());
"""
_ORT = """
ort.env.wasm.wasmPaths = '/peers/onnxruntime-web/dist/';
ort.env.wasm.numThreads = 1;
const session = await ort.InferenceSession.create('./model.onnx', { executionProviders: ['wasm'] });
const planes = data.map((_, i) => data[(i % 50176) * 3 + Math.floor(i / 50176)]);
const picture = new ort.Tensor('float32', planes, [1, 3, 224, 224]);
const outputs = await session.run({ [session.inputNames[0]]: picture });
done(outputs[session.outputNames[0]].data);
"""
_TFJS_TAGS = (
    '<script src="/peers/@tensorflow/tfjs/dist/tf.min.js"></script>\n'
    '<script src="/peers/@tensorflow/tfjs-backend-wasm/dist/tf-backend-wasm.min.js"></script>\n'
)
# engine -> (tags before the script, imports, script)
PAGES = {
    "fanlight": ("", "import { load } from './fanlight/fanlight.js';", _DATA + _FANLIGHT),
    "fanlight without its worker": (
        "",
        "import { load } from './fanlight/fanlight.js';",
        _DATA + _FANLIGHT.replace("load('./fanlight/')", "load('./fanlight/', { worker: false })"),
    ),
    "empty": ("", "", "globalThis.answer = { ms: performance.now(), best: null };"),
    "tfjs": (_TFJS_TAGS, "", _DATA + _TFJS),
    "ort": (
        "",
        "import * as ort from '/peers/onnxruntime-web/dist/ort.wasm.min.mjs';",
        _DATA + _ORT,
    ),
}


def write_pages(folder: Path, engines: Sequence[str]) -> None:
    """cold-ENGINE.html for each engine, beside the network's files."""
    for name in engines:
        tags, imports, script = PAGES[name]
        (folder / _file(name)).write_text(
            f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{name}</title>\n'
            f'{tags}<script type="module">\n{imports}\n{script}</script>\n</html>\n'
        )


def _file(name: str) -> str:
    return f"cold-{name.replace(' ', '-')}.html"


def measure(
    out: Path, *, peers: Sequence[str] = ("tfjs",), rounds: int = 15
) -> list[dict[str, Any]]:
    """Milliseconds per engine, visits interleaved; the ratio is that of each round, its median."""
    install_peers()
    network = prepare(NETWORK, out, onnx="ort" in peers)
    engines = [n for n in PAGES if n not in PEERS or n in peers]
    write_pages(network.folder, engines)
    mounts = {"peers": HERE / "node_modules", "work": out}
    times: dict[str, list[float]] = {name: [] for name in engines}
    answers = set()
    with serve(mounts) as base, visitors() as visitor:
        for turn in range(rounds + 1):
            shift = turn % len(engines)  # nobody always comes after the same one
            for name in engines[shift:] + engines[:shift]:
                person = visitor()
                try:
                    answer = person.visit(f"{base}/work/{NETWORK}/{_file(name)}", script=_TELL)
                except NoAnswer as problem:
                    raise SystemExit(f"bench: {name}: {problem}") from problem
                person.close()
                if turn:  # the first visit warms up the disk, the server and the browser process
                    times[name].append(answer["ms"])
                    answers.add(answer["best"])
    if len(answers - {None}) != 1:
        raise SystemExit(f"bench: the engines answered differently: {sorted(answers - {None})}")
    ours = times["fanlight"]
    return [_row(name, times[name], ours) for name in engines]


def _row(name: str, times: Sequence[float], ours: Sequence[float]) -> dict[str, Any]:
    ratios = sorted(a / b for a, b in zip(times, ours, strict=True))
    count = len(ratios)
    return {
        "engine": name,
        "median_ms": round(statistics.median(times), 1),
        "min_ms": round(min(times), 1),
        "ratio": round(statistics.median(ratios), 2),
        "ratio_spread": [round(ratios[count // 4], 2), round(ratios[3 * count // 4], 2)],
        "goal": GOAL if name == "tfjs" else None,
        "ok": statistics.median(ratios) >= GOAL if name == "tfjs" else None,
    }
