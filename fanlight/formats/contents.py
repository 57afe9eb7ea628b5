"""What a file is by its own bytes: names are changed, copied and guessed; bytes are not."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path

from fanlight.errors import FanlightError

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_ZIP_MAGIC = b"PK\x03\x04"
# How torch.save began before PyTorch 1.6: the pickle of a magic number.
_OLD_TORCH = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19"
_HEAD = 64
_MOST_MEMBERS = 100_000
_MOST_PICKLE = 1 << 22
_RATIO = 1200  # deflate cannot pack better than about 1,030 to 1
# What a pickle of weights by name refers to; a module refers to its own classes, too.
_WEIGHTS_ONLY = ("collections ", "torch._utils ", "torch.storage ", "torch._tensor ", "_codecs ")
_EXPORT = (
    "torch.export.save(torch.export.export(model.eval(), (example,)), 'model.pt2'), and convert "
    "that; or give the module to fl.from_torch(model, (example,))"
)


def kind_of_bytes(file: Path) -> str:
    """The suffix that the file's content deserves, such as ".keras"; "" if it does not tell.

    Raises:
        FanlightError: E-FORMAT-002 for what torch.save or torch.jit.save wrote, for pages and for
            pointers of Git LFS.
    """
    if not file.is_file():  # a pipe would be waited for
        return ""
    try:
        with file.open("rb") as handle:
            head = handle.read(_HEAD)
    except (OSError, ValueError):
        return ""
    if head.startswith(HDF5_MAGIC):
        return ".h5"
    if head[4:8] == b"TFL3":
        return ".tflite"
    if head.startswith(_OLD_TORCH):
        raise _of_torch(file, [])
    if file.suffix.lower() != ".json":  # whose reader says it
        _refuse_text(file, head)
    return _kind_of_zip(file, _members(file)) if head.startswith(_ZIP_MAGIC) else ""


def _refuse_text(file: Path, head: bytes) -> None:
    """E-FORMAT-002 for a page in the place of a model, and for a pointer to one."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    page = start.startswith((b"<!doctype", b"<html"))
    if not page and not start.startswith(b"version https://git-lfs"):
        return
    raise FanlightError(
        "E-FORMAT-002",
        "this is a page of HTML, and no model."
        if page
        else "this is a pointer of Git LFS: a few lines in the place of the model.",
        where=file,
        expected="the file of a model",
        received=repr(head[:40]),
        next="if it was downloaded, the server sent an error page: download it again. A page that "
        "Fanlight built is opened by fl.open_bundle(path), and served by fanlight serve."
        if page
        else "fetch the file itself: git lfs pull.",
    )


def _members(file: Path) -> list[str]:
    """The names inside a zip; none if it is damaged, which its reader tells better."""
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.namelist()[:_MOST_MEMBERS]
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError,
            OverflowError, IndexError, RuntimeError):  # fmt: skip
        return []


def _kind_of_zip(file: Path, names: list[str]) -> str:
    if "config.json" in names and "model.weights.h5" in names:
        return ".keras"
    if _pickle(names) is not None:
        raise _of_torch(file, names)
    last = {n.rpartition("/")[2] for n in names}
    exported = any(n.endswith("models/model.json") for n in names)
    if exported or "serialized_exported_program.json" in last:
        return ".pt2"
    return ".task" if any(n.endswith(".tflite") for n in last) else ""


def _pickle(names: Iterable[str]) -> str | None:
    """The member that torch.save writes: data.pkl in the one folder of the archive."""
    return next((n for n in names if n.count("/") == 1 and n.endswith("/data.pkl")), None)


def _of_torch(file: Path, names: list[str]) -> FanlightError:
    """What a pickle of PyTorch holds, and how its model gets here.

    Nothing is unpickled: its opcodes are listed, which runs none of them.
    """
    if any("/code/" in n for n in names):
        return _refused(
            file,
            "this is a TorchScript file (torch.jit.save), which Fanlight does not read.",
            "a program of torch.export",
            f"export the module that it was made of: {_EXPORT}.",
        )
    kind = _pickled(file, _pickle(names)) if names else ""
    if kind == "weights":
        return _refused(
            file,
            "the file has the weights of a PyTorch model (a state dict), and not the model.",
            "a program of torch.export, which has the computation, too",
            f"make the PyTorch model, load its weights, and export it: {_EXPORT}. Or build the "
            "model of fl.layers: model.load_torch_state(module.state_dict()) places the weights.",
        )
    if kind == "module":
        return _refused(
            file,
            "this is a whole PyTorch module as a pickle, whose code is not in the file.",
            "a program of torch.export, which has the computation, too",
            f"load it in PyTorch, and export it: {_EXPORT}.",
        )
    return _refused(
        file,
        "this is a file of torch.save: a pickle, which could run any program when opened.",
        "a program of torch.export, which has the computation, too",
        f"load it in PyTorch, and export it: {_EXPORT}. Weights alone go into a model of "
        "fl.layers: model.load_torch_state(module.state_dict()).",
    )


def _refused(file: Path, message: str, expected: str, next: str) -> FanlightError:
    return FanlightError(
        "E-FORMAT-002",
        message,
        where=file,
        expected=expected,
        received=f"{file.name}: a pickle of PyTorch, which is never opened: it could run anything",
        next=next,
    )


def _pickled(file: Path, member: str | None) -> str:
    """What the classes that a pickle names make it: "weights" or "module"; "" if they do not."""
    import pickletools

    try:
        with zipfile.ZipFile(file) as archive:
            info = archive.getinfo(member or "")
            if info.file_size > min(_MOST_PICKLE, info.compress_size * _RATIO + 4096):
                return ""
            with archive.open(info) as opened:
                data = opened.read(_MOST_PICKLE)
        classes = {str(a) for op, a, _ in pickletools.genops(data) if op.name == "GLOBAL"}
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, LookupError, ValueError,
            NotImplementedError, RuntimeError, OverflowError, MemoryError):  # fmt: skip
        return ""
    own = [c for c in classes if not c.startswith(_WEIGHTS_ONLY)]
    # "torch FloatStorage" is of a tensor; "torch.nn.modules.linear Linear" is of a module.
    return "module" if any(not c.startswith("torch ") for c in own) else "weights"
