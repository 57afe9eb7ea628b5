"""fl.data.Dataset: what is given, in which order, and what is refused."""

from __future__ import annotations

import functools
import gc
import io
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.data import Dataset, progress
from fanlight.errors import FanlightError
from tests.support import run_python


def numbers(count: int = 10) -> Dataset:
    return fl.data.from_arrays(np.arange(count))


def listed(dataset: Dataset) -> list[int]:
    return [int(x) for x in dataset]


def refused(code: str, call: Any) -> FanlightError:
    with pytest.raises(FanlightError) as caught:
        call()
    assert caught.value.code == code, caught.value
    return caught.value


# --- sources --------------------------------------------------------------------------------------


def test_arrays_become_examples_of_the_dtypes_that_training_takes() -> None:
    data = fl.data.from_arrays(np.ones((3, 2)), np.array([1, 2, 3]), [0.5, 1, 2])
    x, y, w = data.first()
    assert (x.dtype, y.dtype, w.dtype) == ("float32", "int32", "float32")
    assert x.shape == (2,) and (y, w) == (1, 0.5) and len(data) == 3
    x, y, w = next(iter(data.batch(2)))
    assert x.shape == (2, 2) and y.tolist() == [1, 2] and w.tolist() == [0.5, 1]


def test_arrays_may_be_in_dicts_and_lists_and_tensors() -> None:
    data = fl.data.from_arrays({"a": fl.tensor([[1.0], [2.0]]), "b": ["x", "y"]}, [0, 1])
    x, y = next(iter(data.batch(2)))
    assert x["a"].tolist() == [[1], [2]] and x["b"].tolist() == ["x", "y"] and y.tolist() == [0, 1]
    several = fl.data.from_arrays([np.zeros((2, 3)), np.ones((2, 1))])
    a, b = next(iter(several.batch(2)))
    assert a.shape == (2, 3) and b.shape == (2, 1)


def test_what_is_kept_cannot_be_written_to() -> None:
    def write(x: Any) -> Any:
        x += 1
        return x

    own = np.zeros((3, 2), np.float32)
    with pytest.raises(ValueError, match="read-only"):
        list(fl.data.from_arrays(own).map(write))
    cached = fl.data.from_generator(lambda: iter(np.zeros((3, 2)))).cache()
    for _ in range(2):
        with pytest.raises(ValueError, match="read-only"):
            list(cached.map(write))
    assert next(iter(fl.data.from_arrays(own).batch(2).map(write))).tolist() == [[1, 1]] * 2
    own[0] = 5  # it stays the caller's
    assert fl.data.from_arrays(own).first().tolist() == [5, 5]


def test_arrays_of_different_numbers_of_rows_are_refused() -> None:
    error = refused("E-DATA-007", lambda: fl.data.from_arrays(np.zeros((3, 2)), np.zeros(4)))
    assert "float32[3, 2]" in str(error.received) and "float32[4]" in str(error.received)
    refused("E-DATA-007", lambda: fl.data.from_arrays(1.0))
    refused("E-DATA-008", lambda: fl.data.from_arrays([1.0], sample_weight=[1.0]))


def test_a_generator_is_called_anew_for_every_pass() -> None:
    calls = []

    def make() -> Iterator[int]:
        calls.append(1)
        yield from range(4)

    data = fl.data.from_generator(make)
    assert listed(data) == listed(data) == [0, 1, 2, 3] and len(calls) == 2
    assert listed(fl.data.from_generator(range(3))) == [0, 1, 2]
    error = refused("E-DATA-008", lambda: fl.data.from_generator(make()))
    assert "from_generator(numbers)" in str(error)
    with pytest.raises(TypeError):
        len(data)
    assert len(fl.data.from_generator(make, 4)) == 4


# --- elements -------------------------------------------------------------------------------------


