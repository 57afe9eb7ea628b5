"""`fanlight doctor`: what is installed here, and what to do about what is not."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from dataclasses import asdict, dataclass

import rich_click as click

from fanlight.cli.output import json_option, print_json, stdout
from fanlight.errors import FanlightError

# package -> what to install to get it, with whatever goes with it
_EXTRAS = {
    "h5py": "'fanlight[keras]'",
    "playwright": "'fanlight[browser]'",
    "matplotlib": "'fanlight[plots]'",
    "brotli": "'fanlight[brotli]'",
}
# What is read or traced -> the package that does it; most need none.
_READERS = {
    "TF.js model.json": None,
    "SavedModel, .pb": None,
    ".tflite, .task": None,
    ".onnx": None,
    ".pt2": None,
    ".safetensors": None,
    ".keras, .h5": "h5py",
    "PyTorch modules": "torch",
    "JAX functions": "jax",
}


@dataclass(frozen=True)
class Finding:
    """One thing that Fanlight can use: whether it is here, and what it is for."""

    name: str
    ok: bool
    needed: bool
    found: str
    use: str


@click.command("doctor")
@json_option
def command(as_json: bool) -> None:
    """Show what is installed here. The exit code is 1 if something is missing that must be here."""
    findings = [*_packages(), *_readers(), _wasm(), _default_model(), *_browsers()]
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        _print(findings)
    if not all(finding.ok for finding in findings if finding.needed):
        raise SystemExit(1)


def _packages() -> list[Finding]:
    import fanlight

    machine = f"{os.cpu_count()} CPUs, {platform.machine()}, {platform.system()}"
    findings = [
        Finding("fanlight", True, True, fanlight.__version__, "the compiler"),
        Finding("python", True, True, platform.python_version(), machine),
    ]
    for name, needed, use in (
        ("numpy", True, "the meaning of every op"),
        ("wasmtime", True, "--host wasm"),
        ("pillow", True, "decodes photos"),
        ("h5py", False, "reads .h5 and .keras"),
        ("playwright", False, "--host browser, bench"),
        ("brotli", False, "build writes .br beside .gz"),
    ):
        try:
            version = importlib.metadata.version(name)
            findings.append(Finding(name, True, needed, version, use))
        except importlib.metadata.PackageNotFoundError:
            hint = f"{use}: pip install {_EXTRAS.get(name, name)}"
            findings.append(Finding(name, False, needed, "not installed", hint))
    return findings


def _readers() -> list[Finding]:
    """Each kind of source, and whether what reads it is here."""
    findings = []
    for name, package in _READERS.items():
        found, use = "needs nothing more", "fl.load, fanlight convert"
        if package in ("torch", "jax"):
            use = f"a live model, traced by your own {package}"
        if package is not None:
            try:
                found = f"by {package} {importlib.metadata.version(package)}"
            except importlib.metadata.PackageNotFoundError:
                use += f": pip install {_EXTRAS.get(package, package)}"
                findings.append(Finding(name, False, False, f"needs {package}", use))
                continue
        findings.append(Finding(name, True, False, found, use))
    return findings


def _wasm() -> Finding:
    """Whether wasmtime runs the SIMD that bundles use, on this processor."""
    use = "relaxed SIMD under CPython"
    try:
        import wasmtime

        config = wasmtime.Config()
        config.wasm_relaxed_simd = True
        engine = wasmtime.Engine(config)
        text = (
            '(module (func (export "f") (result f32) (f32x4.extract_lane 0 '
            "(f32x4.relaxed_madd (f32x4.splat (f32.const 2)) (f32x4.splat (f32.const 3)) "
            "(f32x4.splat (f32.const 1))))))"
        )
        store = wasmtime.Store(engine)
        instance = wasmtime.Instance(store, wasmtime.Module(engine, text), [])
        answer = instance.exports(store)["f"](store)  # type: ignore[operator]
    except Exception as problem:  # whatever keeps it from working is what we report
        return Finding("wasm", False, True, str(problem).splitlines()[0][:80], use)
    return Finding("wasm", answer == 7, True, "works" if answer == 7 else "wrong answer", use)


def _default_model() -> Finding:
    import fanlight as fl

    use = "fanlight demo"
    try:
        model, _ = fl.default_model()
    except FanlightError as problem:
        return Finding("default model", False, True, problem.code, use)
    return Finding("default model", True, True, model.name, use)


def _browsers() -> list[Finding]:
    from fanlight.hosts.browser import find_browser

    uses = {"chromium": "--host browser, bench", "firefox": "Fanlight's own tests"}
    return [
        Finding(name, path is not None, False, path or "not found", use)
        for name, use in uses.items()
        for path in (find_browser(name),)
    ]


def _print(findings: list[Finding]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for finding in findings:
        bad = "[bold red]missing[/]" if finding.needed else "[yellow]optional[/]"
        table.add_row(
            "[green]ok[/]" if finding.ok else bad,
            Text(finding.name, style="bold"),
            Text(finding.found),
            Text(finding.use, style="dim"),
        )
    stdout().print(table)
