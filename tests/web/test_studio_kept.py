"""What a session of Studio keeps and says: photos that are gone, two tabs, files of others."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.web.server import Site, serve
from tests.web.studio_site import BARE, photo, photos, write_studio
from tests.web.test_studio_session import SETUP, teach

pytestmark = pytest.mark.chromium


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("studio") / "site"
    write_studio(folder)
    return folder


@pytest.fixture
def site(folder: Path) -> Iterator[Site]:
    with serve(folder) as site:
        site.pages["bare.html"] = BARE
        yield site


def entered(page: Any, site: Site) -> Any:
    page.goto(site.url + "bare.html")
    page.evaluate(SETUP)
    return page


@pytest.fixture
def bare(page: Any, site: Site) -> Any:
    return entered(page, site)


def zipped(files: dict[str, bytes]) -> list[int]:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return list(buffer.getvalue())


# --- photos that the browser has cleared ---------------------------------------------------------

# How often the page asks the browser not to clear anything.
ASKED = """globalThis.asked = 0;
  StorageManager.prototype.persist = async () => {
    globalThis.asked++;
    return true;
  };"""
# The project as a file, what was said of it, and what comes of it where it is opened.
BACK = """async (red) => {
  const told = [];
  session.addEventListener('problem', ({ detail }) => told.push(detail));
  const file = await session.export('project');
  const said = told.map(({ code, reason, next }) => ({ code, reason, next }));
  const bytes = [...new Uint8Array(await file.arrayBuffer())];
  await session.importProject(file);
  const answer = await session.predict(files([red], 'asked')[0]);
  const photos = await Promise.all(session.examples.map(({ id }) => session.photo(id)));
  return { said, bytes, label: answer.label, classes: session.classes.map((c) => c.name),
    photos: photos.length, waiting: session.waiting, runs: session.project.runs.length,
    after: told.length - said.length };
}"""


def test_a_project_whose_photos_are_gone_is_exported_without_them(page: Any, site: Site) -> None:
    teach(entered(page, site))
    page.evaluate(
        """async () => {
          const { promise, resolve, reject } = Promise.withResolvers();
          indexedDB.open('fanlight-studio').onsuccess = ({ target: { result: db } }) => {
            const tx = db.transaction('photos', 'readwrite');
            const gone = session.examples.slice(0, 5).map(({ id }) => id);
            for (const id of gone) tx.objectStore('photos').delete(id);
            tx.oncomplete = () => resolve(db.close());
            tx.onerror = reject;
          };
          await promise;
        }"""
    )
    # In Studio's own page, which says so until something is done about it.
    page.add_init_script(ASKED)
    page.goto(site.url + "index.html")
    page.locator("fl-keep").get_by_role("button", name="Save: Whole project").click()
    note = page.locator("fl-status").get_by_role("alert")
    note.get_by_text("5 of 24 photos are gone from this browser").wait_for()
    assert page.evaluate("() => asked") == 1  # that there are no more of them
    entered(page, site)
    page.evaluate("async () => { globalThis.session = await open(); }")
    found = page.evaluate(BACK, list(photo("red", 90)))
    (said,) = found["said"]
    assert said["code"] == "E-STUDIO-030" and said["reason"].startswith("5 of 24 photos")
    with zipfile.ZipFile(io.BytesIO(bytes(found["bytes"]))) as archive:
        about = json.loads(archive.read("project.json"))
        left = [name for name in archive.namelist() if name.startswith("photos/")]
    assert len(left) == len(about["examples"]) == len(about["features"]["of"]) == 19
    assert found["photos"] == 19 and found["waiting"] == 0 and found["after"] == 0
    assert found["label"] == "red" and found["classes"] == ["red", "blue"] and found["runs"] == 1


def test_where_all_was_cleared_what_is_still_here_can_be_saved(bare: Any, site: Site) -> None:
    teach(bare)
    bare.evaluate("""() => {
      globalThis.problems = [];
      session.addEventListener('problem', ({ detail }) => problems.push(detail));
    }""")
    cdp = bare.context.new_cdp_session(bare)
    origin = site.url.rstrip("/")
    cdp.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "indexeddb"})
    bare.wait_for_function("() => problems.length")
    error = bare.evaluate("""async () => {
      const late = await session.rename('Mine').catch((error) => error);
      return { code: late.code, reason: late.reason, next: late.next };
    }""")
    assert error["code"] == "E-STUDIO-030" and "the photos are gone" in error["reason"]
    assert "export the project" in error["next"] and "import that file" in error["next"]
    # All that it says is so: the classifier, and the project without photos, which comes back.
    size = bare.evaluate("async () => (await session.export('page')).size")
    assert size > 10_000
    found = bare.evaluate(BACK, list(photo("red", 90)))
    assert [said["reason"][:15] for said in found["said"]] == ["24 of 24 photos"]
    assert found["photos"] == 0 and found["label"] == "red" and found["classes"] == ["red", "blue"]
    red = photos("red", 2, 50)
    kept = bare.evaluate("async (red) => (await session.add('red', files(red))).added.length", red)
    assert kept == 2


# --- two tabs ------------------------------------------------------------------------------------

ANSWER = """async (asked) => {
  const { results } = await session.predict(files([asked], 'asked')[0]);
  return Object.fromEntries(results.map(({ label, score }) => [label, score]));
}"""


def test_two_tabs_that_train_at_once_keep_the_last_one(page: Any, site: Site) -> None:
    one, two = entered(page, site), page.context.new_page()
    errors: list[str] = []
    for tab in (one, two):
        tab.on("pageerror", lambda error: errors.append(str(error)))
    teach(one)
    entered(two, site)
    two.evaluate("async () => { globalThis.session = await open(); }")
    asked = list(photo("green", 5))  # which of both it is, nobody can be sure of
    for tab in (one, two):
        tab.evaluate("""() => {
          globalThis.saved = [];
          globalThis.problems = [];
          session.addEventListener('saved', () => saved.push(Date.now()));
          session.addEventListener('problem', ({ detail }) => problems.push(detail.message));
        }""")
    # One goes on until the other has been told that it is saved, and ends after it.
    one.evaluate("""() => {
      globalThis.stopper = new AbortController();
      globalThis.begun = false;
      const onEpoch = () => { globalThis.begun = true; };
      globalThis.learning = session.train({ epochs: 10_000, schedule: 'constant' },
        { signal: stopper.signal, onEpoch });
    }""")
    one.wait_for_function("() => begun")
    two.wait_for_function("() => session.settings.epochs === 10_000")
    two.evaluate("async () => { await session.train({ epochs: 3 }); }")
    first = two.evaluate(ANSWER, asked)
    assert two.evaluate("() => saved.length") == 1 and one.evaluate("() => saved.length") == 0
    one.evaluate("async () => { stopper.abort(); await learning; }")
    assert one.evaluate("() => saved.length") == 1
    last = one.evaluate(ANSWER, asked)
    assert abs(last["red"] - first["red"]) > 1e-4  # else nothing would be seen below
    # The other one takes it up, and so does who comes again.
    two.wait_for_function(
        f"""async (last) => {{
          const answer = await ({ANSWER})({asked}).catch(() => null); // while it is taken up
          return answer && Math.abs(answer.red - last) < 1e-6;
        }}""",
        arg=last["red"],
    )
    entered(two, site)
    two.evaluate("async () => { globalThis.session = await open(); }")
    assert abs(two.evaluate(ANSWER, asked)["red"] - last["red"]) < 1e-6
    kept = two.evaluate("""() => [session.examples.length, session.waiting,
      session.project.runs.map(({ stopped }) => stopped).sort()]""")
    assert kept == [24, 0, ["cancelled", "done", "done"]]
    assert errors == [] and one.evaluate("() => problems") == []


# Another tab's class is told, and this one's hand is quicker than what it reads of it.
QUICK = """async () => {
  const { store } = session;
  const examples = store.examples.bind(store);
  globalThis.reading = 0;
  const gate = new Promise((go) => { globalThis.go = go; });
  store.examples = async (id) => { globalThis.reading++; await gate; return examples(id); };
}"""
STATE = """async () => {
  const { classes } = await session.store.project(session.project.id);
  const all = await session.store.examples(session.project.id);
  return Object.fromEntries(classes.map(({ id, name }) => [name,
    all.filter((e) => e.class === id).length]));
}"""


def test_a_class_of_another_tab_is_not_taken_for_one_that_was_removed(
    page: Any, site: Site
) -> None:
    one, two = entered(page, site), page.context.new_page()
    one.evaluate("async () => { globalThis.session = await open(); }")
    entered(two, site)
    two.evaluate("async () => { globalThis.session = await open(); }")
    two.evaluate(QUICK)
    one.evaluate(
        """async (red) => {
          const { id } = await session.addClass('theirs');
          await session.add(id, files(red, 'red'));
        }""",
        photos("red", 3),
    )
    two.wait_for_function("() => reading > 0")
    two.evaluate("() => session.addClass('mine')")
    two.evaluate("() => go()")
    want = {"Class 1": 0, "Class 2": 0, "theirs": 3, "mine": 0}
    two.wait_for_function("() => session.examples.length === 3 && session.classes.length === 4")
    assert one.evaluate(STATE) == want


def test_after_a_clash_what_the_other_tab_did_is_seen_and_stays(page: Any, site: Site) -> None:
    one, two = entered(page, site), page.context.new_page()
    two.add_init_script("delete globalThis.BroadcastChannel")  # it hears of nothing
    one.evaluate("async () => { globalThis.session = await open(); }")
    entered(two, site)
    two.evaluate("async () => { globalThis.session = await open(); }")
    one.evaluate(
        """async (red) => {
          await session.renameClass('Class 1', 'apple');
          const { id } = await session.addClass('theirs');
          await session.add(id, files(red, 'red'));
        }""",
        photos("red", 3),
    )
    rename = "() => caught(session.renameClass(session.classes[0].id, 'pear'))"
    assert two.evaluate(rename)["code"] == "E-STUDIO-033"
    assert two.evaluate("session.classes.map((c) => c.name)") == ["apple", "Class 2", "theirs"]
    assert two.evaluate(rename) == "no error"
    assert one.evaluate(STATE) == {"pear": 0, "Class 2": 0, "theirs": 3}


def test_what_another_tab_learns_while_this_one_exports_is_taken_up(page: Any, site: Site) -> None:
    one, two = entered(page, site), page.context.new_page()
    teach(one)
    entered(two, site)
    two.evaluate("async () => { globalThis.session = await open(); }")
    asked = list(photo("green", 5))
    two.evaluate(
        """async (asked) => {
          await session.predict(files([asked], 'asked')[0]);
          const photo = session.store.photo.bind(session.store);
          const gate = new Promise((go) => { globalThis.go = go; });
          session.store.photo = async (id) => { await gate; return photo(id); };
          globalThis.exporting = session.export('project');
        }""",
        asked,
    )
    one.evaluate("async () => { await session.train({ epochs: 3, learningRate: 0.1 }); }")
    two.wait_for_function("() => session.settings.epochs === 3")
    two.evaluate("async () => { go(); await exporting; }")
    want = one.evaluate(ANSWER, asked)["red"]
    two.wait_for_function(
        f"""async (want) => {{
          const answer = await ({ANSWER})({asked}).catch(() => null); // while it is taken up
          return answer && Math.abs(answer.red - want) < 1e-6;
        }}""",
        arg=want,
    )


# --- classes and folders -------------------------------------------------------------------------


def test_folders_of_odd_names_are_classes_of_their_own(bare: Any) -> None:
    found = bare.evaluate(
        """async (all) => {
          globalThis.session = await open();
          const of = (folder, bytes) => files(bytes, 'p').map((file) => Object.defineProperty(file,
            'webkitRelativePath', { value: `top/${folder}/${file.name}` }));
          // "Class 1" is a blank class, and a folder; the others are of one name but for its form.
          const given = [...of('Class 1', all.slice(0, 2)), ...of('dogs', all.slice(2, 4)),
            ...of('A\u0308pfel', all.slice(4, 6)), ...of('red  ones', all.slice(6, 8)),
            ...of('\u00c4pfel', all.slice(8, 9))];
          const { refused } = await session.add(null, given);
          return [refused.length, Object.fromEntries(session.classes.map(({ id, name }) =>
            [name, session.examples.filter((e) => e.class === id).length]))];
        }""",
        photos("red", 9),
    )
    assert found == [0, {"Class 1": 2, "dogs": 2, "\u00c4pfel": 3, "red ones": 2}]


def test_a_class_that_comes_while_photos_are_looked_at_is_learnt_or_none_is(bare: Any) -> None:
    teach(bare, epochs=1)
    found = bare.evaluate(
        """async (green) => {
          const added = new Promise((done) => session.addEventListener('features', async () => {
            const { id } = await session.addClass('late');
            done(await session.add(id, files(green, 'green')));
          }, { once: true }));
          session.add('red', files(green.slice(0, 3), 'more'));
          const training = session.train({ epochs: 2 });
          await added;
          const { report } = await training;
          const scores = (await session.predict(files(green, 'green')[0])).results;
          return [report.perClass.length, report.confusion.length, scores.length,
            scores.reduce((sum, one) => sum + one.score, 0)];
        }""",
        photos("green", 5, 900),
    )
    size = found[0]
    assert size in (2, 3) and found[1:3] == [size, size] and abs(found[3] - 1) < 1e-5


def test_undo_after_a_training_that_came_to_nothing(bare: Any) -> None:
    teach(bare)
    found = bare.evaluate(
        """async (green) => {
          const [file] = files([green], 'green');
          const of = async () => (await session.predict(file)).results
            .find((one) => one.label === 'blue').score;
          const before = await of();
          const { undo } = await session.correct(file, 'blue');
          const stopper = new AbortController();
          const code = await session.train({ epochs: 900 }, { signal: stopper.signal,
            onBatch: () => stopper.abort() }).then(() => 'done', (error) => error.name);
          return [code, await undo(), before, await of()];
        }""",
        list(photo("green", 5)),
    )
    assert found[:2] == ["AbortError", True] and abs(found[2] - found[3]) < 1e-6


# --- files of others -----------------------------------------------------------------------------


def test_models_that_are_taken_for_projects_are_named(bare: Any) -> None:
    model = json.dumps({"format": "layers-model", "modelTopology": {}}).encode()
    about = {"packageName": "@teachablemachine/image", "tmVersion": "2.4.7", "labels": ["a", "b"]}
    teachable = {"metadata.json": json.dumps(about).encode(), "weights.bin": bytes(64)}
    zips = [
        zipped({"model.json": model, **teachable}),
        zipped({"web/model.json": model, "web/group1-shard1of1.bin": bytes(64)}),
        zipped({"notes.txt": b"nothing"}),
    ]
    found = bare.evaluate(
        """async (zips) => {
          const session = globalThis.session = await open({ store: false });
          const told = [];
          for (const bytes of zips) {
            const file = new Blob([Uint8Array.from(bytes)]);
            const error = await session.importProject(file).catch((error) => error);
            told.push([error.code, error.reason, error.next]);
          }
          return told;
        }""",
        zips,
    )
    teachable_said, tfjs_said, other_said = found
    assert {code for code, *_ in found} == {"E-STUDIO-032"}
    assert "a model of Teachable Machine, and no project" in teachable_said[1]
    assert "a model of TensorFlow.js, and no project" in tfjs_said[1]
    for said in (teachable_said, tfjs_said):
        assert "fanlight studio --backbone FILE" in said[2] and "fanlight convert" in said[2]
    assert other_said[1] == "There is no project in this file." and "backbone" not in other_said[2]


def test_a_project_of_another_backbone_brings_its_photos(
    bare: Any, site: Site, folder: Path
) -> None:
    teach(bare, 6)
    data = bare.evaluate(
        "async () => [...new Uint8Array(await (await session.export('project')).arrayBuffer())]"
    )
    studio = json.loads((folder / "studio.json").read_text("utf-8"))
    studio["backbone"]["form"] = "another"
    site.pages["studio.json"] = json.dumps(studio)
    entered(bare, site)
    found = bare.evaluate(
        """async (bytes) => {
          const session = globalThis.session = await open({ store: false });
          const told = [];
          const tell = ({ detail: { code, next } }) => told.push([code, next]);
          session.addEventListener('problem', tell);
          const { name } = await session.importProject(new Blob([Uint8Array.from(bytes)]));
          const here = [name, session.classes.map((c) => c.name), session.examples.length,
            session.trained, session.problem];
          const run = await session.train({ epochs: 4 });
          const { waiting, trained } = session;
          return { told, here, waiting, count: run.examples, trained };
        }""",
        data,
    )
    assert found["told"] == [["E-STUDIO-034", "train again"]]
    assert found["here"] == ["My project", ["red", "blue"], 12, False, None]
    assert found["waiting"] == 0 and found["count"] >= 10 and found["trained"]