def test_map_filter_enumerate_zip_concatenate() -> None:
    data = numbers(5).map(lambda x: x * 2)
    assert listed(data) == [0, 2, 4, 6, 8] and len(data) == 5
    assert listed(data.filter(lambda x: x % 4 == 0)) == [0, 4, 8]
    assert [(i, int(x)) for i, x in data.enumerate(1)][:2] == [(1, 0), (2, 2)]
    pairs = data.zip(numbers(3))
    assert [(int(a), int(b)) for a, b in pairs] == [(0, 0), (2, 1), (4, 2)] and len(pairs) == 3
    both = data.concatenate(numbers(2))
    assert listed(both) == [0, 2, 4, 6, 8, 0, 1] and len(both) == 7
    swapped = fl.data.from_arrays([1, 2], [3, 4]).map(lambda x, y: (y, x))
    assert [(int(a), int(b)) for a, b in swapped] == [(3, 1), (4, 2)]


def test_map_gives_arrays_for_tensors_and_a_key_for_each_element_and_pass() -> None:
    data = numbers(4).map(lambda x, key: fl.random.uniform((), key=key), seed=3)
    first, second = [float(x) for x in data], [float(x) for x in data]
    assert len({*first, *second}) == 8
    again = numbers(4).map(lambda x, key: fl.random.uniform((), key=key), seed=3)
    assert [float(x) for x in again] == first
    assert isinstance(data.first(), np.ndarray)
    refused("E-DATA-008", lambda: numbers().map(3))  # type: ignore[arg-type]


def test_batch_and_unbatch() -> None:
    data = numbers(7).batch(3)
    assert [b.tolist() for b in data] == [[0, 1, 2], [3, 4, 5], [6]] and len(data) == 3
    cut = numbers(7).batch(3, drop_remainder=True)
    assert [b.tolist() for b in cut] == [[0, 1, 2], [3, 4, 5]] and len(cut) == 2
    assert listed(data.unbatch()) == list(range(7))
    # What is computed is stacked, too.
    mapped = numbers(4).map(lambda x: (x, {"y": x * 0.5})).batch(4)
    x, y = next(iter(mapped))
    assert x.tolist() == [0, 1, 2, 3] and y["y"].dtype == np.float32
    refused("E-DATA-008", lambda: numbers().batch(0))
    refused("E-DATA-007", lambda: list(numbers().unbatch()))


def test_elements_of_different_shapes_are_no_batch() -> None:
    data = fl.data.from_generator(lambda: iter([np.zeros((2, 3)), np.zeros((3, 3))])).batch(2)
    error = refused("E-DATA-007", lambda: list(data))
    assert "float64[2, 3]" in str(error.expected) and "float64[3, 3]" in str(error.received)
    data = fl.data.from_generator(lambda: iter([(1, 2), (1, 2, 3)])).batch(2)
    refused("E-DATA-007", lambda: list(data))
    data = fl.data.from_generator(lambda: iter([{"a": 1}, {"b": 1}])).batch(2)
    refused("E-DATA-007", lambda: list(data))


def test_take_skip_repeat() -> None:
    assert listed(numbers().take(3)) == [0, 1, 2] and len(numbers().take(30)) == 10
    assert listed(numbers().skip(8)) == [8, 9] and len(numbers().skip(30)) == 0
    assert listed(numbers(2).repeat(3)) == [0, 1] * 3 and len(numbers(2).repeat(3)) == 6
    endless = numbers(2).repeat()
    assert listed(endless.take(5)) == [0, 1, 0, 1, 0] and len(endless.take(5)) == 5
    with pytest.raises(TypeError, match="E-DATA-001"):
        len(endless)
    assert listed(fl.data.from_generator(lambda: iter(())).repeat()) == []
    for what in (endless.shuffle, endless.cache, endless.split, endless.arrays, endless.balanced):
        refused("E-DATA-001", what)
    refused("E-DATA-001", lambda: numbers(2).take(0).first())


def test_all_in_memory() -> None:
    x, y = fl.data.from_arrays(np.arange(6), np.arange(6) % 2).map(lambda x, y: (x + 1, y)).arrays()
    assert x.tolist() == [1, 2, 3, 4, 5, 6] and y.tolist() == [0, 1, 0, 1, 0, 1]


