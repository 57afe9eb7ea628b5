"""build(model, ...) -> bundle. The whole way of the data, on one page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from fanlight.built import Bundle, open_bundle, place_of
from fanlight.bundle import BundleWriter, check_manifest
from fanlight.codegen.describe import graph_file, make_manifest, module_file
from fanlight.codegen.plan import WEIGHTS_OFFSET, make_plan
from fanlight.errors import FanlightError
from fanlight.finite import check_weights
from fanlight.graph import Graph
from fanlight.layers.deploy import Training, refuse_texts
from fanlight.layers.foreign import refuse_model
from fanlight.layers.free_batch import refuse_fixed_batch
from fanlight.ops.types import TensorType
from fanlight.passes import optimize
from fanlight.quantize import in_bytes, is_quantized, settled
from fanlight.targets import TARGETS
from fanlight.tensor.trace import source_of
from fanlight.trainable import refuse_train, trainable
from fanlight.web.headers import hosts_named
from fanlight.web.shell import finish_site
from fanlight.web.single_file import write_single_file
from fanlight.web.site import page_files, refuse_in_one_file

PRECISIONS = ("f32", "f16", "int8")


class Task(Protocol):
    """What a task does to a graph before it is built (see fanlight.models.tasks)."""

    def apply(self, graph: Graph, labels: Sequence[str] | None = None) -> tuple[Graph, dict]:
        """The graph with pre- and post-processing, and the manifest's `task` entry."""
        ...


