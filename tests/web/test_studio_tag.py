"""Studio's tagging of folders in a real Chromium: `<fl-tag>`.

Its tables and side-cars are read by other programs: Python's CSV, XML and zip readers, Pillow.
"""

from __future__ import annotations

import csv
import io
import json
import re
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.web.studio_parts import parts, parts_folder, parts_site, pictures  # noqa: F401

pytestmark = pytest.mark.chromium

SPACES = {
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "dc": "http://purl.org/dc/elements/1.1/",
    "xmp": "http://ns.adobe.com/xap/1.0/",
}


def show(page: Any, many: int, more: str = "") -> None:
    page.evaluate(
        f"""async () => {{ globalThis.s = await parts.pets(8);
        await s.train({{ epochs: 1, threshold: 0.63 }}); {more};
        globalThis.el = await parts.show('fl-tag', s);
        globalThis.heard = []; el.addEventListener('fl-tell', (e) => heard.push(e.detail));
        globalThis.rows = () => el.renderRoot.querySelector('fl-rows').renderRoot;
        if ({many}) el.add(await parts.folder({many})); }}"""
    )
    if many:
        page.get_by_role("progressbar").wait_for(state="detached")


def keywords(text: str) -> list[str | None]:
    """The keywords of a side-car, as an XML parser finds them."""
    root = ET.fromstring(text.encode())
    assert root.tag == "{adobe:ns:meta/}xmpmeta"
    tools = [e.text for e in root.iterfind(".//xmp:CreatorTool", SPACES)]
    assert tools == ["Fanlight Studio"]
    (about,) = root.iterfind("rdf:RDF/rdf:Description", SPACES)
    assert about.get(f"{{{SPACES['rdf']}}}about") == ""
    return [e.text for e in about.iterfind("dc:subject/rdf:Bag/rdf:li", SPACES)]


def test_a_folder_is_tagged_least_sure_first(parts: Any) -> None:  # noqa: F811
    show(parts, 0)
    pictures(parts, "tag-empty")
    files = """async () => { const data = new DataTransfer();
        for (const { file } of await parts.folder(12)) data.items.add(file);
        data.items.add(new File(['notes'], 'notes.txt'));
        data.items.add(new File(['no picture'], '<b>.jpg'));
        el.renderRoot.querySelector('.drop').dispatchEvent(
            new DragEvent('drop', { dataTransfer: data, cancelable: true })); }"""
    parts.evaluate(files)
    parts.get_by_role("button", name="All 13").wait_for()  # not the notes
    # The keys go to what has come in place of what had them.
    parts.wait_for_function("() => el.renderRoot.activeElement?.textContent.includes('All')")
    parts.get_by_role("progressbar").wait_for(state="detached")
    assert parts.evaluate("heard[0].text") == "1 file left out: not photos."
    lines = parts.locator("fl-rows .line")
    scores = [line.split("\n")[-1] for line in lines.all_inner_texts()]
    numbers = [float(score.rstrip(" %")) for score in scores if score.endswith("%")]
    assert len(numbers) == 12 and numbers == sorted(numbers) and numbers[0] < 63
    first = lines.first.inner_text()
    assert "perhaps owl" in first
    assert lines.first.get_by_role("combobox").input_value() == ""
    # The one that cannot be read says so, and its name is no markup.
    parts.get_by_role("button", name="Not readable 1").click()
    assert "<b>.jpg" in lines.first.inner_text() and "JPEG" in lines.first.inner_text()
    assert not lines.first.get_by_role("combobox").count()
    parts.get_by_role("button", name="Not sure 3").click()
    assert lines.count() == 3


def test_looks(parts: Any) -> None:  # noqa: F811
    show(parts, 24)
    parts.locator("fl-rows .line").nth(1).get_by_role("checkbox").check()
    parts.locator("fl-rows .line").nth(2).get_by_role("checkbox").check()
    parts.locator("fl-rows .line").nth(3).get_by_role("combobox").select_option("owl")
    parts.get_by_role("button", name="Put right 1").wait_for()
    pictures(parts, "tag")