# --- order ----------------------------------------------------------------------------------------


def test_shuffle_is_another_order_at_each_pass_and_the_same_in_every_run() -> None:
    data = numbers(20).shuffle(seed=1)
    first, second = listed(data), listed(data)
    assert sorted(first) == sorted(second) == list(range(20)) and first != second
    again = numbers(20).shuffle(seed=1)
    assert [listed(again), listed(again)] == [first, second]
    fixed = numbers(20).shuffle(seed=1, reshuffle=False)
    assert listed(fixed) == listed(fixed)
    repeated = listed(numbers(20).shuffle(seed=1).repeat(2))
    assert sorted(repeated[:20]) == list(range(20)) and repeated[:20] != repeated[20:]


def test_shuffle_without_a_seed_follows_the_seed_of_the_program() -> None:
    orders = []
    for seed in (5, 5, 6):
        fl.set_random_seed(seed)
        orders.append(listed(numbers(20).shuffle()))
    fl.set_random_seed(None)
    assert orders[0] == orders[1] != orders[2]


def test_a_buffer_mixes_what_is_near() -> None:
    data = fl.data.from_generator(lambda: iter(range(1000))).shuffle(10, seed=2)
    order = listed(data)
    assert sorted(order) == list(range(1000)) and order != list(range(1000))
    assert all(x < at + 10 for at, x in enumerate(order))
    assert listed(data) != order


def test_shuffling_is_uniform() -> None:
    data = numbers(5).shuffle(seed=0)
    counts = np.zeros((5, 5))
    for _ in range(2000):
        counts[np.arange(5), listed(data)] += 1
    assert abs(counts - 400).max() < 5 * np.sqrt(400 * 0.8)


# --- samples --------------------------------------------------------------------------------------


def test_split_has_every_element_once() -> None:
    train, held = numbers(50).split(0.2, seed=3)
    assert len(train) == 40 and len(held) == 10
    assert sorted(listed(train) + listed(held)) == list(range(50))
    assert listed(train) == sorted(listed(train)) and listed(held) != list(range(40, 50))
    again = numbers(50).split(0.2, seed=3)[1]
    assert listed(again) == listed(held) != listed(numbers(50).split(0.2, seed=4)[1])
    assert len(numbers(50).split(7)[1]) == 7
    for wrong in (0, 1.0, 50, -0.1, "half", True):
        refused("E-DATA-008", lambda wrong=wrong: numbers(50).split(wrong))


def test_a_stratified_split_has_the_shares_of_the_classes() -> None:
    y = np.array([0] * 80 + [1] * 15 + [2] * 5)
    train, held = fl.data.from_arrays(np.arange(100), y).split(0.2, stratified=True, seed=0)
    assert held.class_counts() == {0: 16, 1: 3, 2: 1} and len(train) == 80
    one_hot = fl.data.from_arrays(np.arange(100), np.eye(3)[y]).split(20, stratified=True, seed=0)
    assert one_hot[1].class_counts() == {0: 16, 1: 3, 2: 1}
    alone = fl.data.from_arrays(np.arange(4), ["a", "a", "a", "b"])
    error = refused("E-DATA-006", lambda: alone.split(0.5, stratified=True))
    assert "class b" in str(error.received)
    refused("E-DATA-008", lambda: numbers().split(0.5, stratified=True))
    batches = fl.data.from_arrays(np.arange(100), y).batch(4)
    refused("E-DATA-008", lambda: batches.split(0.5, stratified=True))


def test_split_of_what_is_shuffled_or_generated_stays_split() -> None:
    for data in (numbers(20).shuffle(seed=1), fl.data.from_generator(lambda: iter(range(20)))):
        train, held = data.split(0.25, seed=0)
        for _ in range(2):
            assert sorted(listed(train) + listed(held)) == list(range(20))


