"""What was compared with Keras 3 and others in this run: pytest prints the counts at its end.

A test says what it has compared, behind its assertion: `compared("layers", "Dense", "outputs")`, or
`counted(KERAS_JS, 334, of=334)`. Only tests that passed count; with `-k` the table has what ran. A
run of the whole suite fails if a public name is compared by no test.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pytest

from tests.support import SHARED

# What is compared of each kind; "20 steps" are of training.
COLUMNS: dict[str, tuple[str, ...]] = {
    "layers": ("outputs", "gradients", "20 steps", "configs"),
    "activations": ("outputs", "gradients"),
    "losses": ("outputs", "gradients", "configs"),
    "metrics": ("outputs", "configs"),
    "optimizers": ("20 steps", "configs"),
    "schedules": ("outputs", "configs"),
    "initializers": ("outputs", "configs"),
    "constraints": ("outputs", "configs"),
    "regularizers": ("outputs", "gradients", "configs"),
}

# Layers with weights that learn; `check_layer` and `same` refuse to compare one that is not here.
LEARNING = frozenset(
    "AdditiveAttention Attention BatchNormalization Bidirectional Conv1D Conv1DTranspose Conv2D "
    "Conv2DTranspose Conv3D Conv3DTranspose ConvLSTM1D ConvLSTM2D ConvLSTM2DCell ConvLSTM3D "
    "Dense DepthwiseConv1D DepthwiseConv2D EinsumDense Embedding GRU GRUCell GroupNormalization "
    "GroupQueryAttention LSTM LSTMCell LayerNormalization MultiHeadAttention PReLU "
    "RMSNormalization RNN ReversibleEmbedding STFTSpectrogram SeparableConv1D SeparableConv2D "
    "SimpleRNN SimpleRNNCell SpectralNormalization StackedRNNCells TimeDistributed".split()
)

# Compared with something else than Keras 3 ("defined" instead of "outputs"), and why.
NO_KERAS = "with their definition, as Keras 3 has none"
WRONG_KERAS = "with their definition, as Keras 3 gives zeros where several have a share"
DRAWN = "with their definition, as the numbers that they draw in training are not Keras's"
NEEDS_TENSORFLOW = "with the answers in Keras's documentation, as Keras needs TensorFlow for them"
ELSEWHERE: dict[str, dict[str, str]] = {
    "layers": {
        **dict.fromkeys(("Neighbours", "RandomHeight", "RandomWidth", "ThresholdedReLU"), NO_KERAS),
        **dict.fromkeys(
            "AlphaDropout Dropout GaussianDropout GaussianNoise SpatialDropout1D SpatialDropout2D "
            "SpatialDropout3D".split(),
            DRAWN,
        ),
        **dict.fromkeys(
            ("HashedCrossing", "Hashing", "IntegerLookup", "StringLookup", "TextVectorization"),
            NEEDS_TENSORFLOW,
        ),
    },
    "activations": {"hard_sigmoid_2": NO_KERAS, "sparsemax": WRONG_KERAS},
    "metrics": {"ConfusionMatrix": NO_KERAS},
}

# Columns that a member is without, and why.
WITHOUT: dict[tuple[str, str], dict[str, str]] = {
    ("layers", "gradients"): dict.fromkeys(
        (
            *("CategoryEncoding", "Discretization"),
            *("ContrastLimitedAdaptiveHistogramEqualization", "Equalization"),
            *("HashedCrossing", "Hashing", "IntegerLookup", "StringLookup"),
            *("RandomPosterization", "TextVectorization"),
        ),
        "what it gives is counted or looked up",
    ),
    ("layers", "configs"): {
        name: why
        for name, why in ELSEWHERE["layers"].items()
        if why in (NO_KERAS, NEEDS_TENSORFLOW)
    },
    ("metrics", "configs"): {"ConfusionMatrix": NO_KERAS},
}

# What is counted beside.
ARRAY_API = "functions of the Python array API standard have its signatures"
KERAS_JS = "layers, networks and activations of keras.js as Keras 2 gave them"
NETWORKS = "mixed networks reach what Keras's reach"
CHROMIUM = "losses of a training bundle in Chromium are those of Python"
FIREFOX = "losses of a training bundle in Firefox are those of Python"
IN_KERAS = "saved models answer in Keras as here, or train on as here"
IN_TFJS = "saved models answer in TensorFlow.js as here, and train on as here"
KERNELS = "recorded kernels of TensorFlow.js, by {}"
NODES = "node tests of ONNX, by {}"
COUNTS = (
    ARRAY_API,
    *(KERAS_JS, NETWORKS, CHROMIUM, FIREFOX, IN_KERAS, IN_TFJS),
    *(KERNELS.format(host) for host in ("numpy", "wasm", "browser", "browser-plain")),
    *(NODES.format(host) for host in ("numpy", "wasm", "jit")),
)

# Public, but no members: bases, what stands for an input or for a function of one's own, what
# writes and reads descriptions.
NO_MEMBERS = frozenset(
    "Layer Wrapper InputLayer Loss Function Metric Optimizer LearningRateSchedule Initializer "
    "Constraint Regularizer deserialize get serialize".split()
)

_ORDER = ("outputs", "gradients", "20 steps", "configs")
_noted: list[tuple[str, list[Any]]] = []  # by the test that runs


def compared(kind: str, name: str, *what: str) -> None:
    """Note that a member of a kind was as it should be; call it behind the assertion."""
    assert set(what) <= {*COLUMNS[kind], "defined"}, what
    _noted.extend(("compared", [kind, name, column]) for column in what)


def counted(what: str, passed: int, of: int) -> None:
    """Note how many of so many were as they should be; call it behind the assertion."""
    assert what in COUNTS, what
    _noted.append(("counted", [what, passed, of]))


# --- pytest ---------------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """What a test notes travels with its report, from a worker's process, too."""
    _noted.clear()
    try:
        return (yield)
    finally:
        item.user_properties.extend(_noted)