def test_tags_are_put_right_by_hand_by_keys_and_many_at_once(parts: Any) -> None:  # noqa: F811
    show(parts, 12)
    parts.get_by_role("combobox", name="Order").select_option("by name")
    line = parts.locator("fl-rows .line")
    assert line.first.inner_text().startswith("IMG_0000.png")
    line.nth(0).get_by_role("combobox").select_option("owl")
    line.nth(0).filter(has_text="put right by you; it said cat").wait_for()
    # Keys: down, pick, and a number for a class.
    line.nth(0).focus()
    line.nth(0).press("ArrowDown")
    assert parts.evaluate("rows().activeElement.dataset.row") == "1"
    line.nth(1).press("Space")
    line.nth(1).press("ArrowDown")
    line.nth(2).press("Space")
    assert "2 photos picked" in parts.locator("fl-tag .many").inner_text()
    line.nth(2).press("1")
    tags = "() => el.records().map(({ tag }) => tag)"
    assert parts.evaluate(tags)[:4] == ["owl", "cat", "cat", None]
    assert not parts.locator("fl-tag .many").count()
    parts.evaluate("heard.at(-1).act()")  # Undo
    assert parts.evaluate(tags)[:4] == ["owl", "dog", "owl", None]
    line.nth(3).press("2")
    line.nth(1).press("0")
    assert parts.evaluate(tags)[:4] == ["owl", None, "owl", "dog"]
    line.nth(0).get_by_role("checkbox").check()
    parts.get_by_role("button", name="All 12").last.click()
    parts.get_by_role("combobox", name="Tag all").select_option("dog")
    assert parts.evaluate(tags) == ["dog"] * 12


def test_thousands_of_rows_are_few_in_the_page(parts: Any) -> None:  # noqa: F811
    show(
        parts,
        0,
        "const results = [{ class: 'c0', label: 'cat', score: 0.9, index: 0 }];"
        "s.predict = async () => ({ results, sure: true, label: 'cat' })",
    )
    parts.evaluate("async () => el.add(await parts.folder(4000))")
    parts.get_by_role("progressbar").wait_for(state="detached")
    assert parts.evaluate("rows().querySelectorAll('.line').length") < 40
    assert parts.locator("[role=grid]").get_attribute("aria-rowcount") == "4001"
    parts.get_by_role("combobox", name="Order").select_option("by name")
    parts.locator("fl-rows .line").first.focus()
    parts.keyboard.press("End")
    parts.wait_for_function("() => rows().activeElement?.dataset.row === '3999'")
    assert parts.evaluate("rows().activeElement.getAttribute('aria-rowindex')") == "4001"
    assert "IMG_3999.png" in parts.evaluate("rows().activeElement.textContent")
    assert parts.evaluate("rows().querySelectorAll('.line').length") < 40
    parts.wait_for_function(
        """() => { const c = rows().activeElement.querySelector('canvas');
        return c.getContext('2d').getImageData(48, 48, 1, 1).data[3] === 255; }"""
    )
    parts.keyboard.press("Home")
    parts.wait_for_function("() => rows().activeElement?.dataset.row === '0'")


def test_pause_and_a_second_folder(parts: Any) -> None:  # noqa: F811
    show(parts, 0, "s.lag = 30")
    parts.evaluate("async () => el.add(await parts.folder(40))")
    parts.get_by_role("button", name="Pause").click()
    parts.evaluate("parts.pause(80)")
    done = parts.evaluate("el.done")
    parts.evaluate("parts.pause(150)")
    assert parts.evaluate("el.done") == done < 40
    parts.evaluate("s.lag = 0")
    parts.get_by_role("button", name="Go on").click()
    parts.get_by_role("progressbar").wait_for(state="detached")
    # The same again is known; other photos of the same names are other photos.
    parts.evaluate("async () => el.add(await parts.folder(3))")
    assert parts.evaluate("heard.at(-1).text") == "3 photos left out: in the table already."
    parts.evaluate(
        """async () => el.add((await parts.folder(2)).map(({ file, path }) => (
            { path, file: new File([file, ' '], file.name, { type: 'image/png' }) })))"""
    )
    parts.get_by_role("button", name="All 42").wait_for()
    parts.wait_for_function("() => el.records().length === 42")
    assert parts.evaluate("el.records().slice(40).map(({ file }) => file)") == [
        "2/beach/IMG_0000.png",
        "2/beach/IMG_0001.png",
    ]