def build(
    model: Any,
    out: str | Path,
    *,
    task: Task | None = None,
    precision: str = "f32",
    calibration: Any = None,
    name: str | None = None,
    samples: Sequence[str | Path] = (),
    title: str | None = None,
    card: str = "",
    bench_page: bool = False,
    isolate: bool = False,
    offline: bool = False,
    headers: Sequence[str] = (),
    compress: bool = True,
    lazy: bool = False,
    links: Mapping[str, str] | None = None,
    inputs: Mapping[str, TensorType] | None = None,
    dims: Mapping[str, Any] | None = None,
    train: Training | None = None,
) -> Bundle:
    """Build a model, or a function of tensors, for the browser.

    Args:
        model: a loaded model (anything with `.graph`), a Graph, or a function of tensors.
        out: a folder to write, or a path ending in .html for one page that holds everything.
        task: e.g. `fl.tasks.classify(...)`; None builds the model as it is.
        precision: "f32", "f16" or "int8". f16: the weights of convolutions and dense layers and
            the tables that are looked up are rounded to float16 and travel as such, half the
            download. What computes is the same float32. A tensor that float16 would spoil stays
            as it is (see fanlight.passes.round_weights). int8: computes in bytes (fanlight.quantize
            does it, and also gives a report; a model that it returned is built as it is).
        calibration: for int8: photos or arrays such as the model will see, see fanlight.quantize.
        name, title: of the bundle and of its page; default: the model's.
        samples: pictures to offer on the page.
        card: what to know about the model (data, figures, limits), for the page (some Markdown).
        bench_page: put bench/speed.html beside the model: it measures on the visitor's own device.
        offline: the page installs as an app and after one visit works without a network. That is
            a web manifest, icons, and the service worker of isolate, which keeps the model, too.
        isolate: a service worker, for hosts that send no headers: from the second visit on the
            page is cross-origin isolated, which threads need, and works without a network.
        headers: static hosts to write headers files for, e.g. ["netlify"], or ["all"].
        compress: write FILE.gz (with fanlight[brotli] FILE.br, too) where that is smaller.
        lazy: the page of a classifier fetches nothing of the model before a visitor wants it.
        links: this page and those beside it, as tabs: {"Look": "./", "Teach it": "studio/"}.
        inputs: for a function: shape and dtype of each argument, `{"x": fl.spec((3,))}`. It is
            called with stand-ins: what it then does to them is what is built.
        dims: for a function with sizes that are free, `fl.spec(("batch", 3))`: the greatest size
            of each, `{"batch": 64}`, or (least, greatest).
        train: what `fl.training` gives: the model can then be trained in the page, by steps of up
            to dims["batch"] examples (default 32); with dims={"classes": 20} the page chooses the
            classes and their names. With a task, its `pictures` makes what the steps take. With
            precision="f16" what nothing learns travels as float16; what learns stays float32.

    Returns:
        The bundle, ready to run: `bundle.run({"image": rgb})`.

    Raises:
        FanlightError: E-BUILD-00x, of a function also E-TENSOR-00x. Nothing is left at `out` then.
    """
    written = inputs is not None  # a function's constants are what its author wrote
    given = model
    refuse_model(model)
    refuse_texts(model, train is not None)
    if train is not None:
        refuse_train(train, inputs, task, precision)
        refuse_fixed_batch(given)
    model = source_of(model, inputs, None if train is not None else dims)
    if precision not in PRECISIONS:
        raise FanlightError(
            "E-BUILD-005",
            f"there is no precision {precision!r}.",
            where="precision",
            expected=", ".join(PRECISIONS),
            received=precision,
        )
    target, headers = place_of(out), hosts_named(headers)
    single = target.suffix.lower() in (".html", ".htm")
    if single:
        refuse_in_one_file(target, bench_page, isolate or offline, bool(headers))
    source: Graph = model if isinstance(model, Graph) else model.graph
    if precision == "int8" or calibration is not None:
        model, precision = in_bytes(model, precision, calibration, task), "int8"
        source = model if isinstance(model, Graph) else model.graph
    batched = dict(getattr(model, "batched", {}))
    check_weights(source, infinite=written)
    entry = None
    if task is not None:
        if not hasattr(task, "apply"):
            raise FanlightError(
                "E-BUILD-005",
                "this is not a task.",
                where="task",
                expected="fl.tasks.classify(...), or None",
                received=task,
                next="make one: task=fl.tasks.classify(labels=labels).",
            )
        source, entry = settled(task, model).apply(source, getattr(model, "labels", None))
        batched = {}
    if is_quantized(source):
        if precision == "f16":
            raise FanlightError(
                "E-BUILD-005",
                "a quantised model has no float16 weights.",
                where="precision",
                expected='"int8", or leave it out',
                received=precision,
                next="build the float model with f16, or this one as it is.",
            )
        precision = "int8"
    targets = TARGETS
    learns = None
    if train is not None:
        learns = trainable(given, train, dims, targets, task, precision)
        plan, source = learns.plan, learns.source
    else:
        legal = optimize(source, targets[0], precision=precision)
        plan = make_plan(legal, targets, halves=precision == "f16")
    # The meaning of a bundle: the source, as long as no weight is rounded on the way.
    meaning = plan.graph if precision == "f16" and learns is None else source

    # A page is packed from a folder that never gets a name of its own.
    folder = target.with_name(f".{target.name}.bundle") if single else target
    with BundleWriter(folder) as writer:
        modules = [writer.add_module(**module_file(plan, t)) for t in targets]
        image = plan.weight_pieces() if learns is None else [learns.image()]
        size, kept = plan.weight_bytes, 0 if learns is None else learns.kept_bytes
        shards = writer.add_weights(image, WEIGHTS_OFFSET, size, plan.halves_offset, kept)
        sizes = {} if learns is None else learns.sizes
        manifest = make_manifest(plan, name or source.name, precision, entry, batched, sizes)
        manifest |= {"weights": shards, "modules": modules}
        writer.add("graph.json", graph_file(plan))
        files = {} if learns is None else learns.files()
        files |= page_files(
            manifest, title=title, card=card, samples=samples, headers=headers, isolate=isolate,
            offline=offline, bench=bench_page, lazy=lazy, links=links, train=bool(train),
        )  # fmt: skip
        for path, data in files.items():
            writer.add(path, data)
        writer.add_manifest(manifest)
        check_manifest({**manifest, "files": writer.files}, target)
        if single:
            write_single_file(writer.folder, target)
        else:
            finish_site(writer.folder, isolate or offline, offline, compress, manifest=manifest)
            writer.commit()
        return open_bundle(target, source=meaning)
