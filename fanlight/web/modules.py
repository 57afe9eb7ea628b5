"""Join our own ES modules into one text. Not a bundler: it knows the one style that we write."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from fanlight.errors import FanlightError

_IMPORT = re.compile(r"^import \{ [\w, ]+ \} from '\./(\w+\.js)';\n", re.M)
_REEXPORT = re.compile(r"^export \{ [\w, ]+ \};\n", re.M)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:function|class|const) )", re.M)
_DECLARED = re.compile(r"^(?:async )?(?:function|class|const|let) (\w+)", re.M)
# JSDoc and line comments; the types they carry ship in the .d.ts files instead.
_BLOCK_LINE = re.compile(r"^[ \t]*/\*\*(?: |\n)(?:[^*]|\*(?!/))*\*/[ \t]*\n", re.M)
_BLOCK_INLINE = re.compile(r"/\*\* @type (?:[^*]|\*(?!/))*\*/ ?")
_LINE = re.compile(r"^[ \t]*// .*\n| // .*$", re.M)
_INDENT = re.compile(r"^[ \t]+", re.M)
# An import, the notice or a text, which stay; or what needs no space around it.
_TEXT = r"^(?:import|//) .*$|'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"|`(?:[^`\\]|\\.)*`"
_SPACED = re.compile(rf"({_TEXT})| ?([=<>{{}}()\[\],:?&|*;]+) ?", re.M)
_NAMED = re.compile(r"^import \{ ([\w, ]+) \} from '\./\w+\.js';\n", re.M)
_GIVEN = re.compile(r"^export (?:async )?(?:function|class|const) (\w+)", re.M)
_UNKNOWN = re.compile(
    r"^import\b|\bimport\((?!'\./\w+\.js'\))|\bexport default\b|^export .* from ", re.M
)
_NOTICE = "// Fanlight, Apache-2.0\n"


def strip_comments(source: str) -> str:
    """JavaScript without its JSDoc and line comments: half of what a visitor would download.

    Only for our own files: a comment inside a string or a template would be taken for one.
    """
    return _LINE.sub("", _BLOCK_INLINE.sub("", _BLOCK_LINE.sub("", source)))


def shorten(source: str) -> str:
    """JavaScript without comments and indentation. Our templates that span lines are HTML only."""
    return _INDENT.sub("", strip_comments(source))


def tighten(source: str) -> str:
    """JavaScript that `shorten` or `join` made, without spaces around brackets and operators.

    Only for our own files: no template stands in another, and no regular expression has a space.
    """
    return _SPACED.sub(lambda found: found[1] or found[2], source)


def join(paths: Iterable[Path], *, exports: bool) -> str:
    """The modules at `paths`, dependencies first, as one script.

    Args:
        paths: ES modules in our style: `import { a, b } from './other.js';` on one line, exports in
            front of the declaration or as `export { a, b };`. `import('./other.js')` stays.
        exports: keep the exports of the last module (for a module), or none (for a script).

    Raises:
        FanlightError: E-BUILD-009 when a module is written in another way, imports something that
            does not come before it, or declares a name that another one has.
    """
    files = list(paths)
    seen: set[str] = set()
    owner: dict[str, str] = {}
    parts: list[str] = []
    for path in files:
        text = strip_comments(path.read_text("utf-8"))
        for needed in _IMPORT.findall(text):
            if needed not in seen:
                raise _unexpected(path, f"imports {needed}, which does not come before it")
        seen.add(path.name)
        text = _IMPORT.sub("", text)
        if not (exports and path == files[-1]):
            text = _EXPORT.sub("", _REEXPORT.sub("", text))
            if re.search(r"^export\b", text, re.M):
                raise _unexpected(path, "has an export of an unknown form")
        if _UNKNOWN.search(text):
            raise _unexpected(path, "has an import or export of an unknown form")
        for name in _DECLARED.findall(_EXPORT.sub("", text)):
            if name in owner:
                raise _unexpected(path, f"declares {name}, as {owner[name]} does")
            owner[name] = path.name
        parts.append(text.strip("\n"))
    return _NOTICE + _INDENT.sub("", "\n".join(parts)) + "\n"


def enclose(path: Path) -> str:
    """The module at `path` as an expression: an object of what it exports.

    Its own names stay inside, so it can stand in a script that has the same ones. What it imports
    has to be there under the names that its modules export.

    Raises:
        FanlightError: E-BUILD-009 when the module is written in a style that is not ours.
    """
    text = shorten(path.read_text("utf-8"))
    named = [name.split() for group in _NAMED.findall(text) for name in group.split(",")]
    exports = ", ".join(_GIVEN.findall(text))
    text = _EXPORT.sub("", _IMPORT.sub("", text))
    if _UNKNOWN.search(text) or re.search(r"^export\b", text, re.M) or not exports:
        raise _unexpected(path, "has an import or export of an unknown form")
    inside, outside = (", ".join(words[i] for words in named) for i in (-1, 0))
    return f"(({inside}) => {{\n{text.strip()}\nreturn {{ {exports} }};\n}})({outside})"


def _unexpected(path: Path, what: str) -> FanlightError:
    return FanlightError(
        "E-BUILD-009",
        f"{path.name} {what}.",
        where=str(path.name),
        next="this is a bug in Fanlight: report it",
    )