def test_tables_are_what_was_seen_and_safe_in_a_spreadsheet(parts: Any, tmp_path: Path) -> None:  # noqa: F811
    show(parts, 4, 's.classes[0].name = \'=HYPERLINK("x"),"cat"\'')
    with parts.expect_download() as download:
        parts.get_by_role("button", name="Table (CSV)").click()
    assert download.value.suggested_filename == "tags.csv"
    download.value.save_as(tmp_path / "tags.csv")
    data = (tmp_path / "tags.csv").read_bytes()
    assert data.startswith(b"\xef\xbb\xbf")
    table = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))
    assert table[0] == ["file", "tag", "score", "said", "corrected"]
    assert table[1][:2] == ["beach/IMG_0000.png", '\'=HYPERLINK("x"),"cat"']
    assert 0.5 < float(table[1][2]) <= 1 and table[1][4] == "no"
    assert table[4][1] == ""  # not sure
    with parts.expect_download() as download:
        parts.get_by_role("button", name="JSON").click()
    download.value.save_as(tmp_path / "tags.json")
    saved = json.loads((tmp_path / "tags.json").read_text("utf-8"))
    assert [p["tag"] for p in saved["photos"]] == ['=HYPERLINK("x"),"cat"', "dog", "owl", None]
    assert [p["score"] for p in saved["photos"]] == [float(row[2]) for row in table[1:]]


def test_fields_of_csv(parts: Any) -> None:  # noqa: F811
    rows = [
        ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\uff1d1", "  =1", "\n"],
        ["a,b", 'say "hi"', "two\nlines", " edge ", None, -1, 0.5, "nul\0", "-"],
    ]
    text = parts.evaluate("(rows) => parts.csv(rows)", rows)
    assert text.startswith("\ufeff") and text.endswith("\r\n")
    back = list(csv.reader(io.StringIO(text[1:], newline="")))
    assert back[0] == [f"'{field}" for field in rows[0]]
    assert back[1] == ["a,b", 'say "hi"', "two\nlines", " edge ", "", "-1", "0.5", "nul", "'-"]


def test_side_cars_are_xml_whatever_a_class_is_called(parts: Any, tmp_path: Path) -> None:  # noqa: F811
    wild = "<b>&amp; \"cats\" 'n' ]]> \u00e4\u732b\U0001f408 </rdf:li>"
    show(parts, 8, f"s.classes[0].name = {json.dumps(wild)}")
    with parts.expect_download() as download:
        parts.get_by_role("button", name="Tags for photo managers").click()
    assert download.value.suggested_filename == "tags-xmp.zip"
    download.value.save_as(tmp_path / "tags.zip")
    with zipfile.ZipFile(tmp_path / "tags.zip") as packed:
        names = packed.namelist()
        assert packed.testzip() is None
        texts = {name: packed.read(name).decode() for name in names}
    # Every fourth is between the classes: it has no tag, and no side-car.
    assert names == [f"beach/IMG_000{i}.xmp" for i in (0, 1, 2, 4, 5, 6)]
    assert keywords(texts["beach/IMG_0000.xmp"]) == [wild]
    assert keywords(texts["beach/IMG_0001.xmp"]) == ["dog"]
    assert re.search(r"<xmp:MetadataDate>\d{4}-\d\d-\d\dT[\d:.]+Z<", texts["beach/IMG_0001.xmp"])


def test_pillow_reads_the_side_car_as_the_xmp_of_a_picture(parts: Any) -> None:  # noqa: F811
    from PIL import Image

    text = parts.evaluate("parts.sidecar(['cat', 'a < b'])")
    out = io.BytesIO()
    packet = text.split("?>", 1)[1].strip().encode()
    Image.new("RGB", (8, 8)).save(out, "JPEG", xmp=packet)
    found = Image.open(io.BytesIO(out.getvalue())).info["xmp"]
    assert keywords(found.decode()) == ["cat", "a < b"]