def test_balanced_draws_every_class_as_often() -> None:
    y = np.array([0] * 30 + [1] * 7 + [2] * 3)
    data = fl.data.from_arrays(np.arange(40), y)
    over = data.balanced(seed=1)
    drawn = [(int(x), int(c)) for x, c in over]
    assert len(over) == len(drawn) == 90
    assert np.bincount([c for _, c in drawn]).tolist() == [30, 30, 30]
    times = np.bincount([x for x, _ in drawn])
    assert times[:30].tolist() == [1] * 30
    assert set(times[30:37]) == {4, 5} and set(times[37:]) == {10}
    assert drawn != [(int(x), int(c)) for x, c in over]
    under = data.balanced(seed=1, how="under")
    first, second = [int(x) for x, _ in under], [int(x) for x, _ in under]
    assert len(set(first)) == 9 and set(first) != set(second)
    refused("E-DATA-008", lambda: data.balanced(how="both"))


# --- cache ----------------------------------------------------------------------------------------


class Counted:
    def __init__(self) -> None:
        self.calls = 0

    def __getstate__(self) -> Any:
        """Nothing: how often it was called changes nothing of what it gives."""

    def __call__(self, x: Any) -> Any:
        self.calls += 1
        return {"a": np.full((2,), x, np.float32), "b": (x, f"t{x}")}


@pytest.mark.parametrize("on_disk", [False, True])
def test_cache_computes_once(tmp_path: Path, on_disk: bool) -> None:
    slow = Counted()
    path = tmp_path / "folder" / "cache.fl" if on_disk else None
    data = numbers(6).map(slow).cache(path)
    assert [int(e["b"][0]) for e in data.take(2)] == [0, 1] and slow.calls == 2
    if on_disk:
        assert path is not None and not path.exists()
    for _ in range(2):
        found = list(data)
        assert [e["a"].tolist() for e in found] == [[x, x] for x in range(6)]
        assert [str(e["b"][1]) for e in found] == [f"t{x}" for x in range(6)]
        assert isinstance(found[0]["b"], tuple)
    assert slow.calls == 6
    shuffled = data.shuffle(seed=0).prefetch(threads=3)
    assert sorted(int(e["b"][0]) for e in shuffled) == list(range(6)) and slow.calls == 6
    if on_disk:
        assert path is not None and path.exists()
        again = numbers(6).map(slow).cache(path)
        assert len(again) == 6
        assert [e["a"].tolist() for e in again] == [[x, x] for x in range(6)] and slow.calls == 6
        del data, again, shuffled
        gc.collect()
        assert [p.name for p in path.parent.iterdir()] == ["cache.fl"]


def test_what_a_killed_program_left_goes_at_the_next_pass(tmp_path: Path) -> None:
    folder, path = tmp_path / "[a]", tmp_path / "[a]" / "c"

    def parts() -> set[Path]:
        return set(folder.glob(".c.*.part"))

    begun = run_python(
        "-c",
        "import os, signal, sys; import numpy as np; import fanlight as fl\n"
        "data = fl.data.from_arrays(np.arange(6)).cache(sys.argv[1])\n"
        "next(iter(data)), os.kill(os.getpid(), signal.SIGKILL)\n",
        str(path),
    )
    assert begun.returncode == -signal.SIGKILL, begun.stderr
    (left,) = parts()
    (folder / ".c.txt").touch()  # somebody else's
    data = numbers(6).cache(path)
    going = iter(data)
    next(going)
    assert left not in parts() and len(parts()) == 1
    # The part of a program that goes on stays, and that program ends as if it were alone.
    own = parts()
    other = numbers(6).cache(path)
    next(iter(other))
    assert own < parts() and len(parts()) == 2
    assert [int(n) for n in going] == [1, 2, 3, 4, 5]
    assert path.exists() and len(parts()) == 1
    del other
    gc.collect()
    assert sorted(p.name for p in folder.iterdir()) == [".c.txt", "c"]
    assert listed(numbers(6).cache(path)) == list(range(6))