def found(terminal: Any) -> tuple[dict[tuple[str, str], set[str]], dict[str, tuple[int, int]]]:
    """What tests that passed have noted: names by kind and column, and counts.

    A count that several tests give parts of is their sum.
    """
    failed = {r.nodeid for word in ("failed", "error") for r in terminal.stats.get(word, [])}
    names: dict[tuple[str, str], set[str]] = {}
    counts: dict[str, tuple[int, int]] = {}
    for report in terminal.stats.get("passed", []):
        if report.when != "call" or report.nodeid in failed:
            continue
        for label, value in report.user_properties:
            if label == "compared":
                kind, name, column = value
                names.setdefault((kind, column), set()).add(name)
            elif label == "counted":
                what, passed, of = value
                before = counts.get(what, (0, 0))
                counts[what] = before[0] + passed, before[1] + of
    return names, counts


def members() -> dict[str, list[str]]:
    """The public names of every kind: each class once, and no bases."""
    import fanlight as fl

    modules = {kind: getattr(fl, kind, fl.optimizers.schedules) for kind in COLUMNS}
    made = {}
    for kind, module in modules.items():
        public = {getattr(module, n) for n in module.__all__ if inspect.isclass(getattr(module, n))}
        if kind == "layers":
            public = {c for c in public if issubclass(c, fl.layers.Layer)}
        names = {c.__name__ for c in public} if kind != "activations" else set(module.__all__)
        made[kind] = sorted(names - NO_MEMBERS)
    return made


def wanted(kind: str, column: str, names: Iterable[str]) -> list[str]:
    """The members that have such a column."""
    if (kind, column) == ("layers", "20 steps"):
        return [n for n in names if n in LEARNING]
    return [n for n in names if n not in WITHOUT.get((kind, column), {})]


def missing(names: Mapping[tuple[str, str], set[str]]) -> list[str]:
    """What nothing was compared with, each with its kind and column."""
    made = []
    for kind, public in members().items():
        defined = names.get((kind, "defined"), set()) & ELSEWHERE.get(kind, {}).keys()
        for column in COLUMNS[kind]:
            there = names.get((kind, column), set())
            there = there | defined if column == "outputs" else there
            made += [f"{kind}: {n}, {column}" for n in wanted(kind, column, public)
                     if n not in there]  # fmt: skip
    return made


def lines(names: Mapping[tuple[str, str], set[str]], counts: Mapping[str, Any]) -> Iterator[str]:
    """The table, as it is printed."""
    head = sorted({c for columns in COLUMNS.values() for c in columns}, key=_ORDER.index)
    yield f"{'':14}{'public':>7}" + "".join(f"{c:>14}" for c in head)
    for kind, public in members().items():
        cells = []
        for column in head:
            of = set(wanted(kind, column, public))
            if column == "outputs":
                of -= ELSEWHERE.get(kind, {}).keys()
            there = names.get((kind, column), set()) & of
            cells.append(f"{len(there)} of {len(of)}" if column in COLUMNS[kind] else "")
        yield f"{kind:14}{len(public):7}" + "".join(f"{c:>14}" for c in cells)
    for kind, reasons in ELSEWHERE.items():
        defined = names.get((kind, "defined"), set())
        for reason in dict.fromkeys(reasons.values()):
            there = [n for n, why in reasons.items() if why == reason and n in defined]
            if there:
                yield f"{kind} compared {reason}: {', '.join(there)}"
    for what in COUNTS:
        if what in counts:
            passed, of = counts[what]
            yield f"{passed} of {of} {what}"


def whole(config: pytest.Config, terminal: Any) -> bool:
    """Whether the run was that of all tests: nothing was chosen, and nothing broke it off."""
    option = config.option
    chosen = option.keyword or option.markexpr or option.deselect or option.ignore
    chosen = chosen or option.ignore_glob or getattr(option, "lf", False)
    session = terminal._session
    return not (
        chosen
        or option.collectonly
        or config.args_source is pytest.Config.ArgsSource.ARGS
        or session.shouldstop
        or session.shouldfail
    )


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """In a run of all tests, what no test compares is the failure of a test."""
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if terminal is None or hasattr(session.config, "workerinput"):
        return  # a process of pytest-xdist: the one that hears of all of them reports
    if session.exitstatus not in (0, 1) or not whole(session.config, terminal):
        return
    names, _ = found(terminal)
    if left := missing(names):
        session.config.hook.pytest_runtest_logreport(
            report=pytest.TestReport(
                nodeid="tests/conformance.py::what_is_public_is_compared",
                location=("tests/conformance.py", None, "what_is_public_is_compared"),
                keywords={},
                outcome="failed",
                longrepr="no test that passed compares\n  " + "\n  ".join(left),
                when="call",
            )
        )
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the table if this run compared anything."""
    names, counts = found(terminalreporter)
    if not names and not counts:
        return
    terminalreporter.section("conformance: compared with Keras 3, and with others")
    for line in lines(names, counts):
        terminalreporter.write_line(line)
    if whole(config, terminalreporter):
        why = "" if SHARED.is_dir() else f"; {SHARED} is not here"
        for what in COUNTS:
            if what not in counts:
                terminalreporter.write_line(f"not counted by a test that passed{why}: {what}")
