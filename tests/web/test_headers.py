"""The headers files of static hosts: each parses, and says what `fanlight serve` sends."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

import fanlight as fl
from fanlight.errors import FanlightError
from fanlight.hosts.serving import Site
from fanlight.web.headers import (
    FOREVER,
    HOSTS,
    MARK,
    TYPES,
    UNKNOWN_TYPE,
    headers_of,
    host_files,
)
from tests.build.nets import classifier

# Cache-Control "no-cache" is what these hosts mean where nothing is said.
_ASKS_ANYWAY = {"netlify", "cloudflare"}
ABOUT_FILES = {"Content-Type", "Vary", "Accept-Ranges", "ETag"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hosts") / "site"
    task = fl.tasks.classify(labels=[f"label {i}" for i in range(5)], input_range=(0, 1))
    sample = folder.with_name("cat-deadbeef.jpg")  # a word, and no hash
    Image.new("RGB", (16, 16), (200, 120, 40)).save(sample)
    fl.build(
        classifier(), folder, task=task, offline=True, headers=["all"], bench_page=True,
        samples=[sample],
    )  # fmt: skip
    return folder


def paths_of(folder: Path) -> list[str]:
    paths = [p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()]
    return [p for p in paths if not p.startswith(".") and not p.endswith((".br", ".gz"))]


def of_underscore(text: str) -> Callable[[str], dict[str, str]]:
    """Rules whose headers are joined where several match; `*` at the end is anything."""
    rules: list[tuple[str, dict[str, str]]] = []
    for line in text.splitlines():
        if line.startswith("#") or not line.strip():
            continue
        if line.startswith("/"):
            rules.append((line, {}))
        else:
            name, _, value = line.strip().partition(": ")
            assert line.startswith("  ") and name and value and name not in rules[-1][1]
            rules[-1][1][name] = value
    assert len(rules) <= 100 and all(len(line) <= 2000 for line in text.splitlines())

    def headers(path: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for pattern, given in rules:
            star = pattern.endswith("*") and f"/{path}".startswith(pattern[:-1])
            if star or f"/{path}" == pattern:
                for name, value in given.items():
                    found[name] = f"{found[name]}, {value}" if name in found else value
        return found

    return headers


def of_json(rules: list[dict], key: str) -> Callable[[str], dict[str, str]]:
    """Rules of which the last one that matches wins."""

    def headers(path: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for rule in rules:
            if rule.get("regex"):
                matches = re.fullmatch(rule["regex"], path)
            elif rule["source"] == "**":
                matches = True
            else:
                matches = re.fullmatch(rule["source"], "/" + path)
            if matches:
                found |= {pair["key"]: pair["value"] for pair in rule["headers"]}
        return found

    return headers


def of_apache(text: str) -> Callable[[str], dict[str, str]]:
    """Header lines, those in FilesMatch for the names that it finds, and types by suffix."""
    opened: list[str] = []
    rules: list[tuple[str | None, str, str]] = []
    types: dict[str, str] = {}
    for line in map(str.strip, text.splitlines()):
        if line.startswith("</"):
            assert opened.pop().startswith(line[2:-1])
        elif line.startswith("<"):
            opened.append(line[1:-1])
        elif line.startswith("Header set "):
            _, _, name, value = line.split(" ", 3)
            inside = next((o for o in opened if o.startswith("FilesMatch ")), None)
            pattern = inside.partition(" ")[2].strip('"') if inside else None
            rules.append((pattern, name, value.strip('"')))
        elif line.startswith("AddType "):
            _, type, suffix = re.split(r' "|" ', line)
            types[suffix] = type
        else:
            known = (
                r"(#|Rewrite(Engine|Cond|Rule) |RemoveLanguage |ForceType |SetEnv |Header append )"
            )
            assert re.match(known, line), line
    assert opened == []

    def headers(path: str) -> dict[str, str]:
        name = path.rpartition("/")[2]
        found = {n: v for pattern, n, v in rules if pattern is None or re.search(pattern, name)}
        assert types.get(Path(path).suffix, UNKNOWN_TYPE) == headers_of(path)["Content-Type"]
        return found

    return headers


def of_nginx(text: str) -> Callable[[str], dict[str, str]]:
    """Locations: the one of a regular expression before the one of a prefix."""
    text = re.sub(r"^#.*\n", "", text, flags=re.M)
    types = {
        suffix: type
        for type, ends in re.findall(r"^  (\S+/\S+) ([\w ]+);$", text, re.M)
        for suffix in ends.split()
    }
    assert types == {s[1:]: t.partition(";")[0] for s, t in TYPES.items()}
    blocks = re.findall(r'^location (~ )?"?(.*?)"? \{\n((?:  .*;\n)+)\}$', text, re.M)
    repeated = len(re.findall(r"\{\d+\}", text))  # in expressions
    assert text.count("{") - repeated == len(blocks) + 1 == text.count("\n}")

    def headers(path: str) -> dict[str, str]:
        match = [b for b in blocks if b[0] and re.search(b[1], "/" + path)]
        body = (match or [b for b in blocks if not b[0]])[0][2]
        return dict(re.findall(r'add_header (\S+) "(.*)" always;', body))

    return headers


def rules_of(host: str, folder: Path) -> Callable[[str], dict[str, str]]:
    text = (folder / HOSTS[host][0]).read_text("utf-8")
    if host == "vercel":
        return of_json(json.loads(text)["headers"], "source")
    if host == "firebase":
        return of_json(json.loads(text)["hosting"]["headers"], "source")
    if host == "apache":
        return of_apache(text)
    return of_nginx(text) if host == "nginx" else of_underscore(text)


@pytest.mark.parametrize("host", [host for host in HOSTS if host != "github"])
def test_it_says_what_serve_sends(host: str, folder: Path) -> None:
    rules = rules_of(host, folder)
    site = Site(folder)
    paths = paths_of(folder)
    assert {"index.html", "bench/speed.html", "sw.js", "app.webmanifest"} <= set(paths)
    assert "samples/1-cat-deadbeef.jpg" in paths
    immutable = 0
    for path in paths:
        sent = site.reply("/" + path, {}).headers
        assert sent["Content-Type"] == headers_of(path)["Content-Type"]
        sent = {name: value for name, value in sent.items() if name not in ABOUT_FILES}
        immutable += sent["Cache-Control"] == FOREVER
        if host in _ASKS_ANYWAY and sent["Cache-Control"] == "no-cache":
            del sent["Cache-Control"]
        assert rules(path) == sent, path
    assert immutable == 3  # two modules, one file of weights


NOT_OURS = ["cat-deadbeef.jpg", "a/app-0123abcd.js", "a/my-weights-1-0123abcd.bin",
            "model-x-0123abcd.wasm/a.bin", "weights-1-0123abcd.bin.txt"]  # fmt: skip


@pytest.mark.parametrize("host", [host for host in HOSTS if host != "github"])
def test_only_what_a_build_names_is_kept_for_ever(host: str, folder: Path) -> None:
    rules = rules_of(host, folder)
    for path in NOT_OURS:
        for sent in (rules(path), headers_of(path)):
            assert sent.get("Cache-Control") != FOREVER, path
    for path in ("weights-2-0123abcd.bin", "int8-16/model-relaxed-0123abcd.wasm"):
        assert headers_of(path)["Cache-Control"] == FOREVER
        if host not in _ASKS_ANYWAY:  # those have a list, made by the build
            assert rules(path)["Cache-Control"] == FOREVER, path


def test_github_is_told_to_leave_nothing_out(folder: Path) -> None:
    assert "--offline" in (folder / ".nojekyll").read_text("utf-8")


def test_a_later_build_replaces_them_and_nothing_of_others(folder: Path) -> None:
    task = fl.tasks.classify(input_range=(0, 1))
    fl.build(classifier(), folder, task=task, offline=True, headers=["all"])
    (folder / ".htaccess").write_text("Require all denied")
    with pytest.raises(FanlightError) as caught:
        fl.build(classifier(), folder, task=task)
    assert caught.value.code == "E-BUILD-004" and ".htaccess" in str(caught.value)
    (folder / ".htaccess").unlink()
    (folder / "mine.gz").write_bytes(b"precious")
    with pytest.raises(FanlightError) as caught:
        fl.build(classifier(), folder, task=task)
    assert "mine.gz" in str(caught.value)
    (folder / "mine.gz").unlink()
    fl.build(classifier(), folder, task=task)
    assert not {"sw.js", "_headers", ".nojekyll"} & {p.name for p in folder.iterdir()}


def test_hidden_files_are_in_no_manifest(folder: Path, tmp_path: Path) -> None:
    fl.build(classifier(), tmp_path / "a", headers=["apache", "netlify"])
    listed = json.loads((tmp_path / "a" / "manifest.json").read_text())["files"]
    assert "_headers" in listed and ".htaccess" not in listed
    assert MARK in (tmp_path / "a" / ".htaccess").read_text("utf-8")


def test_a_host_that_nobody_knows(tmp_path: Path) -> None:
    with pytest.raises(FanlightError) as caught:
        fl.build(classifier(), tmp_path / "a", headers=["geocities"])
    assert caught.value.code == "E-BUILD-005" and "netlify" in str(caught.value)
    with pytest.raises(FanlightError) as caught:
        fl.build(classifier(), tmp_path / "a.html", headers=["netlify"])
    assert caught.value.code == "E-BUILD-005"
    assert list(tmp_path.iterdir()) == []


def test_more_files_than_a_host_takes_rules() -> None:
    paths = [f"weights-{i}of200-{i:08x}.bin" for i in range(200)]
    text = host_files(["cloudflare"], paths)["_headers"].decode()
    assert text.count("immutable") == 95 and "105 more files" in text
    of_underscore(text)