def test_a_pass_that_begins_while_another_ends_takes_nothing_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, replace, others = tmp_path / "c", os.replace, []

    def between(*names: Any) -> None:
        if not others:
            others.append(iter(numbers(6).cache(path)))
            next(others[0])
        replace(*names)

    monkeypatch.setattr(os, "replace", between)
    assert listed(numbers(6).cache(path)) == list(range(6)) and path.exists()
    assert [int(n) for n in others[0]] == [1, 2, 3, 4, 5]


def test_cache_in_a_file_by_threads_keeps_the_order(tmp_path: Path) -> None:
    def slow(x: Any) -> Any:
        time.sleep(0.002 * (int(x) % 3))
        return x * 2

    data = numbers(30).map(slow).cache(tmp_path / "c").prefetch(threads=4)
    assert listed(data) == listed(data) == [2 * i for i in range(30)]
    assert (tmp_path / "c").exists()


def test_cached_labels_are_known_without_computing(tmp_path: Path) -> None:
    data = fl.data.from_arrays(np.arange(6), [0, 1, 0, 1, 0, 1])
    assert data.cache(tmp_path / "c").class_counts() == {0: 3, 1: 3}
    list(data.cache(tmp_path / "c"))
    assert data.cache(tmp_path / "c").class_counts() == {0: 3, 1: 3}


def test_a_file_that_is_no_cache_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "c"
    path.write_bytes(b"something else")
    error = refused("E-DATA-009", lambda: numbers().cache(path))
    assert str(path) in str(error)
    path.unlink()
    list(numbers().cache(path))
    whole = path.read_bytes()
    for damaged in (whole[:-3], whole[:40], whole[:-8] + b"\xff" * 8, whole[:-20] + b"x" * 20):
        path.write_bytes(damaged)
        refused("E-DATA-009", lambda: list(numbers().cache(path)))


def test_a_cache_of_other_data_is_refused(tmp_path: Path) -> None:
    x, path = np.arange(12.0).reshape(6, 2), tmp_path / "c"

    def twice(x: Any) -> Any:
        return x * 2

    def thrice(x: Any) -> Any:
        return x * 3

    def times(factor: float) -> Any:
        return lambda x: x * factor

    def made(
        array: Any = x, fn: Any = twice, size: int = 2, take: int = 6, seed: int = 1
    ) -> Dataset:
        chosen = fl.data.from_arrays(array).take(take).shuffle(seed=seed)
        return chosen.map(fn).batch(size).cache(path)

    want = [b.tolist() for b in made()]
    assert [b.tolist() for b in made()] == want
    changed = x.copy()
    changed[5, 1] = 0
    others: list[dict[str, Any]] = [
        *({"array": changed}, {"array": x[:4]}, {"array": x.astype(np.int32)}),
        *({"fn": thrice}, {"size": 3}, {"take": 5}, {"seed": 2}),
    ]
    for other in others:
        error = refused("E-DATA-009", lambda o=other: made(**o))
        assert "other data" in str(error) and str(path) in str(error) and error.expected
    assert [b.tolist() for b in made()] == want
    path.unlink()
    list(made(fn=times(2.0)))
    list(made(fn=times(2.0)))
    refused("E-DATA-009", lambda: made(fn=times(3.0)))
    path.unlink()
    list(made(fn=functools.partial(np.multiply, 2.0)))
    refused("E-DATA-009", lambda: made(fn=functools.partial(np.multiply, 3.0)))
    path.unlink()
    list(made(fn=fl.layers.Rescaling(2.0)))
    assert [b.tolist() for b in made(fn=fl.layers.Rescaling(2.0))] == want
    refused("E-DATA-009", lambda: made(fn=fl.layers.Rescaling(3.0)))
    # What is in no order of its own may be shuffled otherwise by another program.
    list(fl.data.from_arrays(x).shuffle().cache(tmp_path / "d"))
    list(fl.data.from_arrays(x).shuffle().cache(tmp_path / "d"))
    train, held = fl.data.from_arrays(x).split(0.5, seed=0)
    list(train.cache(tmp_path / "e"))
    refused("E-DATA-009", lambda: held.cache(tmp_path / "e"))