def test_what_xml_does_not_have_is_left_out(parts: Any) -> None:  # noqa: F811
    text = parts.evaluate(r"parts.sidecar(['a\u0000b\u0008\ud800c\uffff', 'tab\tnew\nline'])")
    assert keywords(text) == ["abc", "tab\tnew\nline"]


def test_names_of_side_cars(parts: Any) -> None:  # noqa: F811
    paths = ["IMG.jpg", "a/IMG.jpg", "a/img.PNG", "b.c/noend", ".hidden", "x.tar.gz"]
    assert parts.evaluate("(paths) => parts.sidecarPaths(paths)", paths) == [
        "IMG.xmp",
        "a/IMG.jpg.xmp",
        "a/img.PNG.xmp",
        "b.c/noend.xmp",
        ".hidden.xmp",
        "x.tar.xmp",
    ]


# A folder of the origin's own stands in for one of the disk: the same interface.
FOLDER = """async (many) => {
  const root = await navigator.storage.getDirectory();
  globalThis.folder = await root.getDirectoryHandle('photos', { create: true });
  globalThis.put = async (at, name, content) => {
    const file = await (await at.getFileHandle(name, { create: true })).createWritable();
    await file.write(content); await file.close();
  };
  globalThis.get = async (at, name) => (await (await at.getFileHandle(name)).getFile()).text();
  globalThis.sub = await folder.getDirectoryHandle('beach', { create: true });
  for (const { file } of await parts.folder(many)) await put(sub, file.name, file);
  globalThis.showDirectoryPicker = async () => folder; }"""


def choose(page: Any, many: int) -> Any:
    """Tag the folder; the button that writes beside it."""
    show(page, 0)
    page.get_by_role("button", name="Choose a folder").click()
    page.get_by_role("button", name=f"All {many}").wait_for()
    page.get_by_role("progressbar").wait_for(state="detached")
    return page.get_by_role("button", name="Write tags beside the photos")


def test_tags_are_written_beside_the_photos_and_others_files_stay(parts: Any) -> None:  # noqa: F811
    parts.evaluate(FOLDER, 6)
    parts.evaluate("put(sub, 'IMG_0001.xmp', '<xmp>of another program</xmp>')")
    write = choose(parts, 6)
    write.click()
    parts.get_by_text("4 tags written").wait_for()
    note = parts.locator("fl-tag .note").inner_text()
    assert "1 file left alone" in note and "beach/IMG_0001.xmp" in note
    assert keywords(parts.evaluate("get(sub, 'IMG_0000.xmp')")) == ["cat"]
    assert parts.evaluate("get(sub, 'IMG_0001.xmp')") == "<xmp>of another program</xmp>"
    names = """async () => { const all = []; for await (const n of sub.keys()) all.push(n);
        return all.sort(); }"""
    assert [n for n in parts.evaluate(names) if n.endswith(".xmp")] == [
        f"IMG_000{i}.xmp" for i in (0, 1, 2, 4, 5)
    ]
    # What we wrote we write again; a photo that has gone is told.
    parts.get_by_role("combobox", name="Order").select_option("by name")
    parts.locator("fl-rows .line").first.get_by_role("combobox").select_option("owl")
    parts.evaluate("sub.removeEntry('IMG_0004.png')")
    write.click()
    parts.get_by_text("1 photo not in that folder").wait_for()
    assert keywords(parts.evaluate("get(sub, 'IMG_0000.xmp')")) == ["owl"]
    # What we wrote goes with its tag; what is of others stays.
    for line in (0, 1):
        row = parts.locator("fl-rows .line").nth(line)
        row.get_by_role("combobox").select_option(label="not sure")
    write.click()
    parts.get_by_text("1 tag of before taken away").wait_for()
    left = parts.evaluate(names)
    assert "IMG_0000.xmp" not in left and "IMG_0001.xmp" in left and "IMG_0002.xmp" in left


