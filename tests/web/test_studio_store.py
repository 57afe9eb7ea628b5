"""What Studio keeps: whole or not at all, whatever happens to the disk or in another tab.

What happens when the tab dies is in test_studio_kills.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.web.server import Site
from tests.web.studio_lab import enter, lab

HELPERS = (Path(__file__).parent / "studio_store.js").read_text("utf-8")
NOTHING = dict.fromkeys(("projects", "examples", "photos", "thumbs", "features", "heads"), 0)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with lab(tmp_path_factory.mktemp("lab")) as site:
        yield site


def ready(page: Any, site: Site) -> Any:
    enter(page, site, "store")
    page.evaluate(f"() => {{ {HELPERS} }}")
    return page


@pytest.fixture
def tab(page: Any, site: Site) -> Any:
    """A page with `Store`, in a profile of its own."""
    return ready(page, site)


@pytest.fixture
def tabs(tab: Any, site: Site) -> tuple[Any, Any]:
    """Two pages of one profile that both have seen the project `id`, each with a `store`."""
    other = ready(tab.context.new_page(), site)
    tab.evaluate("async () => Object.assign(globalThis, await pets())")
    other.evaluate(
        """async (id) => {
          globalThis.id = id;
          globalThis.store = await Store.open();
          globalThis.told = [];
          store.onchange = (change) => told.push(change);
          await store.project(id);
        }""",
        tab.evaluate("() => id"),
    )
    return tab, other


def test_a_project_comes_back_as_it_was(tab: Any, site: Site) -> None:
    made = tab.evaluate("async () => { const { id, a, b } = await pets(); return { id, a, b }; }")
    ready(tab, site)  # a reload
    kept = tab.evaluate(
        """async (id) => {
          const store = await Store.open();
          const [listed] = await store.projects();
          const examples = await store.examples(id);
          const features = await store.features(id, 'f');
          const thumb = await store.thumb(examples[0].id);
          const photos = await Promise.all(examples.map(({ id }) => store.photo(id)));
          return { listed, examples, hashes: await Promise.all(photos.map(hashOf)),
            thumb: [thumb.size, thumb.type], type: photos[0].type,
            features: [...features].map(([id, row]) => [id, [...row]]),
            other: (await store.features(id, 'g')).size,
            head: [...await store.head(id, 'linear')], keys: await store.headKeys(id),
            no: await store.head(id, 'hidden') === undefined };
        }""",
        made["id"],
    )
    a, b = made["a"], made["b"]
    assert kept["listed"]["name"] == "Pets" and kept["listed"]["version"] == 1
    assert kept["listed"]["runs"] == [{"at": 1}]
    assert kept["examples"] == [a, b]
    assert (a["bytes"], b["bytes"], a["class"], b["class"]) == (1000, 2000, "cat", "dog")
    assert (a["held"], a["source"], a["width"], a["height"]) == (False, "file", 3, 2)
    assert kept["hashes"] == [a["hash"], b["hash"]]
    assert kept["thumb"] == [500, "image/jpeg"] and kept["type"] == "image/jpeg"
    assert kept["features"] == [[a["id"], [1, 2]], [b["id"], [3, 4]]] and kept["other"] == 0
    assert kept["head"] == [5, 6] and kept["keys"] == ["linear"] and kept["no"]


def test_features_of_other_heads_are_not_read(tab: Any) -> None:
    """They are long: a reload would take longer with each head that was ever tried."""
    found = tab.evaluate(
        """async () => {
          const { store, id, a, b } = await pets();
          const rows = (n) => new Map([a, b].map(({ id }, i) => [id, Float32Array.of(n, i + 1)]));
          const alone = [...await store.features(id, 'f')].map(([one, row]) => [one, row.length]);
          for (const n of [5, 6, 7]) await store.putFeatures(`g${n}`, rows(n));
          await store.putFeatures('g6', new Map([[a.id, Float32Array.of(9, 9)]]));
          let read = 0;
          for (const name of ['get', 'getAll']) {
            const asked = IDBObjectStore.prototype[name];
            IDBObjectStore.prototype[name] = function (...given) {
              const request = asked.apply(this, given);
              request.addEventListener('success', () => {
                read += [request.result].flat().length;
              });
              return request;
            };
          }
          const found = [...await store.features(id, 'g6')].map(([one, row]) => [one, [...row]]);
          const first = read;
          const none = (await store.features(id, 'h')).size;
          return { alone, found, read: first, ids: [a.id, b.id], none };
        }"""
    )
    a, b = found["ids"]
    assert found["alone"] == [[a, 2], [b, 2]] and found["none"] == 0
    assert found["found"] == [[a, [9, 9]], [b, [6, 2]]] and found["read"] == 2


def test_thousands_are_listed_in_the_order_they_came(tab: Any) -> None:
    """No photo is read for it: those of this project cannot be, and it does not matter."""
    names = tab.evaluate(
        """async () => {
          const { store, id } = await pets();
          const one = await shot('cat', 50);
          for (let i = 0; i < 20; i++) {
            const named = (_, n) => ({ ...one, name: `${i * 100 + n}` });
            await store.add(id, Array.from({ length: 100 }, named));
          }
          const db = await raw();
          await new Promise((resolve) => {
            const tx = db.transaction(['photos', 'thumbs'], 'readwrite');
            tx.objectStore('photos').clear();
            tx.objectStore('thumbs').clear();
            tx.oncomplete = resolve;
          });
          return (await store.examples(id)).map(({ name }) => name);
        }"""
    )
    assert names == ["a.jpg", "a.jpg", *(str(n) for n in range(2000))]


def test_a_removed_project_leaves_nothing(tab: Any) -> None:
    left = tab.evaluate(
        """async () => {
          const { store, id } = await pets();
          const other = await pets('Others');
          const both = await counts();
          await store.remove(id);
          const one = await counts();
          await store.remove(other.id);
          return [both, one, await counts(), (await caught(store.examples(id))),
            (await caught(store.project(id))).code];
        }"""
    )
    both, one, none, _, code = left
    assert both == {k: 2 if k in ("projects", "heads") else 4 for k in NOTHING}
    assert one == {k: n // 2 for k, n in both.items()}
    assert none == NOTHING
    assert code == "E-STUDIO-022"


def test_photos_are_moved_held_out_and_deleted(tab: Any) -> None:
    moved, gone, codes = tab.evaluate(
        """async () => {
          const { store, id, a, b } = await pets();
          await store.change([a.id, `${id}.gone`], { class: 'dog', held: true });
          const moved = await store.examples(id);
          await store.delete([a.id, a.id, `${id}.gone`]);
          return [moved, [await store.examples(id), await counts()], [
            (await caught(store.photo(a.id))).code, (await caught(store.thumb(a.id))).code,
            (await caught(store.change([a.id], { held: false }))).code,
            (await caught(store.change([b.id], { class: 'bird' }))).code,
            (await caught(store.add(id, [await shot('bird')]))).code,
            (await caught(store.add('nobody', [await shot('cat')]))).code,
            (await caught(store.change(['other.1'], { held: true }))).code]];
        }"""
    )
    assert [(e["class"], e["held"]) for e in moved] == [("dog", True), ("dog", False)]
    examples, counts = gone
    assert examples == [moved[1]]
    assert counts == dict.fromkeys(NOTHING, 1)
    assert codes == ["E-STUDIO-022"] * 7


def test_a_removed_class_takes_its_photos_along(tab: Any) -> None:
    examples, counts, classes = tab.evaluate(
        """async () => {
          const { store, id } = await pets();
          const { classes } = await store.update(id, { classes: [dog] });
          return [await store.examples(id), await counts(), classes];
        }"""
    )
    assert [e["class"] for e in examples] == ["dog"]
    assert counts == dict.fromkeys(NOTHING, 1)
    assert [c["id"] for c in classes] == ["dog"]


def test_all_or_none_of_an_addition(tab: Any) -> None:
    error, before, after = tab.evaluate(
        """async () => {
          const { store, id } = await pets();
          const before = [await counts(), await store.project(id)];
          const bad = { ...await shot('cat'), blob: () => 0 };
          const error = await caught(store.add(id, [await shot('cat'), bad, await shot('cat')]));
          return [error, before, [await counts(), await store.project(id)]];
        }"""
    )
    assert error["code"] == "E-STUDIO-003"
    assert before == after


def test_features_of_deleted_photos_are_not_kept(tab: Any) -> None:
    assert tab.evaluate(
        """async () => {
          const { store, id, a, b } = await pets();
          await store.delete([a.id]);
          const row = Float32Array.of(7);
          await store.putFeatures('f', new Map([[a.id, row], [b.id, row]]));
          const found = await store.features(id, 'f');
          return [[...found.keys()].length, found.get(b.id)[0], (await counts()).features];
        }"""
    ) == [1, 7, 1]


def test_a_view_is_kept_without_what_it_is_a_view_of(tab: Any) -> None:
    assert tab.evaluate(
        """async () => {
          const { store, id, a } = await pets();
          const all = Float32Array.from({ length: 1000 }, (_, i) => i);
          const bytes = new Uint8Array(all.buffer, 4, 8);
          await store.putFeatures('f', new Map([[a.id, all.subarray(3, 5)]]));
          await store.putHead(id, 'linear', bytes);
          const row = (await store.features(id, 'f')).get(a.id);
          const head = await store.head(id, 'linear');
          const same = String(head) === String(bytes);
          return [[...row], row.buffer.byteLength, same, head.buffer.byteLength];
        }"""
    ) == [[3, 4], 8, True, 8]


def test_a_draft_is_listed_once_it_is_finished(tab: Any) -> None:
    """An import that was cut off leaves nothing for long."""
    listed = tab.evaluate(
        """async () => {
          const store = await Store.open();
          const project = await store.create('Came in', { classes: [cat] }, { draft: true });
          await store.add(project.id, [await shot('cat')]);
          const during = (await store.projects()).length;
          const cut = await store.create('Cut off', { classes: [cat] }, { draft: true });
          await store.add(cut.id, [await shot('cat')]);
          await put('projects', { ...await get('projects', cut.id), updated: Date.now() - 4e6 });
          await store.finish(project.id);
          store.close();
          const again = await Store.open();
          return [during, (await again.projects()).map(({ name, draft }) => [name, draft]),
            await counts(), (await caught(store.projects())).code];
        }"""
    )
    one = {"projects": 1, "examples": 1, "photos": 1, "thumbs": 1, "features": 0, "heads": 0}
    assert listed == [0, [["Came in", None]], one, "E-STUDIO-023"]


def test_a_project_of_a_newer_studio_is_left_alone(tab: Any) -> None:
    codes, kept, listed = tab.evaluate(
        """async () => {
          const { store, id, a } = await pets();
          const project = { ...await get('projects', id), version: 2, later: 'field' };
          await put('projects', project);
          const before = await counts();
          const codes = [];
          for (const work of [
              store.project(id), store.update(id, { name: 'x' }), store.remove(id),
              store.add(id, [await shot('cat')]), store.change([a.id], { held: true }),
              store.delete([a.id]), store.finish(id),
              store.putHead(id, 'linear', Uint8Array.of(1))]) {
            codes.push((await caught(work)).code);
          }
          const same = JSON.stringify(await get('projects', id)) === JSON.stringify(project);
          return [codes, same && JSON.stringify(before) === JSON.stringify(await counts()),
            (await store.projects()).map(({ name, version }) => [name, version])];
        }"""
    )
    assert codes == ["E-STUDIO-031"] * 8
    assert kept
    assert listed == [["Pets", 2]]


def test_a_database_of_a_newer_studio_is_left_alone(tab: Any) -> None:
    """It opens in another tab while this one has the older database open."""
    told, later, fresh = tab.evaluate(
        """async () => {
          const { store } = await pets();
          const told = new Promise((resolve) => { store.onproblem = resolve; });
          (await raw(99)).close();
          const errors = [await told, await caught(store.projects()), await caught(Store.open())];
          return errors.map(({ code }) => code);
        }"""
    )
    assert [told, later, fresh] == ["E-STUDIO-031"] * 3


def test_an_older_tab_that_does_not_let_go(tab: Any) -> None:
    error = tab.evaluate(
        """async () => {
          await raw(1); // and keep it, deaf to versionchange
          const open = IDBFactory.prototype.open;
          IDBFactory.prototype.open = function (name, version) {
            return open.call(this, name, version + 1);
          };
          return caught(Store.open());
        }"""
    )
    assert error["code"] == "E-STUDIO-033" and "close the other tabs" in error["next"]


def test_a_full_disk_changes_nothing(page: Any, site: Site) -> None:
    # Before the database is first opened: from then on the browser remembers how much there is.
    cdp = page.context.new_cdp_session(page)
    quota = {"origin": site.url.rstrip("/"), "quotaSize": 10_000_000}
    cdp.send("Storage.overrideQuotaForOrigin", quota)
    ready(page, site)
    page.evaluate("async () => Object.assign(globalThis, await pets())")
    state = "async () => [await counts(), await store.project(id)]"
    before = page.evaluate(state)
    add = "async (size) => caught(store.add(id, [await shot('cat', 10), await shot('dog', size)]))"
    error = page.evaluate(add, 30_000_000)
    assert (error["code"], error["reason"]) == ("E-STUDIO-030", "The storage of this page is full.")
    assert "zip" in error["next"] and error["received"] == "QuotaExceededError"
    head = "async () => caught(store.putHead(id, 'linear', new Uint8Array(3e7), { runs: [] }))"
    assert page.evaluate(head)["code"] == "E-STUDIO-030"
    assert page.evaluate(state) == before
    assert page.evaluate("async () => [...await store.head(id, 'linear')]") == [5, 6]
    # What is not too much is still kept.
    assert page.evaluate(add, 100_000) == "no error"
    assert page.evaluate("async () => (await store.examples(id)).length") == 4


def test_where_nothing_can_be_kept(tab: Any) -> None:
    """A policy or a private window: the browser refuses the database."""
    error = tab.evaluate(
        """() => {
          IDBFactory.prototype.open = () => { throw new DOMException('no', 'SecurityError'); };
          return caught(Store.open());
        }"""
    )
    assert error["code"] == "E-STUDIO-030" and "private window" in error["next"]


def test_storage_that_the_browser_clears(tab: Any, site: Site) -> None:
    tab.evaluate("async () => Object.assign(globalThis, await pets())")
    tab.evaluate("() => { store.onproblem = ({ code }) => { globalThis.problem = code; }; }")
    cdp = tab.context.new_cdp_session(tab)
    origin = site.url.rstrip("/")
    cdp.send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": "indexeddb"})
    tab.wait_for_function("() => globalThis.problem")
    assert tab.evaluate("() => problem") == "E-STUDIO-030"
    error = tab.evaluate("() => caught(store.update(id, { name: 'Mine' }))")
    assert error["code"] == "E-STUDIO-030" and "cleared" in error["reason"]
    # And it goes on.
    assert tab.evaluate("async () => (await store.create('New')).name") == "New"


def test_what_is_used_and_whether_it_stays(tab: Any) -> None:
    used, answers, asked = tab.evaluate(
        """async () => {
          const { store, id } = await pets();
          await store.add(id, [await shot('cat', 3e6)]);
          const used = await store.usage();
          const no = async () => { throw new Error('no'); };
          const says = [async () => true, async () => false, no];
          let asked = 0;
          const answers = [];
          for (const say of says) {
            navigator.storage.persist = () => {
              asked++;
              return say();
            };
            answers.push(await store.persist());
          }
          navigator.storage.persisted = says[0];
          return [used, [...answers, (await store.usage()).persisted], asked];
        }"""
    )
    assert used["used"] > 3e6 and used["quota"] > used["used"] and used["persisted"] is False
    assert asked == 3 and answers == [True, False, False, True]


def test_two_tabs_add_photos_and_none_is_lost(tabs: tuple[Any, Any]) -> None:
    one, two = tabs
    work = """(of) => {
      globalThis.adding = (async () => {
        for (let i = 0; i < 25; i++) await store.add(id, [await shot(of), await shot(of)]);
      })();
    }"""
    one.evaluate(work, "cat")
    two.evaluate(work, "dog")
    one.evaluate("() => adding")
    two.evaluate("() => adding")
    for tab in tabs:
        classes = tab.evaluate("async () => (await store.examples(id)).map((e) => e.class)")
        assert (classes.count("cat"), classes.count("dog")) == (51, 51)
    two.wait_for_function("() => told.length >= 25")
    told = two.evaluate("() => [told[0], id]")
    assert told[0] == {"project": told[1], "kind": "examples"}


def test_what_two_tabs_change_is_merged(tabs: tuple[Any, Any]) -> None:
    """Each changes what it saw at first; neither looks again before."""
    one, two = tabs
    one.evaluate(
        """() => store.update(id, { name: 'Pets 2', settings: { epochs: 5, seed: 1 },
          classes: [{ ...cat, name: 'Kitten' }, dog, { id: 'x', name: 'Bird', color: '#000000' }],
          runs: [{ at: 1 }, { at: 2 }] })"""
    )
    merged = two.evaluate(
        """() => store.update(id, { form: 'g', settings: { seed: 2 },
          classes: [cat, { ...dog, color: '#ffffff' }, { id: 'y', name: 'bird', color: '#000000' }],
          runs: [{ at: 1 }, { at: 3 }] })"""
    )
    assert merged["name"] == "Pets 2" and merged["form"] == "g"
    assert merged["settings"] == {"epochs": 5, "seed": 2}
    assert merged["runs"] == [{"at": 1}, {"at": 2}, {"at": 3}]
    assert [(c["id"], c["name"], c["color"]) for c in merged["classes"]] == [
        ("cat", "Kitten", "#112233"),
        ("dog", "Dog", "#ffffff"),
        ("y", "bird", "#000000"),
        ("x", "Bird 2", "#000000"),
    ]


def test_what_cannot_be_merged_is_told(tabs: tuple[Any, Any]) -> None:
    one, two = tabs
    rename = "(name) => caught(store.update(id, { classes: [{ ...cat, name }, dog] }))"
    assert one.evaluate(rename, "Kitten") == "no error"
    error = two.evaluate(rename, "Tiger")
    assert error["code"] == "E-STUDIO-033" and "the name of Kitten" in error["received"]
    name = "async () => (await store.project(id)).classes[0].name"
    assert two.evaluate(name) == "Kitten"
    # It has seen it now, so the second time is meant.
    assert two.evaluate(rename, "Tiger") == "no error"
    assert one.evaluate(name) == "Tiger"


def test_a_class_or_project_that_another_tab_removed(tabs: tuple[Any, Any]) -> None:
    one, two = tabs
    one.evaluate("() => store.update(id, { classes: [dog] })")
    error = two.evaluate("async () => caught(store.add(id, [await shot('cat')]))")
    assert error["code"] == "E-STUDIO-033" and "class" in error["reason"]
    # Changing something else does not bring it back.
    kept = two.evaluate("() => store.update(id, { classes: [cat, { ...dog, name: 'Hound' }] })")
    assert [c["name"] for c in kept["classes"]] == ["Hound"]
    one.evaluate("async () => { await store.create('Another'); await store.remove(id); }")
    error = two.evaluate("async () => caught(store.add(id, [await shot('dog')]))")
    assert error["code"] == "E-STUDIO-033" and error["where"] == "Pets"
    two.wait_for_function("() => told.some(({ kind }) => kind === 'removed')")