def test_a_cache_of_generators(tmp_path: Path) -> None:
    def made(given: Any) -> Dataset:
        return fl.data.from_generator(given).cache(tmp_path / "c")

    assert [int(x) for x in made([1, 2])] == [int(x) for x in made([1, 2])] == [1, 2]
    refused("E-DATA-009", lambda: made([1, 3]))
    (tmp_path / "c").unlink()
    list(made(lambda: iter(range(2))))
    refused("E-DATA-009", lambda: made(lambda: iter(range(3))))


def test_a_cache_of_what_cannot_be_told_is_computed_anew(tmp_path: Path) -> None:
    """Once in a program; it replaces a file of its own kind, and no other."""
    path, lock, calls = tmp_path / "c", threading.Lock(), [0]

    def made() -> Dataset:
        def slow(x: Any) -> Any:
            with lock:
                calls[0] += 1
            return x * 2.0

        with pytest.warns(UserWarning, match="anew by every program: .*slow holds a _thread.lock"):
            return numbers(3).map(slow).cache(path)

    for passes in (1, 2):
        data = made()
        for _ in range(2):
            assert [float(x) for x in data] == [0.0, 2.0, 4.0]
        assert calls[0] == 3 * passes and path.exists()
    refused("E-DATA-009", lambda: numbers(3).cache(path))
    path.write_bytes(b"no cache")
    refused("E-DATA-009", made)
    assert path.read_bytes() == b"no cache"


