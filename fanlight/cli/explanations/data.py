"""Errors of datasets."""

from __future__ import annotations

from fanlight.cli.explanations.text import Explanation

DATA: dict[str, Explanation] = {
    "E-DATA-001": Explanation(
        "A filter, a generator or repeat() stands before what needs to know how many elements "
        "there are, or all of them at once.",
        "Put repeat() last, bound it by take(n), and give fit steps_per_epoch.",
        "len(fl.data.from_arrays([1, 2, 3]).repeat())",
        "len(fl.data.from_arrays([1, 2, 3]).repeat(2))",
    ),
    "E-DATA-002": Explanation(
        "The path leads to the wrong folder, its files have other endings than those of pictures, "
        "or pictures lie beside the folders of classes instead of in them.",
        "Name the folder that has a folder for each class; or say how files name their class: "
        'label="prefix", a function, or None.',
    ),
    "E-DATA-003": Explanation(
        "The file broke off while it was downloaded or copied, or it is something else under the "
        "name of a picture.",
        'Replace or delete it. on_error="skip" leaves such files out, and says which.',
    ),
    "E-DATA-004": Explanation(
        "The delimiter or the encoding is not the one that the file has, a text with a comma is "
        "not in quotes, or a column of numbers has a word in it.",
        "Look at the line that is named. delimiter, encoding, missing and types say how the file "
        "is to be read.",
    ),
    "E-DATA-005": Explanation(
        "A download broke off; or the archive was made to do harm: a few kilobytes that become "
        "gigabytes, or files that would be written outside the folder.",
        "Download it again from where you trust it. A good archive with giant files can be "
        "unpacked by hand: give the folder then.",
    ),
    "E-DATA-006": Explanation(
        "Stratified parts have elements of every class each, and a class with one element has "
        "none for the other part.",
        "Add examples of that class, or filter it out; or split without stratified=True.",
        "fl.data.from_arrays([[1], [2], [3]], [0, 0, 1]).split(1, stratified=True)",
        "fl.data.from_arrays([[1], [2], [3], [4]], [0, 0, 1, 1]).split(2, stratified=True)",
    ),
    "E-DATA-007": Explanation(
        "Pictures of several sizes are to be one batch; or labels belong to other data, or a row "
        "was lost on the way.",
        "image_folder(path, size=160) brings pictures to one size; map does it for other things. "
        "Compare len(x) with len(y).",
        "fl.data.from_arrays([[1], [2]], [0])",
        "fl.data.from_arrays([[1], [2]], [0, 1])",
    ),
    "E-DATA-008": Explanation(
        "A size below 1, a share that leaves nothing of one part, a generator where the function "
        "that makes it is meant.",
        "The message says what the argument may be.",
        "fl.data.from_arrays([1, 2, 3]).batch(0)",
        "fl.data.from_arrays([1, 2, 3]).batch(2)",
    ),
    "E-DATA-009": Explanation(
        "The path names a file of another program, one that was cut short when it was copied, or "
        "the cache of another dataset: other arrays or files, or another function in map(), or one "
        "that holds other values.",
        "Give cache() a path of its own. Deleting a cache loses nothing: it is made again.",
    ),
}
