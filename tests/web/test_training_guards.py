"""A page that trains does wrong things, or several at once, in Chromium: it is told what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl

pytestmark = pytest.mark.chromium
L = fl.layers
TASK = fl.tasks.classify(labels=["red", "green", "blue"])


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """teach/ (photos, with a task), heads/ (two inputs and outputs), yes/ (a binary loss)."""
    folder = tmp_path_factory.mktemp("guards")
    fl.clear_session()
    fl.set_random_seed(2)
    net = fl.Sequential(
        [
            fl.Input((8, 10, 3)),
            L.Conv2D(5, 3, activation="relu"),
            L.GlobalAveragePooling2D(),
            L.Dropout(0.2),
            L.Dense(3, activation="softmax", name="head"),
        ]
    )
    how = fl.training(fl.optimizers.Adam(0.05), "sparse_categorical_crossentropy", ["accuracy"])
    fl.build(net, folder / "teach", task=TASK, train=how, dims={"batch": 8}).close()
    fl.build(heads(), folder / "heads", train=heads_how(), dims={"batch": 8}).close()
    yes = fl.Sequential([fl.Input((2,)), L.Dense(1, activation="sigmoid", name="yes")])
    rows = fl.training("sgd", "categorical_crossentropy")
    fl.build(net, folder / "rows", train=rows, dims={"batch": 8}).close()
    fl.build(yes, folder / "yes", train=fl.training("sgd", "binary_crossentropy")).close()
    return folder


@pytest.fixture
def toys(built: Path) -> Path:
    """What the site serves here."""
    return built


@pytest.fixture
def here(page: Any, site: Any) -> Any:
    """A page with `load` of train.js and `told(promise)`: code, received and next of an error."""
    page.goto(site.url + "bare.html")
    page.evaluate("""async () => {
      globalThis.load = (await import('./teach/train.js')).load;
      globalThis.told = (promise) => promise.then(
        () => ['none'], ({ code, received, next, where }) => [code, String(received), next, where]);
      globalThis.photos = (n) => Float32Array.from({ length: n * 240 }, (_, i) => i * 7 % 23 / 23);
      globalThis.classes = (n) => Int32Array.from({ length: n }, (_, i) => i % 3);
    }""")
    return page


def heads(seed: int = 4) -> Any:
    """Two inputs, of which one has whole numbers, and two outputs."""
    fl.clear_session()
    fl.set_random_seed(seed)
    word, size = fl.Input((1,), dtype="int32", name="word"), fl.Input((4,), name="size")
    x = L.Concatenate()([L.Flatten()(L.Embedding(10, 4)(word)), size])
    kind = L.Dense(4, activation="softmax", name="kind")(x)
    return fl.Model([word, size], [kind, L.Dense(1, name="score")(x)])


LOSSES = {"kind": "sparse_categorical_crossentropy", "score": "mse"}


def heads_how() -> Any:
    return fl.training(fl.optimizers.SGD(0.1), LOSSES, {"kind": ["accuracy"]})


def test_nothing_comes_between_and_what_may_go_on_does(here: Any) -> None:
    found = here.evaluate("""async () => {
      const x = photos(40), y = classes(40);
      const how = { epochs: 6, batchSize: 8, seed: 3 };
      const alone = await load('teach');
      const want = (await alone.fit(x, y, how)).history;
      const model = await load('teach');
      const before = await model.classify(new ImageData(10, 8), { top: 3 });
      const wanted = (await model.evaluate(x, y)).loss;
      const begun = model.fit(x, y, how);
      const { data } = (await model.getWeights())['head/bias'];
      const refused = await Promise.all([
        model.fit(x, y), model.evaluate(x, y), model.setWeights({ 'head/bias': data }),
        model.reset(), model.setClasses(2), model.store('a'), model.restore('a'), model.forget('a'),
      ].map(told));
      const inner = [], seen = [];
      const image = { data: new Uint8Array(320), shape: [8, 10, 4] };
      for (let ended = false; !ended;) {
        const [{ score }] = await model.classify(new ImageData(10, 8), { top: 1 });
        const { length } = await model.pictures([new ImageData(20, 16)]);
        const { scores } = await model.run({ image });
        inner.push(score, length, (await model.save()).size, scores.data[0]);
        seen.push(Number.isFinite((await model.getWeights())['head/bias'].data[0]));
        const later = new Promise((resolve) => setTimeout(resolve, 1, false));
        ended = await Promise.race([begun.then(() => true), later]);
      }
      const { history } = await begun;
      const both = await Promise.all([model.evaluate(x, y), told(model.evaluate(x, y))]);
      const alike = await model.evaluate(x, y);
      await model.reset();
      const again = await model.evaluate(x, y);
      return { want, history, refused, inner: inner.every(Number.isFinite), seen, both, alike,
        wanted, again: again.loss, before: before.length };
    }""")
    assert found["history"] == found["want"]
    assert [code for code, *_ in found["refused"]] == ["E-WEB-036"] * 8
    assert {next for _, _, next, _ in found["refused"]} == {"await fit"}
    assert found["refused"][1][3] == "evaluate"
    assert found["inner"] and found["seen"] and all(found["seen"]) and found["before"] == 3
    assert found["both"][0] == found["alike"] and found["both"][1][0] == "E-WEB-036"
    assert found["wanted"] == found["again"]


def test_two_that_teach_one_model_know_of_each_other(here: Any) -> None:
    found = here.evaluate("""async () => {
      const { load: open } = await import('./teach/fanlight.js');
      const opened = await open('teach');
      const [one, two] = [await load(opened), await load(opened)];
      const begun = one.fit(photos(16), classes(16));
      const refused = await told(two.fit(photos(16), classes(16)));
      await begun;
      return [refused, await told(two.fit(photos(16), classes(16)))];
    }""")
    assert found[0][0] == "E-WEB-036" and found[1] == ["none"]


WRONG = {
    "{ epoch: 3 }": ("epoch", "did you mean epochs?"),
    "{ batch_size: 3 }": ("batch_size", "did you mean batchSize?"),
    "{ validation: 0.2 }": ("validation", "did you mean validationSplit or validationData?"),
    "{ learning_rate: 1 }": ("learning_rate", "did you mean learningRate?"),
    "{ learningRate: '1' }": ("'1'", None),
    "{ epochs: 'x' }": ("'x'", None),
    "{ epochs: 1.5 }": ("1.5", None),
    "{ epochs: -1 }": ("-1", None),
    "{ epochs: NaN }": ("NaN", None),
    "{ epochs: null }": ("null", None),
    "{ batchSize: 0 }": ("0", None),
    "{ batchSize: '8' }": ("'8'", None),
    "{ signal: new AbortController() }": ("[object AbortController]", None),
    "{ onEpochEnd: 1 }": ("1", None),
    "{ onBatchEnd: {} }": ("[object Object]", None),
    "{ shuffle: 1 }": ("1", None),
    "{ seed: 1.5 }": ("1.5", None),
    "{ seed: 'one' }": ("'one'", None),
    "{ validationData: Float32Array.of(1, 2) }": ("1,2", None),
    "{ validationData: [[1, 2]] }": ("1,2", None),
    "{ validationSplit: 1 }": ("1", None),
    "{ validationSplit: '0.2' }": ("'0.2'", None),
    "{ validationSplit: 0.9 }": ("0.9 of 3", None),
    "{ classWeight: 2 }": ("2", None),
    "{ classWeight: new Map([[0, 1]]) }": ("[object Map]", None),
    "{ sampleWeight: 2 }": ("2", None),
    "7": ("7", None),
    "null": ("null", None),
}
OTHERS = {
    "{ batchSize: 9 }": ("E-WEB-013", "9"),
    "{ sampleWeight: [1, 2] }": ("E-WEB-011", "2"),
    "{ sampleWeight: [1, NaN, 1] }": ("E-WEB-012", "NaN"),
    "{ sampleWeight: { hat: [1, 1, 1] } }": ("E-WEB-010", "hat"),
    "{ sampleWeight: Float32Array.of(1, NaN, 1) }": ("E-WEB-012", "1: NaN"),
    "{ sampleWeight: { head: 3 } }": ("E-WEB-010", "3"),
    "{ classWeight: { red: 2 } }": ("E-WEB-012", "red: 2"),
    "{ classWeight: { 0: NaN } }": ("E-WEB-012", "0: NaN"),
    "{ classWeight: { 0: -1 } }": ("E-WEB-012", "0: -1"),
    "{ classWeight: { 99: 5 } }": ("E-WEB-032", "99"),
    "{ classWeight: { 3: 5 } }": ("E-WEB-032", "3"),
    "{ classWeight: { 0.5: 5 } }": ("E-WEB-032", "0.5"),
    "{ validationData: [photos(2), [0]] }": ("E-WEB-011", "1"),
    "{ validationData: [photos(2), [0, 1], [1]] }": ("E-WEB-011", "1"),
}


def test_wrong_options_are_told_by_name(here: Any) -> None:
    found = here.evaluate(
        """async (options) => {
      const model = await load('teach');
      const before = String((await model.getWeights())['head/kernel'].data);
      const found = {};
      for (const each of options) {
        const given = (0, eval)(`(${each})`);
        found[each] = await told(model.fit(photos(3), classes(3), given));
      }
      const unchanged = String((await model.getWeights())['head/kernel'].data) === before;
      const evaluate = [await told(model.evaluate(photos(3), classes(3), { epochs: 2 })),
        await told(model.evaluate(photos(3), classes(3), { batchSize: -1 }))];
      return { found, unchanged, evaluate };
    }""",
        [*WRONG, *OTHERS],
    )
    assert found["unchanged"]
    for option, (received, next) in WRONG.items():
        code, told, says, _ = found["found"][option]
        assert (code, told) == ("E-WEB-001", received), option
        assert says == next, option
    for option, (code, received) in OTHERS.items():
        assert found["found"][option][:2] == [code, received], option
    assert [code for code, *_ in found["evaluate"]] == ["E-WEB-001"] * 2


def test_weights_of_examples_and_classes_are_as_in_python(here: Any) -> None:
    """A plain list, validation with weights, and classes of which most are not named."""
    found = here.evaluate("""async () => {
      const model = await load('heads');
      const word = Int32Array.from({ length: 24 }, (_, i) => i * 7 % 10);
      const size = Float32Array.from({ length: 96 }, (_, i) => i * 5 % 17 / 17);
      const kind = Array.from({ length: 24 }, (_, i) => i % 4);
      const score = Float32Array.from({ length: 24 }, (_, i) => i / 24);
      const x = { word, size }, y = { kind, score };
      const weights = Array.from({ length: 24 }, (_, i) => 1 + i % 3);
      const how = { shuffle: false, batchSize: 8, epochs: 3 };
      const told = [];
      const told1 = async (options) => {
        await model.reset();
        told.push((await model.fit(x, y, { ...how, ...options })).history);
      };
      await told1({});
      await told1({ sampleWeight: weights });
      await told1({ sampleWeight: { score: weights } });
      await told1({ classWeight: { kind: { 1: 3 } } });
      await told1({ validationData: [x, y, weights] });
      await model.reset();
      const evaluate = await model.evaluate(x, y, { sampleWeight: { kind: weights } });
      const wrong = [];
      const code = (promise) => promise.catch(({ code, received }) => wrong.push([code, received]));
      await code(model.fit(x, { y0: kind, y1: score }));
      await code(model.fit(x, { kind }));
      await code(model.fit(x, { ...y, more: kind }));
      await code(model.fit(x, kind));
      await code(model.fit({ word }, y));
      await code(model.fit(size, y));
      await code(model.fit(x, y, { classWeight: { 0: 2 } }));
      await code(model.fit(x, { kind: kind.map((k) => k + 1), score }));
      return { told, evaluate, wrong };
    }""")
    word = (np.arange(24) * 7 % 10).astype(np.int32).reshape(24, 1)
    size = (np.arange(96) * 5 % 17 / 17).astype(np.float32).reshape(24, 4)
    kind, score = np.arange(24) % 4, (np.arange(24) / 24).astype(np.float32).reshape(24, 1)
    x, y = {"word": word, "size": size}, {"kind": kind, "score": score}
    weights = (1 + np.arange(24) % 3).astype(np.float32)
    ones = np.ones(24, np.float32)
    by_class = np.where(kind == 1, 3, 1).astype(np.float32)
    given: list[dict[str, Any]] = [
        {},
        {"sample_weight": {"kind": weights, "score": weights}},
        {"sample_weight": {"kind": ones, "score": weights}},
        {"sample_weight": {"kind": by_class, "score": ones}},
        {"validation_data": (x, y, {"kind": weights, "score": weights})},
    ]
    for options, page in zip(given, found["told"], strict=True):
        net, how = heads(), heads_how()
        net.compile(how.optimizer, how.loss, metrics=how.metrics)
        own = net.fit(x, y, 8, epochs=3, shuffle=False, verbose=0, **options).history
        assert set(page) == set(own)
        for name, values in own.items():
            np.testing.assert_allclose(page[name], values, atol=1e-5, err_msg=name)
    net, how = heads(), heads_how()
    net.compile(how.optimizer, how.loss, metrics=how.metrics)
    own = net.evaluate(
        x, y, sample_weight={"kind": weights, "score": ones}, batch_size=8, return_dict=True
    )
    for name, value in own.items():
        assert abs(found["evaluate"][name] - value) < 1e-5, name
    codes = [code for code, _ in found["wrong"]]
    assert codes == ["E-WEB-010"] * 7 + ["E-WEB-032"]
    assert found["wrong"][0][1] == ["y0", "y1"] and found["wrong"][6][1] == ["0"]


# What is passed as x and y, where it is refused: the code, what came, what to do next.
MISUSES = {
    "teach: photos(6), [0, 1, 2, 0, 1, 2].flatMap((c) => [0, 1, 2].map((i) => +(i === c)))": (
        "E-WEB-011",
        "18",
        'pass class numbers, not rows, or build with loss="categorical_crossentropy"',
    ),
    "rows: photos(6), [0, 1, 2, 0, 1, 2]": (
        "E-WEB-011",
        "6",
        'pass rows, not class numbers, or build with loss="sparse_categorical_crossentropy"',
    ),
    "teach: photos(6), classes(5)": ("E-WEB-011", "5", None),
    "teach: photos(2), ['red', 'green']": (
        "E-WEB-032",
        "red",
        "pass y.map((name) => labels.indexOf(name))",
    ),
    "teach: { data: photos(2), shape: [2, 8, 10, 3] }, classes(2)": (
        "E-WEB-010",
        "data,shape",
        "pass its data, an array",
    ),
    "heads: { word: { data: [1] }, size: [1, 2, 3, 4] }, { kind: [1], score: [1] }": (
        "E-WEB-012",
        "Object",
        "pass its data, an array",
    ),
    "heads: [1], { kind: [1], score: [1] }": ("E-WEB-010", "one array", "pass an array for each"),
    "teach: [[1, 2], [3, 4]], classes(2)": ("E-WEB-012", "1,2", "pass x.flat()"),
    "teach: photos(2), 'red'": ("E-WEB-010", "red", "pass an array"),
    "teach: photos(2)": ("E-WEB-010", "undefined", "pass an array"),
}


def test_what_fit_cannot_take_says_what_to_do(here: Any) -> None:
    found = here.evaluate(
        """async (misuses) => {
      const found = {};
      for (const each of misuses) {
        const [folder, given] = each.split(/: (.*)/);
        const model = await load(folder);
        found[each] = await told(model.fit(...(0, eval)(`[${given}]`)));
        model.dispose();
      }
      return found;
    }""",
        list(MISUSES),
    )
    for given, (code, received, next) in MISUSES.items():
        assert found[given][:3] == [code, received, next], given


def test_run_and_load_say_what_to_do(here: Any) -> None:
    found = here.evaluate("""async () => {
      const model = await load('yes');
      const run = (x) => told(model.run({ [model.inputs[0].name]: x }));
      const found = [await run(new Float32Array(12)), await run(new Float32Array(7))];
      found.push(await run({ data: new Float32Array(12), shape: [6, 2] }));
      for (const options of [{ perist: 'a' }, { thread: 2 }, 7]) {
        found.push(await told(load('yes', options)));
      }
      found.push(await told(model.setClasses(3)));
      return found;
    }""")
    assert found[0][:3] == [
        "E-WEB-011",
        "12 elements and no shape",
        "pass { data, shape: [6,2] }",
    ]
    assert found[1][2] is None and found[2] == ["none"]
    names = [(code, received, next) for code, received, next, _ in found[3:6]]
    assert names == [
        ("E-WEB-001", "perist", "did you mean persist?"),
        ("E-WEB-001", "thread", "did you mean threads?"),
        ("E-WEB-001", "7", None),
    ]
    assert found[6][0] == "E-WEB-037" and "dims=" in found[6][2]


def test_labels_of_a_binary_loss_are_shares(here: Any) -> None:
    found = here.evaluate("""async () => {
      const model = await load('yes');
      const x = new Float32Array(6);
      const codes = [];
      const wrong = [[0, 1, 2], [0, -1, 1], Float32Array.of(0, NaN, 1)];
      const right = [[0, 0.5, 1], Int32Array.of(0, 1, 1)];
      for (const y of [...wrong, ...right]) codes.push(await told(model.fit(x, y)));
      const x3 = Float32Array.of(1, 2, 3, 4, 5, 6), losses = [];
      const how = { epochs: 2, shuffle: false };
      const ways = [{ classWeight: { 1: 3 } }, { classWeight: { yes: [1, 3] } },
        { classWeight: [1, 1], sampleWeight: [1, 3, 3] }, {}];
      for (const each of ways) {
        await model.reset();
        losses.push((await model.fit(x3, [0, 1, 1], { ...how, ...each })).history.loss);
      }
      return [...codes, losses];
    }""")
    *found, losses = found
    assert losses[0] == losses[1] == losses[2] != losses[3]
    assert [each[:2] for each in found[:3]] == [["E-WEB-032", v] for v in ("2", "-1", "NaN")]
    assert found[0][3] == "yes, example 2" and found[3:] == [["none"], ["none"]]


DATABASES = {
    "refused": "indexedDB.open = () => { throw new DOMException('no', 'SecurityError'); };",
    "absent": "Object.defineProperty(globalThis, 'indexedDB', { value: undefined });",
    # Within `onsuccess`, where nobody hears of it.
    "broken": """IDBDatabase.prototype.transaction = () => {
        throw new DOMException('no', 'NotFoundError');
      };""",
    "blocked": """const { open } = IDBFactory.prototype;
      IDBFactory.prototype.open = function (...args) {
        const request = open.apply(this, args);
        setTimeout(() => request.onblocked?.());
        Object.defineProperty(request, 'onsuccess', { set() {} });
        return request;
      };""",
    "full": """const { put } = IDBObjectStore.prototype;
      IDBObjectStore.prototype.put = function (...args) {
        const request = put.apply(this, args);
        this.transaction.abort();
        return request;
      };""",
}


@pytest.mark.parametrize("way", DATABASES)
def test_a_browser_that_keeps_nothing_trains_all_the_same(here: Any, way: str) -> None:
    found = here.evaluate(
        """async (spoil) => {
      (0, eval)(`{ ${spoil} }`);
      const model = await load('teach', { worker: false, persist: 'mine' });
      const x = photos(6), y = classes(6);
      const { unkept, history } = await model.fit(x, y, { epochs: 3 });
      const { loss } = await model.evaluate(x, y);
      const codes = [await told(model.store('b')), await told(model.forget())];
      codes.push(await model.restore());
      return { restored: model.restored, code: unkept.code, next: unkept.next, name: unkept.name,
        epochs: history.loss.length, codes, same: loss === (await model.evaluate(x, y)).loss };
    }""",
        DATABASES[way],
    )
    assert found["restored"] is False and found["epochs"] == 3 and found["same"]
    assert (found["name"], found["code"]) == ("FanlightError", "E-WEB-035")
    assert "save()" in found["next"]
    stored, forgotten, restored = found["codes"]
    assert stored[0] == "E-WEB-035" and restored is False
    assert forgotten[0] == ("none" if way == "full" else "E-WEB-035")  # nothing is to be put there