def test_a_cache_of_changed_pictures_is_refused(tmp_path: Path) -> None:
    from PIL import Image

    photos, path = tmp_path / "photos", tmp_path / "cache"
    for name, colour in (("a/1.png", 0), ("a/2.png", 90), ("b/1.png", 200)):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (colour, colour, colour)).save(photos / name)

    def made(size: int = 4) -> Dataset:
        return fl.data.image_folder(photos, size=size).cache(path)

    list(made())
    assert [int(y) for _, y in made()] == [0, 0, 1]
    refused("E-DATA-009", lambda: made(5))
    before = (photos / "a/1.png").stat()
    os.utime(photos / "a/1.png", ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    refused("E-DATA-009", made)  # of the same size, written again
    os.utime(photos / "a/1.png", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert len(list(made())) == 3
    Image.new("RGB", (9, 9), (1, 2, 3)).save(photos / "b/2.png")
    error = refused("E-DATA-009", made)
    assert "4 files" in str(error.expected) and "3 files" in str(error.received)


def test_a_pass_that_breaks_off_leaves_no_file(tmp_path: Path) -> None:
    def broken(x: Any) -> Any:
        if x == 5:
            raise ZeroDivisionError
        return x

    with pytest.raises(ZeroDivisionError):
        list(numbers().map(broken).cache(tmp_path / "c"))
    gc.collect()
    assert list(tmp_path.iterdir()) == []


# --- prefetch -------------------------------------------------------------------------------------


def threads_of_prefetch() -> int:
    return sum(t.name == "fanlight prefetch" for t in threading.enumerate())


@pytest.mark.parametrize("threads", [1, 4])
def test_prefetch_keeps_the_order_and_works_ahead(threads: int) -> None:
    done: list[int] = []

    def slow(x: Any) -> Any:
        time.sleep(0.001 * (7 - int(x) % 7))
        done.append(int(x))
        return x

    data = numbers(40).map(slow).prefetch(4, threads=threads)
    source = iter(data)
    assert int(next(source)) == 0
    deadline = time.monotonic() + 60
    while len(done) < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.15)
    assert 4 <= len(done) <= 10, "ahead, but not without a bound"
    assert [int(x) for x in source] == list(range(1, 40)) and len(data) == 40


def test_threads_of_prefetch_work_at_the_same_time() -> None:
    together = threading.Barrier(3, timeout=60)

    def meet(x: Any) -> Any:
        together.wait()
        return x

    assert listed(numbers(9).map(meet).prefetch(threads=3)) == list(range(9))


@pytest.mark.parametrize("threads", [1, 3])
def test_an_exception_comes_at_its_place(threads: int) -> None:
    def broken(x: Any) -> Any:
        if x == 5:
            raise ZeroDivisionError("at five")
        return x

    seen = []
    with pytest.raises(ZeroDivisionError, match="at five"):
        for x in numbers(20).map(broken).prefetch(threads=threads):
            seen.append(int(x))
    assert seen == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("threads", [1, 3])
def test_a_pass_that_is_given_up_ends_its_threads(threads: int) -> None:
    closed = []

    def make() -> Iterator[int]:
        try:
            i = 0
            while True:
                yield i
                i += 1
        finally:
            closed.append(True)

    before = threads_of_prefetch()
    for x in fl.data.from_generator(make).prefetch(3, threads=threads):
        if x == 3:
            break
    gc.collect()
    deadline = time.monotonic() + 60
    while (threads_of_prefetch() > before or not closed) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threads_of_prefetch() == before and closed == [True]


# --- training -------------------------------------------------------------------------------------


def test_fit_takes_datasets() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 4)).astype(np.float32)
    y = (x[:, 0] > 0).astype(np.int32)
    fl.set_random_seed(0)
    train, held = fl.data.from_arrays(x, y).split(0.2, stratified=True, seed=1)
    model = fl.Sequential([fl.Input((4,)), fl.layers.Dense(2, activation="softmax")])
    model.compile(
        fl.optimizers.get("adam"), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    batches = train.shuffle(seed=1).batch(16, drop_remainder=True).prefetch()
    history = model.fit(batches, validation_data=held.batch(6), epochs=4, verbose=0)
    assert len(history.history["loss"]) == len(history.history["val_loss"]) == 4
    assert history.history["loss"][-1] < history.history["loss"][0]
    endless = train.map(lambda x, y: (x, y, np.float32(1))).repeat().batch(16)
    model.fit(endless, steps_per_epoch=3, epochs=2, verbose=0)
    assert model.evaluate(held.batch(4), return_dict=True)["loss"] > 0
    assert model.predict(held.map(lambda x, y: x).batch(5)).shape == (12, 2)
    fl.set_random_seed(None)


def test_dir_and_repr() -> None:
    assert dir(fl.data) == sorted(fl.data.__all__) and repr(numbers()) == "<Dataset, elements: 10>"
    assert "endless" in repr(numbers().repeat()) and "?" in repr(numbers().filter(bool))
    assert bool(numbers(1).take(0))


# --- progress -------------------------------------------------------------------------------------


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_shows_what_takes_long(monkeypatch: Any) -> None:
    monkeypatch.setenv("TERM", "xterm")
    for patience, shown in ((0.05, True), (60.0, False)):
        terminal = Terminal()
        monkeypatch.setattr(sys, "stderr", terminal)
        monkeypatch.setattr(progress, "PATIENCE", patience)
        data = numbers(8).map(lambda x: time.sleep(0.1) or x)
        assert data.arrays(threads=1).tolist() == list(range(8))
        assert ("reading examples" in terminal.getvalue()) == shown
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert numbers(3).arrays().tolist() == [0, 1, 2] and sys.stderr.getvalue() == ""


def test_a_bar_goes_away_with_an_error(monkeypatch: Any) -> None:
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(progress, "PATIENCE", 0.0)

    def broken(x: Any) -> Any:
        time.sleep(0.12)
        return 1 // (3 - int(x))

    with pytest.raises(ZeroDivisionError):
        numbers(5).map(broken).arrays(threads=1)
    # The cursor is shown again.
    assert terminal.getvalue().count("\x1b[?25l") == terminal.getvalue().count("\x1b[?25h")
