"""fl.data.from_csv: what is read, and what is said of files that cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fanlight as fl
from fanlight.errors import FanlightError


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "table.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def refused(path: Path, *args: Any, code: str = "E-DATA-004", **options: Any) -> FanlightError:
    with pytest.raises(FanlightError) as caught:
        fl.data.from_csv(path, *args, **options)
    assert caught.value.code == code, caught.value
    return caught.value


def rows(data: Any) -> list[Any]:
    return [(x.tolist(), int(y)) for x, y in data]


def test_numbers_and_a_label_of_words(tmp_path: Path) -> None:
    path = written(tmp_path, "a,b,kind\n1,2.5,plum\n-3,1e3,fig\n0,.5,plum\n")
    data = fl.data.from_csv(path, "kind")
    assert rows(data) == [([1, 2.5], 1), ([-3, 1000], 0), ([0, 0.5], 1)]
    assert data.class_names == ["fig", "plum"] and data.class_counts() == {"fig": 1, "plum": 2}
    assert rows(fl.data.from_csv(path, -1)) == rows(data)
    assert fl.data.from_csv(path, "kind", columns=["b"]).first()[0].tolist() == [2.5]
    x, y, w = fl.data.from_csv(path, "kind", weight="b").first()
    assert (x.tolist(), int(y), float(w)) == ([1], 1, 2.5)
    assert fl.data.from_csv(path, "a").first()[1].dtype == np.int32
    assert fl.data.from_csv(path, "b").first()[1].dtype == np.float32


def test_texts_make_x_a_dict(tmp_path: Path) -> None:
    path = written(tmp_path, 'name,age,member\n"Meier, Anna",31,true\n"said ""hi""",40,false\n')
    data = fl.data.from_csv(path)
    batch = next(iter(data.batch(2)))
    assert batch["name"].tolist() == ["Meier, Anna", 'said "hi"']
    assert batch["age"].tolist() == [31, 40] and batch["age"].dtype == np.int32
    assert batch["member"].tolist() == [1, 0]
    assert set(fl.data.from_csv(path, columns=["age"], as_dict=True).first()) == {"age"}


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(tmp_path: Path, mark: str) -> None:
    path = written(tmp_path, f"a{mark}b\n1{mark}2\n")
    assert fl.data.from_csv(path).first().tolist() == [1, 2]


def test_line_ends_marks_of_order_quotes_over_lines_and_empty_lines(tmp_path: Path) -> None:
    path = written(tmp_path, b'\xef\xbb\xbfa,b\r\n"x\r\ny",2\r\n\r\n   \r\nz,3')
    batch = next(iter(fl.data.from_csv(path).batch(9)))
    assert batch["a"].tolist() == ["x\r\ny", "z"] and batch["b"].tolist() == [2, 3]
    path = written(tmp_path, "ä;b\r1;2\r".encode("latin-1"))
    assert fl.data.from_csv(path, encoding="latin-1", as_dict=True).first() == {"ä": 1, "b": 2}


def test_without_a_header(tmp_path: Path) -> None:
    path = written(tmp_path, "1,2,0\n3,4,1\n")
    assert rows(fl.data.from_csv(path, "c2", header=False)) == [([1, 2], 0), ([3, 4], 1)]
    assert rows(fl.data.from_csv(path, "y", header=["a", "b", "y"])) == [([1, 2], 0), ([3, 4], 1)]


def test_missing_values(tmp_path: Path) -> None:
    path = written(tmp_path, "a,b,y\n1,NA,0\n,4,1\n3,8,1\n")
    x = np.stack([x for x, _ in fl.data.from_csv(path, "y")])
    np.testing.assert_array_equal(x, np.array([[1, np.nan], [np.nan, 4], [3, 8]], np.float32))
    x = np.stack([x for x, _ in fl.data.from_csv(path, "y", fill="mean")])
    np.testing.assert_array_equal(x, np.array([[1, 6], [2, 4], [3, 8]], np.float32))
    filled = fl.data.from_csv(path, "y", fill={"a": -1, "b": "median"})
    assert [x.tolist() for x, _ in filled] == [[1, 6], [-1, 4], [3, 8]]
    assert rows(fl.data.from_csv(path, "y", fill="drop")) == [([3, 8], 1)]
    refused(path, "y", fill="most", code="E-DATA-008")
    path = written(tmp_path, "a,y\n1,x\n2,\n")
    error = refused(path, "y")
    assert "line 3" in str(error.where) and "column y" in str(error.where)
    assert len(fl.data.from_csv(path, "y", fill="drop")) == 1
    path = written(tmp_path, "a,y\n1,x\n-99,z\n")
    assert np.isnan(fl.data.from_csv(path, "y", missing=["-99"]).skip(1).first()[0]).all()


