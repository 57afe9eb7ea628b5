"""Steps on several threads: the same numbers, to the bit, and no slower where they are small."""

from __future__ import annotations

import subprocess
import sys
import threading
from functools import partial
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.hosts.crew import CREW, GAIN, PERIOD, TRIAL, Crew, Shared
from fanlight.hosts.team import Words
from fanlight.hosts.wasmtime import sensible_threads

la: Any = fl.layers


def network() -> Any:
    """Convolutions with batch norm, large enough that several threads are worth it."""

    def norm(x: Any) -> Any:
        return la.ReLU(max_value=6.0)(la.BatchNormalization()(x))

    x = begin = fl.Input((32, 32, 3))
    x = norm(la.Conv2D(12, 3, strides=2, padding="same", use_bias=False)(x))
    x = norm(la.DepthwiseConv2D(3, padding="same", use_bias=False)(x))
    x = la.MaxPooling2D(2)(norm(la.Conv2D(40, 1)(x)))
    x = la.LayerNormalization()(la.Conv2D(24, 3, activation="swish")(x))
    x = la.Dropout(0.2)(la.GlobalAveragePooling2D()(x))
    return fl.Model(begin, la.Dense(3, activation="softmax")(x))


def examples(count: int = 24) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    x = rng.random((count, 32, 32, 3), np.float32)
    return x, (np.arange(count) % 3).astype(np.int32)


def compiled(threads: int | str) -> Any:
    fl.clear_session()
    fl.set_random_seed(4)
    try:
        model = network()
        model.compile("adam", "sparse_categorical_crossentropy", threads=threads)
        model.set_random_key(8)
    finally:
        fl.set_random_seed(None)
    return model


def programs(model: Any) -> list[int]:
    """How many threads each compiled step has."""
    return [program.threads for program, _ in model._steps._programs.values()]


def test_twenty_steps_have_the_same_bits_on_any_number_of_threads() -> None:
    x, y = examples()
    found = {}
    for threads in (1, 2, 3):
        model = compiled(threads)
        losses = [model.train_on_batch(x, y) for _ in range(20)]
        assert programs(model) == [threads]
        predicted = model.predict(x, verbose=0)
        evaluated = model.evaluate(x, y, batch_size=24)
        found[threads] = [np.array(losses), predicted, evaluated, *model.get_weights()]
        assert len(set(losses)) == 20 and losses[-1] < losses[0]
    for threads in (2, 3):
        for one, many in zip(found[1], found[threads], strict=True):
            assert np.array_equal(one, many), threads


def test_fit_takes_several_threads_by_itself(monkeypatch: Any) -> None:
    monkeypatch.setattr("fanlight.layers.training.sensible_threads", lambda: 3)
    x, y = examples()
    losses = []
    for threads in (1, "auto"):
        model = compiled(threads)
        losses.append(model.fit(x, y, 8, 2, 0, shuffle=False).history["loss"])
    assert programs(model) == [3]
    assert losses[0] == losses[1]
    assert 1 <= sensible_threads() <= 4


def test_a_small_step_takes_one_thread() -> None:
    model = fl.Sequential([fl.Input((4,)), la.Dense(8, activation="relu"), la.Dense(1)])
    model.compile("sgd", "mse", threads=2)
    model.train_on_batch(np.ones((4, 4), np.float32), np.ones((4, 1), np.float32))
    assert programs(model) == [1]


def test_a_program_takes_the_helpers_while_they_make_it_faster(monkeypatch: Any) -> None:
    clock, told = [0.0], list[str]()
    monkeypatch.setattr("fanlight.hosts.crew.perf_counter", lambda: clock[0])
    memory = np.zeros(1024, np.uint8)
    for helped in (1.0, 1.95, 3.0):
        told.clear()

        def took(who: str, seconds: float) -> None:
            told.append(who)
            clock[0] += seconds

        jobs: list[Any] = [partial(took, "together", helped), lambda: None]
        program = Shared(partial(took, "alone", 2.0), jobs, Words(memory, 256, 0))
        for _ in range(PERIOD + TRIAL):
            program()
        trial = ["alone", "together"] * (TRIAL // 2)
        best = "together" if helped < GAIN * 2 else "alone"
        assert told == [*trial, *[best] * (PERIOD - TRIAL), *trial]


def test_who_finds_the_helpers_busy_computes_alone() -> None:
    x, y = examples()
    alone = compiled(1)
    expected = [alone.train_on_batch(x, y) for _ in range(3)]
    model = compiled(2)
    assert CREW._busy.acquire(timeout=10)
    try:
        losses = [model.train_on_batch(x, y) for _ in range(3)]
        assert losses == expected
    finally:
        CREW._busy.release()
    assert programs(model) == [2]


def test_two_models_train_at_the_same_time() -> None:
    x, y = examples()
    alone = compiled(1)
    expected = [alone.train_on_batch(x, y) for _ in range(6)]
    models = [compiled(2) for _ in range(3)]
    losses: dict[int, list[float]] = {}

    def train(i: int) -> None:
        losses[i] = [models[i].train_on_batch(x, y) for _ in range(6)]

    threads = [threading.Thread(target=train, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert losses == dict.fromkeys(range(3), expected)


def test_who_fails_stops_the_others_and_the_crew_goes_on() -> None:
    crew, given_up = Crew(), threading.Event()

    def fails() -> None:
        raise KeyError("no")

    for jobs in ([fails, partial(given_up.wait, 60)], [given_up.wait, fails, given_up.wait]):
        given_up.clear()

        def stop_all(job: Any) -> None:
            try:
                job()
            except BaseException:
                given_up.set()
                raise

        with pytest.raises(KeyError):
            crew.run([partial(stop_all, job) for job in jobs], given_up.set)
    done: list[int] = []
    assert crew.run([partial(done.append, i) for i in range(4)], given_up.set)
    assert sorted(done) == [0, 1, 2, 3]


FORK = """
import os, signal, sys
from tests.layers.test_training_threads import compiled, examples, programs
x, y = examples()
model = compiled(2)
for _ in range(4):  # alone, and with the helper
    model.train_on_batch(x, y)
assert programs(model) == [2]
child = os.fork()
if not child:
    signal.alarm(60)  # it shall not outlive the test
    known = min(model.train_on_batch(x, y) for _ in range(4)) > 0
    new = min(compiled(2).train_on_batch(x[:7], y[:7]) for _ in range(4)) > 0  # and compiles
    os._exit(0 if known and new else 1)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_the_child_of_a_fork_computes_too() -> None:
    ran = subprocess.run([sys.executable, "-c", FORK], capture_output=True, timeout=120)
    assert ran.returncode == 0, ran.stderr.decode()[-2000:]


@pytest.mark.parametrize("threads", [0, -1, 33, 1.5, "two", None, True])
def test_numbers_of_threads_that_are_none(threads: Any) -> None:
    model = fl.Sequential([fl.Input((4,)), la.Dense(1)])
    with pytest.raises(FanlightError) as caught:
        model.compile("sgd", "mse", threads=threads)
    assert caught.value.code == "E-TRAIN-001" and "threads" in str(caught.value)