def test_of_what_is_dropped_one_file_that_cannot_be_had_costs_no_other(parts: Any) -> None:  # noqa: F811
    found = parts.evaluate(
        """async () => {
          const [{ file }] = await parts.folder(1);
          const entry = (name, file) => ({ name, isFile: true, isDirectory: false,
            file: (yes, no) => (file ? yes(file) : no(new DOMException('', 'NotReadableError'))) });
          const all = [entry('gone.png'), entry('a.png', file)];
          const folder = { name: 'f', isFile: false, isDirectory: true,
            createReader: () => ({ readEntries: (yes) => yes(all.splice(0)) }) };
          const items = [{ kind: 'file', webkitGetAsEntry: () => folder, getAsFile: () => null }];
          return (await parts.ofDrop({ items })).map(({ path, file }) => [path, file.size > 0]);
        }"""
    )
    assert found == [["gone.png", False], ["a.png", True]]


# What became of a side-car that we wrote: (what is replaced, by what).
EDITS = {
    "a rating": (
        "   <dc:subject>",
        "   <xmp:Rating>5</xmp:Rating>\n   <dc:subject>",
    ),
    "data of another program": (
        'xmlns:xmp="',
        'xmlns:lr="http://ns.adobe.com/lightroom/1.0/" lr:privateRTKInfo="x"\n    xmlns:xmp="',
    ),
    "a second keyword": ("</rdf:li>", "</rdf:li>\n     <rdf:li>holiday</rdf:li>"),
    "no keyword": ("<rdf:li>cat</rdf:li>", ""),
    "a comment": ("</x:xmpmeta>\n", "</x:xmpmeta>\n<!-- mine -->\n"),
    "other line breaks": ("\n", "\r\n"),
    "another date": ("Z</xmp:MetadataDate>", "+02:00 x</xmp:MetadataDate>"),
}


@pytest.mark.parametrize("edit", EDITS)
def test_side_cars_of_ours_that_others_changed_stay(parts: Any, edit: str) -> None:  # noqa: F811
    parts.evaluate(FOLDER, 2)
    write = choose(parts, 2)
    write.click()
    parts.get_by_text("2 tags written").wait_for()
    ours = parts.evaluate("get(sub, 'IMG_0000.xmp')")
    assert keywords(ours) == ["cat"]
    theirs = ours.replace(*EDITS[edit])
    assert theirs != ours
    parts.evaluate("(text) => put(sub, 'IMG_0000.xmp', text)", theirs)
    parts.locator("fl-rows").get_by_label("Tag of beach/IMG_0000.png").select_option("owl")
    write.click()
    parts.get_by_text("1 tag written").wait_for()
    note = parts.locator("fl-tag .note").inner_text()
    assert "made or changed it: beach/IMG_0000.xmp" in note
    assert parts.evaluate("get(sub, 'IMG_0000.xmp')") == theirs


def test_a_folder_that_is_read_tells_how_many_files_it_has(parts: Any) -> None:  # noqa: F811
    parts.evaluate(FOLDER, 5)
    parts.evaluate(
        """() => { globalThis.read = 0;
        const { getFile } = FileSystemFileHandle.prototype;
        FileSystemFileHandle.prototype.getFile = async function () {
          if (++read === 4) await new Promise((resolve) => { globalThis.go = resolve; });
          return getFile.call(this); }; }"""
    )
    show(parts, 0)
    parts.get_by_role("button", name="Choose a folder").click()
    parts.get_by_text("Reading the folder: 3 files").wait_for()
    parts.evaluate("go()")
    parts.get_by_role("button", name="All 5").wait_for()
    assert not parts.get_by_text("Reading the folder").count()
    parts.get_by_role("progressbar").wait_for(state="detached")
    found = parts.evaluate("el.records().map(({ file }) => file)")
    assert sorted(found) == [f"beach/IMG_000{i}.png" for i in range(5)]


def test_what_are_no_photos_is_said(parts: Any) -> None:  # noqa: F811
    show(parts, 0)
    parts.get_by_label("Photos").set_input_files(
        {"name": "a.txt", "mimeType": "text/plain", "buffer": b"hello"}
    )
    assert "choose a folder with photos" in parts.get_by_role("alert").inner_text().lower()
