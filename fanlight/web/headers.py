"""The HTTP headers of a site, as one table: `fanlight serve` sends them, hosts are told them.

`host_files` writes the same table down in the words of common static hosts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from fanlight.errors import FanlightError

# What a page may load and do: its own files, WebAssembly, pictures and video from this device.
# blob: is for previews and for the worker, which obeys this policy because it starts from one.
CSP = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; "
    "img-src 'self' blob: data:; media-src 'self' blob:; connect-src 'self'; "
    "worker-src 'self' blob:; manifest-src 'self'; base-uri 'none'; form-action 'none'"
)
# Everything but a page's own scripts, workers, WASM, styles, pictures and camera is refused.
# The page's own policy, and frame-ancestors, which a meta element cannot say.
STRICT_CSP = f"{CSP}; frame-ancestors 'self'"
# A page with another policy of its own (one that pins its inline scripts by hash) keeps that.
OWN_POLICY = "frame-ancestors 'self'"

# `model-relaxed-3fa9c1d2.wasm`: the name changes with the contents, so it may be kept for ever.
# Only what a build names so: `cat-deadbeef.jpg` may become another cat.
# Studio's heads share files that have longer hashes; none of them is a picture.
HASH_NAMED = (
    r"(?:(?:model|weights)-[a-z0-9]+-[0-9a-f]{8}\.(?:wasm|bin)"
    r"|[a-z][a-z0-9._-]*-[0-9a-f]{16}\.(?:wasm|bin|json|js|ts|html|tpl|safetensors|webmanifest))"
)
FOREVER = "public, max-age=31536000, immutable"
ASK = "no-cache"  # keep it, and ask each time whether it is still the same


@dataclass(frozen=True)
class Rule:
    """Headers of all files, or of those whose name is as a regular expression says; later ones win.

    The name is what stands behind the last slash of a path. The expression has no groups that
    capture, so that each host can take it into one of its own.
    """

    pattern: str | None
    headers: dict[str, str]

    def holds(self, path: str) -> bool:
        """Whether it is of the file at this path."""
        return self.pattern is None or bool(re.fullmatch(self.pattern, PurePosixPath(path).name))


RULES = (
    Rule(
        None,
        {
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Embedder-Policy": "require-corp",
            "Cross-Origin-Resource-Policy": "same-origin",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Content-Security-Policy": STRICT_CSP,
            "Cache-Control": ASK,
        },
    ),
    Rule(HASH_NAMED, {"Cache-Control": FOREVER}),
)

# Python's mimetypes module reads the machine's tables, which are often wrong about .wasm and .js.
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".ts": "text/plain; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".wasm": "application/wasm",
    ".bin": "application/octet-stream",
    ".safetensors": "application/octet-stream",
    ".wgsl": "text/plain; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
    ".md": "text/plain; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".ico": "image/x-icon",
}
UNKNOWN_TYPE = "application/octet-stream"

# The first line of files that no manifest can list, by which a later build knows them as ours.
MARK = "Fanlight: written by `fanlight build`, replaced by the next one."
# Cloudflare Pages takes 100 rules.
_MOST_RULES = 95


def headers_of(path: str) -> dict[str, str]:
    """What a server should send with the file at this path, its type among them."""
    headers = {"Content-Type": type_of(path)}
    for rule in RULES:
        if rule.holds(path):
            headers |= rule.headers
    return headers


def type_of(path: str) -> str:
    """The Content-Type of a file, by the end of its name."""
    return TYPES.get(PurePosixPath(path).suffix.lower(), UNKNOWN_TYPE)


def host_files(hosts: Sequence[str], paths: Iterable[str]) -> dict[str, bytes]:
    """path -> bytes of the files that tell static hosts which headers to send.

    Args:
        hosts: names of `HOSTS`, or "all".
        paths: the files of the site, whose root is this folder: some hosts know no patterns.

    Raises:
        FanlightError: E-BUILD-005 for a host that is not known.
    """
    known = sorted(paths)
    files: dict[str, bytes] = {}
    for name in hosts_named(hosts):
        path, write = HOSTS[name]
        files[path] = write(known).encode()
    return files


def hosts_named(hosts: Any) -> tuple[str, ...]:
    """The hosts of a list of names, or of one name; "all" is all of them.

    Raises:
        FanlightError: E-BUILD-005 for a host that is not known, or for what is no list of names.
    """
    listed = [hosts] if isinstance(hosts, str) or not isinstance(hosts, Iterable) else list(hosts)
    for name in listed:
        if not isinstance(name, str) or name not in (*HOSTS, "all"):
            raise FanlightError(
                "E-BUILD-005",
                f"there is no headers file for {name!r}.",
                where="headers",
                expected=", ".join((*HOSTS, "all")),
                received=name,
                next="take one of these, or copy what `fanlight serve` sends to your server.",
            )
    return tuple(HOSTS) if "all" in listed else tuple(listed)


def _underscore(paths: Sequence[str]) -> str:
    """`_headers` of Netlify and Cloudflare Pages.

    Where several rules match, these hosts join what they say: so the rule of all files leaves
    Cache-Control out, for which both hosts mean "ask each time" by themselves.
    """
    lines = [f"# {MARK}", "/*"]
    lines += [f"  {n}: {v}" for n, v in RULES[0].headers.items() if n != "Cache-Control"]
    named = [path for path in paths if RULES[1].holds(path)]
    for path in named[:_MOST_RULES]:
        lines += [f"/{path}", f"  Cache-Control: {FOREVER}"]
    if len(named) > _MOST_RULES:
        lines.append(f"# {len(named) - _MOST_RULES} more files are asked for each time.")
    return "\n".join(lines) + "\n"


def _pairs(headers: dict[str, str]) -> list[dict[str, str]]:
    return [{"key": name, "value": value} for name, value in headers.items()]


def _vercel(paths: Sequence[str]) -> str:
    """vercel.json: the last rule that matches wins."""
    rules = [
        {"source": "/(.*)" if rule.pattern is None else f"/((?:.*/)?{rule.pattern})",
         "headers": _pairs(rule.headers)}
        for rule in RULES
    ]  # fmt: skip
    return json.dumps({"headers": rules}, indent=2) + "\n"


def _firebase(paths: Sequence[str]) -> str:
    """firebase.json: the last rule that matches wins. Firebase compresses by itself."""
    rules = [
        {"source": "**"} | {"headers": _pairs(rule.headers)}
        if rule.pattern is None
        else {"regex": f"^(?:.*/)?{rule.pattern}$", "headers": _pairs(rule.headers)}
        for rule in RULES
    ]
    ignored = ["firebase.json", "**/.*", "**/*.br", "**/*.gz"]
    return (
        json.dumps({"hosting": {"public": ".", "ignore": ignored, "headers": rules}}, indent=2)
        + "\n"
    )


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _apache(paths: Sequence[str]) -> str:
    """.htaccess of Apache, with the compressed files that lie beside the others."""
    lines = [f"# {MARK}", "<IfModule mod_mime.c>"]
    for suffix, type in TYPES.items():
        lines.append(f"  AddType {_quoted(type)} {suffix}")
    lines += ["  RemoveLanguage .br", "</IfModule>", "<IfModule mod_headers.c>"]
    for rule in RULES:
        sets = [f"Header set {name} {_quoted(value)}" for name, value in rule.headers.items()]
        if rule.pattern is None:
            lines += [f"  {line}" for line in sets]
        else:
            pattern = rf"^{rule.pattern}(\.(br|gz))?$"
            lines += [f'  <FilesMatch "{pattern}">', *(f"    {line}" for line in sets)]
            lines.append("  </FilesMatch>")
    lines += ["  <IfModule mod_rewrite.c>", "    RewriteEngine On"]
    for coding, suffix in (("br", "br"), ("gzip", "gz")):
        lines += [
            f"    RewriteCond %{{HTTP:Accept-Encoding}} {coding}",
            "    RewriteCond %{HTTP:Range} ^$",
            f"    RewriteCond %{{REQUEST_FILENAME}}.{suffix} -s",
            f"    RewriteRule ^(.+)$ $1.{suffix} [L]",
        ]
    for coding, suffix in (("br", "br"), ("gzip", "gz")):
        for end, type in TYPES.items():
            dotted = end.replace(".", r"\.")
            lines += [
                f'    <FilesMatch "{dotted}\\.{suffix}$">',
                f"      ForceType {_quoted(type)}",
                f"      Header set Content-Encoding {coding}",
                "      Header append Vary Accept-Encoding",
                "      SetEnv no-gzip 1",
                "    </FilesMatch>",
            ]
    return "\n".join([*lines, "  </IfModule>", "</IfModule>"]) + "\n"


def _nginx(paths: Sequence[str]) -> str:
    """A snippet of nginx for `include` in a `server` block.

    A location that adds headers inherits none, so each has all of its own.
    """
    lines = [f"# {MARK}", "# In a server block: include /path/to/nginx.conf;", "types {"]
    by_type: dict[str, list[str]] = {}
    for suffix, type in TYPES.items():
        by_type.setdefault(type.partition(";")[0], []).append(suffix[1:])
    lines += [f"  {type} {' '.join(ends)};" for type, ends in by_type.items()]
    lines += ["}", "charset utf-8;"]
    texts = sorted({t.partition(";")[0] for t in TYPES.values() if "charset" in t} - {"text/html"})
    lines.append(f"charset_types {' '.join(texts)};")
    lines += ["gzip_static on;", "# With ngx_brotli: brotli_static on;"]
    so_far: dict[str, str] = {}
    for rule in RULES:
        so_far = so_far | rule.headers
        place = "location / {" if rule.pattern is None else f'location ~ "/{rule.pattern}$" {{'
        lines.append(place)
        lines += [f"  add_header {n} {_quoted(v)} always;" for n, v in so_far.items()]
        lines.append("}")
    return "\n".join(lines) + "\n"


def _github(paths: Sequence[str]) -> str:
    """GitHub Pages sends no headers of ours; this keeps it from leaving files out."""
    return (
        f"# {MARK}\n# GitHub Pages takes no headers: build with --offline or --isolate, whose\n"
        "# service worker adds those of isolation from the second visit on.\n"
    )


# name -> the file that the host reads, and what writes it.
HOSTS: dict[str, tuple[str, Callable[[Sequence[str]], str]]] = {
    "netlify": ("_headers", _underscore),
    "cloudflare": ("_headers", _underscore),
    "vercel": ("vercel.json", _vercel),
    "apache": (".htaccess", _apache),
    "nginx": ("nginx.conf", _nginx),
    "firebase": ("firebase.json", _firebase),
    "github": (".nojekyll", _github),
}
HOST_FILES = frozenset(path for path, _ in HOSTS.values())