def test_types(tmp_path: Path) -> None:
    path = written(tmp_path, "zip,ok,n\n01234,yes,1\n99999,no,2\n")
    x = fl.data.from_csv(path, types={"zip": "text", "ok": "bool"}).first()
    assert x == {"zip": "01234", "ok": 1, "n": 1}
    path = written(tmp_path, "n,m\n1,1\n2.5,2\n")
    error = refused(path, types={"n": "int"})
    assert "line 3, column n" in str(error.where) and "'2.5'" in str(error.received)
    refused(path, types={"n": "number"}, code="E-DATA-008")
    refused(path, types={"q": "int"}, code="E-DATA-008")
    path = written(tmp_path, "n\n1\nabc\n")
    assert "types={" in str(refused(path, types={"n": "float"}).next)
    assert next(iter(fl.data.from_csv(path).batch(2)))["n"].tolist() == ["1", "abc"]
    path = written(tmp_path, "n\n1_000\n")
    assert fl.data.from_csv(path).first() == {"n": "1_000"}


def test_rows_that_do_not_fit_name_their_line(tmp_path: Path) -> None:
    error = refused(written(tmp_path, 'a,b\n1,2\n"x\ny",2\n1,2,3\n'))
    assert "line 5" in str(error.where) and "3 values" in str(error.received)
    error = refused(written(tmp_path, 'a,b\n1,2\n"open,2\n3,4\n'))
    assert "line 4" in str(error.where)
    error = refused(written(tmp_path, 'a,b\n"x"y,2\n'))
    assert "line 2" in str(error.where)


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    assert "empty" in str(refused(written(tmp_path, "")).received)
    refused(written(tmp_path, " \n\n"))
    assert "below the header" in str(refused(written(tmp_path, "a,b\n")).received)
    error = refused(written(tmp_path, b"a,b\n1,2\n\xff\xfe,3\n"))
    assert "line 3" in str(error.where) and "encoding=" in str(error.next)
    assert "zero byte" in str(refused(written(tmp_path, b"a,b\n1,\0\n")).received)
    refused(tmp_path / "missing.csv")
    refused(tmp_path)
    assert "'a'" in str(refused(written(tmp_path, "a,a\n1,2\n")).received)
    refused(written(tmp_path, "a,\n1,2\n"))
    refused(written(tmp_path, "a,b\n" + "x" * 200_000 + ",2\n"))
    path = written(tmp_path, "a,b\n1,2\n")
    for wrong in (
        {"label": "c"},
        {"label": 5},
        {"weight": "c"},
        {"columns": ["c"]},
        {"columns": []},
    ):
        refused(path, **wrong)  # type: ignore[arg-type]
    refused(path, delimiter=",,", code="E-DATA-008")
    refused(path, encoding="klingon", code="E-DATA-008")
    refused(written(tmp_path, "a\n1\n"), "a")
    refused(written(tmp_path, "a,b\n,1\n"), fill="drop")


def test_a_table_trains(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 3))
    lines = [f"{a:.4f};{b:.4f};{c:.4f};{'up' if a > b else 'down'}" for a, b, c in x]
    path = written(tmp_path, "a;b;c;way\n" + "\n".join(lines))
    fl.set_random_seed(1)
    train, held = fl.data.from_csv(path, "way").split(0.25, stratified=True, seed=0)
    model = fl.Sequential([fl.Input((3,)), fl.layers.Dense(2, activation="softmax")])
    rate = fl.optimizers.get({"class_name": "Adam", "config": {"learning_rate": 0.1}})
    model.compile(rate, "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(train.shuffle(seed=0).batch(10), epochs=10, verbose=0)
    assert model.evaluate(held.batch(20), return_dict=True)["accuracy"] > 0.85
    fl.set_random_seed(None)
