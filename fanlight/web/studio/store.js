import { openDB } from 'idb';
import { FanlightError, fail, said } from '../runtime/errors.js';
import { merged } from './merge.js';
/**
 * @import { Example, NewExample, Project } from './types.js'
 * @import { DBSchema, IDBPDatabase, IDBPTransaction } from 'idb'
 * @typedef {{ projects: { key: string, value: Project & { draft?: boolean } },
 *   examples: { key: string, value: Example }, photos: { key: string, value: Blob },
 *   thumbs: { key: string, value: { type: string, bytes: ArrayBuffer } },
 *   features: { key: [string, string], value: Float32Array },
 *   heads: { key: [string, string], value: Uint8Array } }} Tables
 * @typedef {Tables & DBSchema} Schema
 * @typedef {'projects' | 'examples' | 'photos' | 'thumbs' | 'features' | 'heads'} Name
 * @typedef {IDBPTransaction<Schema, Name[], 'readwrite'>} Writing
 * @typedef {{ project: string, kind: 'project' | 'examples' | 'features' | 'head' | 'removed' }} Change
 */

/** Of the layout of a project; one of a higher version is from a newer Studio. */
export const VERSION = 1;

/**
 * Of the database: as many steps as there are here. Step n makes layout n + 1 of layout n, in the
 * transaction that opens it; a step that visitors may have taken is never changed.
 * @type {((db: IDBPDatabase<Schema>) => void)[]}
 */
const STEPS = [
  (db) => {
    db.createObjectStore('projects', { keyPath: 'id' });
    // Without photos, so that all of a project are listed at once. The id of an example begins with
    // its project's: what belongs to a project is one range of each table.
    db.createObjectStore('examples', { keyPath: 'id' });
    db.createObjectStore('photos');
    db.createObjectStore('thumbs');
    db.createObjectStore('features'); // [example, form of the backbone]
    db.createObjectStore('heads'); // [project, which]
  },
];

/** @type {Name[]} */
const ALL = ['projects', 'examples', 'photos', 'thumbs', 'features', 'heads'];
const DRAFT_MS = 36e5; // an import that nothing was added to for so long was given up
const BLOCKED_MS = 5000; // other tabs let go of an older database at once, or not at all

/** The keys of what belongs to a project. @param {string} project */
const within = (project) => IDBKeyRange.bound(`${project}.`, `${project}/`);
/** @param {string} project */
const pairsWithin = (project) => IDBKeyRange.bound([`${project}.`], [`${project}/`]);
/** All second parts of a key of two. @param {string} first */
const pairsOf = (first) => IDBKeyRange.bound([first], [first, []]);
/** @param {string} id */
const owner = (id) => id.slice(0, id.lastIndexOf('.'));

/** @param {number} length */
const random = (length) => Array.from(crypto.getRandomValues(new Uint8Array(length)), (byte) => (
  (byte % 36).toString(36))).join('');

/**
 * A view of a larger buffer would be kept with all of that buffer.
 * @template {Float32Array | Uint8Array} T @param {T} view @returns {T}
 */
const own = (view) => (view.byteLength === view.buffer.byteLength ? view : /** @type {T} */ (view.slice()));

let count = 0;
/** Ids sort as they were given. @param {string} project @param {number} now */
const newId = (project, now) => {
  count = (count + 1) % 36 ** 4;
  return `${project}.${now.toString(36).padStart(9, '0')}${count.toString(36).padStart(4, '0')}${random(4)}`;
};

/** What is asked of a transaction fails with it: who awaits its end hears why. @param {Promise<unknown>} asked */
const ask = (asked) => {
  asked.catch(() => {});
};

/**
 * What Studio keeps in this browser (IndexedDB): projects, their photos, features and heads. Each
 * method that changes something does all of it or nothing, whatever happens to the tab. Every one
 * rejects with a FanlightError: E-STUDIO-022 (no such thing), E-STUDIO-030 (storage is full or
 * refused), E-STUDIO-031 (of a newer Studio; never touched), E-STUDIO-033 (another tab was faster).
 */
export class Store {
  #name;
  /** @type {Promise<IDBPDatabase<Schema>> | undefined} */
  #opening;
  /** @type {FanlightError | undefined} */
  #closed;
  /** What this tab has seen last of each project. @type {Map<string, Project>} */
  #seen = new Map();
  /** @type {BroadcastChannel | undefined} */
  #channel;

  /** Told of what other tabs change. @type {((change: Change) => void) | null} */
  onchange = null;
  /** Told when the browser, or a newer Studio, has closed the database. @type {((problem: FanlightError) => void) | null} */
  onproblem = null;

  /** @param {string} name */
  constructor(name) {
    this.#name = name;
  }

  /** @param {{ name?: string }} [options] the name of the database @returns {Promise<Store>} */
  static async open({ name = 'fanlight-studio' } = {}) {
    const store = new Store(name);
    await store.#database();
    try {
      store.#channel = new BroadcastChannel(name);
      store.#channel.onmessage = ({ data }) => store.onchange?.(data);
    } catch {
      // A page that may have no channel hears of other tabs when it saves.
    }
    await store.#sweep();
    return store;
  }

  /** @returns {Promise<Project[]>} the one changed last first; those of a newer Studio have a higher `version` */
  async projects() {
    const all = await this.#read((db) => db.getAll('projects'));
    return all.filter(({ draft }) => !draft).sort((a, b) => b.updated - a.updated);
  }

  /**
   * @param {string} name @param {Partial<Project>} [fields] what it has from the beginning
   * @param {{ draft?: boolean }} [options] draft: not listed until `finish`, and gone if that never comes
   * @returns {Promise<Project>}
   */
  async create(name, fields = {}, { draft = false } = {}) {
    const now = Date.now();
    /** @type {Project & { draft?: boolean }} */
    const project = {
      form: '', classes: [], settings: /** @type {any} */ ({}), runs: [],
      ...structuredClone(fields), version: VERSION, id: random(12), name, created: now, updated: now,
    };
    if (draft) project.draft = true;
    await this.#write(['projects'], async (tx) => ask(tx.objectStore('projects').put(project)));
    this.#tell(project.id, 'project');
    return this.#remember(project);
  }

  /** A draft is a project from now on. @param {string} id @returns {Promise<Project>} */
  async finish(id) {
    const project = await this.#change(id, [], (_, kept) => {
      delete kept.draft;
    });
    this.#tell(id, 'project');
    return this.#remember(project);
  }

  /** @param {string} id @returns {Promise<Project>} */
  async project(id) {
    const [kept, all] = await this.#read(async (db) => {
      const tx = db.transaction('projects');
      return Promise.all([tx.store.get(id), tx.store.count()]);
    });
    return this.#remember(this.#known(id, kept, all));
  }

  /**
   * Change fields of a project: `name`, `form`, `classes`, `settings`, `runs`. Photos of a class that is
   * no longer among `classes` go with it. What another tab has changed since this one last saw the
   * project is merged; E-STUDIO-033 where both changed the same thing (then nothing is changed).
   * @param {string} id @param {Partial<Project>} changes
   * @param {Project} [base] what the changes were made of; default: what this tab saw last
   * @returns {Promise<Project>} as it is now
   */
  async update(id, changes, base) {
    const project = await this.#change(id, changes.classes ? ['examples', 'photos', 'thumbs', 'features'] : [],
      (tx, kept) => this.#apply(tx, kept, changes, base));
    this.#tell(id, 'project');
    return this.#remember(project);
  }

  /** Remove a project and everything of it. @param {string} id */
  async remove(id) {
    await this.#write(ALL, async (tx) => {
      this.#known(id, await tx.objectStore('projects').get(id), 1);
      ask(tx.objectStore('projects').delete(id));
      for (const name of /** @type {const} */ (['examples', 'photos', 'thumbs'])) {
        ask(tx.objectStore(name).delete(within(id)));
      }
      ask(tx.objectStore('features').delete(pairsWithin(id)));
      ask(tx.objectStore('heads').delete(pairsOf(id)));
    });
    this.#seen.delete(id);
    this.#tell(id, 'removed');
  }

  /** All of a project, in the order they were added; no photos are read. @param {string} project @returns {Promise<Example[]>} */
  examples(project) {
    return this.#read((db) => db.getAll('examples', within(project)));
  }

  /**
   * Keep new photos: all of them or none.
   * @param {string} project
   * @param {(NewExample & { features?: Float32Array, form?: string })[]} items @returns {Promise<Example[]>}
   */
  async add(project, items) {
    // Whatever is not the database's own is waited for before: a transaction does not wait.
    const thumbs = await Promise.all(items.map(async ({ thumb }) => (
      { type: thumb.type, bytes: await thumb.arrayBuffer() })));
    const added = Date.now();
    const made = items.map((item) => {
      const { name, source, width, height, hash, held = false } = item;
      return { id: newId(project, added), project, class: item.class, name, added, width, height,
        bytes: item.blob.size, hash, source, held };
    });
    await this.#change(project, ['examples', 'photos', 'thumbs', 'features'], (tx, kept) => {
      for (const { class: id } of items) this.#class(kept, id);
      for (const [i, { blob, features, form }] of items.entries()) {
        const { id } = made[i];
        ask(tx.objectStore('examples').add(made[i]));
        ask(tx.objectStore('photos').add(blob, id));
        ask(tx.objectStore('thumbs').add(thumbs[i], id));
        if (features && form) ask(tx.objectStore('features').put(own(features), [id, form]));
      }
    });
    this.#tell(project, 'examples');
    return made;
  }

  /**
   * Move photos to a class, or hold them out. Those that another tab has deleted are passed over.
   * @param {string[]} ids @param {{ class?: string, held?: boolean }} fields
   * @returns {Promise<Example[]>} those that were changed
   */
  async change(ids, fields) {
    /** @type {Example[]} */
    const changed = [];
    await this.#each(ids, ['examples'], async (tx, kept, mine) => {
      if (fields.class !== undefined) this.#class(kept, fields.class);
      const examples = tx.objectStore('examples');
      for (const old of await Promise.all(mine.map((id) => examples.get(id)))) {
        if (!old) continue;
        const example = { ...old };
        if (fields.class !== undefined) example.class = fields.class;
        if (fields.held !== undefined) example.held = fields.held;
        ask(examples.put(example));
        changed.push(example);
      }
    });
    if (ids.length && !changed.length) none('example', ids[0]);
    return changed;
  }

  /** Delete photos with all that belongs to them; those already gone are passed over. @param {string[]} ids */
  async delete(ids) {
    await this.#each(ids, ['examples', 'photos', 'thumbs', 'features'], async (tx, _, mine) => {
      for (const id of mine) this.#drop(tx, id);
    });
  }

  /** The photo of an example, upright. @param {string} id @returns {Promise<Blob>} */
  async photo(id) {
    return (await this.#read((db) => db.get('photos', id))) ?? none('example', id);
  }

  /** A small picture of it. @param {string} id @returns {Promise<Blob>} */
  async thumb(id) {
    const { type, bytes } = (await this.#read((db) => db.get('thumbs', id))) ?? none('example', id);
    return new Blob([bytes], { type });
  }

  /**
   * @param {string} project @param {string} form of the backbone
   * @returns {Promise<Map<string, Float32Array>>} by example, of those that have been computed
   */
  features(project, form) {
    return this.#read(async (db) => {
      const tx = db.transaction('features');
      const keys = await tx.store.getAllKeys(pairsWithin(project));
      const own = keys.filter(([, of]) => of === form);
      // Rows are long, and heads that see with other layers have theirs beside: those are not read.
      const rows = own.length === keys.length ? await tx.store.getAll(pairsWithin(project))
        : await Promise.all(own.map((key) => tx.store.get(key)));
      /** @type {Map<string, Float32Array>} */
      const found = new Map();
      own.forEach(([example], i) => {
        const row = rows[i];
        if (row) found.set(example, row);
      });
      return found;
    });
  }

  /**
   * Keep features; those of examples that are gone are not kept.
   * @param {string} form @param {Map<string, Float32Array>} features
   */
  async putFeatures(form, features) {
    // They can be computed again, so the disk is not waited for.
    await this.#write(['examples', 'features'], async (tx) => {
      const ids = [...features.keys()];
      const there = await Promise.all(ids.map((id) => tx.objectStore('examples').getKey(id)));
      for (const id of there) {
        const row = id !== undefined && features.get(id);
        if (row) ask(tx.objectStore('features').put(own(row), [id, form]));
      }
    }, 'relaxed');
    for (const project of new Set([...features.keys()].map(owner))) this.#tell(project, 'features');
  }

  /** @param {string} project @param {string} key @returns {Promise<Uint8Array | undefined>} what was learnt */
  head(project, key) {
    return this.#read((db) => db.get('heads', [project, key]));
  }

  /** @param {string} project @returns {Promise<string[]>} the keys of the heads that there are */
  async headKeys(project) {
    return (await this.#read((db) => db.getAllKeys('heads', pairsOf(project)))).map(([, key]) => key);
  }

  /**
   * Keep what was learnt, and what the project says of it, in one. Without bytes: forget it.
   * @param {string} project @param {string} key @param {Uint8Array | undefined} bytes
   * @param {Partial<Project>} [changes] as of `update`: the runs @param {Project} [base] as of `update` @returns {Promise<Project>}
   */
  async putHead(project, key, bytes, changes = {}, base) {
    /** @type {Name[]} */
    const names = changes.classes ? ['examples', 'photos', 'thumbs', 'features'] : [];
    const kept = await this.#change(project, ['heads', ...names], async (tx, now) => {
      ask(bytes ? tx.objectStore('heads').put(own(bytes), [project, key]) : tx.objectStore('heads').delete([project, key]));
      return this.#apply(tx, now, changes, base);
    });
    this.#tell(project, 'head');
    return this.#remember(kept);
  }

  /**
   * Bytes of this site, not of one project; quota 0 where the browser does not say.
   * @returns {Promise<{ used: number, quota: number, persisted: boolean }>}
   */
  async usage() {
    const { usage = 0, quota = 0 } = (await navigator.storage?.estimate?.().catch(() => null)) ?? {};
    const persisted = (await navigator.storage?.persisted?.().catch(() => false)) ?? false;
    return { used: usage, quota, persisted };
  }

  /** Ask the browser not to clear this away when the disk gets full. @returns {Promise<boolean>} whether it promises */
  async persist() {
    return (await navigator.storage?.persist?.().catch(() => false)) ?? false;
  }

  /** Later calls reject. What was asked for before is still done. */
  close() {
    this.#closed ??= new FanlightError('E-STUDIO-023', 'The store was closed.', { next: 'open it again' });
    this.#channel?.close();
    this.#opening?.then((db) => db.close(), () => {});
  }

  // From here on: how it is done.

  /** @returns {Promise<IDBPDatabase<Schema>>} */
  #database() {
    if (this.#closed) return Promise.reject(this.#closed);
    this.#opening ??= this.#open().catch((error) => {
      this.#opening = undefined; // the next call tries again
      throw error;
    });
    return this.#opening;
  }

  /** @returns {Promise<IDBPDatabase<Schema>>} */
  #open() {
    return new Promise((resolve, reject) => {
      let late = false;
      // A policy may make it throw at once.
      const opening = Promise.resolve().then(() => openDB(this.#name, STEPS.length, {
        upgrade: (db, from) => STEPS.slice(from).forEach((step) => step(/** @type {any} */ (db))),
        blocked: () => setTimeout(() => {
          late = true;
          reject(new FanlightError('E-STUDIO-033', 'Another tab holds the projects of an older Studio.',
            { next: 'close the other tabs of this page, then reload this one' }));
        }, BLOCKED_MS),
        blocking: (_from, to) => this.#lose(to === null
          ? cleared() : newer(`layout ${to} of the database`), to !== null),
        terminated: () => this.#lose(new FanlightError('E-STUDIO-030', 'The browser has closed the database.',
          { next: 'go on: it is opened again; if that fails, export what was learnt, then reload the page' }), false),
      }));
      opening.then((db) => {
        if (late || this.#closed) db.close();
        else resolve(/** @type {any} */ (db));
      }, (error) => reject(this.#told(error)));
    });
  }

  /** @param {FanlightError} problem @param {boolean} forever */
  #lose(problem, forever) {
    this.#opening?.then((db) => db.close(), () => {});
    this.#opening = undefined;
    if (forever) this.#closed ??= problem;
    this.onproblem?.(problem);
  }

  /** @template T @param {(db: IDBPDatabase<Schema>) => Promise<T>} work @returns {Promise<T>} */
  async #read(work) {
    try {
      return await this.#twice(work);
    } catch (error) {
      throw this.#told(error);
    }
  }

  /**
   * Once more where the connection was closed under our feet.
   * @template T @param {(db: IDBPDatabase<Schema>) => Promise<T>} work @returns {Promise<T>}
   */
  async #twice(work) {
    const db = await this.#database();
    try {
      return await work(db);
    } catch (error) {
      if (/** @type {any} */ (error)?.name !== 'InvalidStateError') throw error;
      this.#opening = undefined;
      return work(await this.#database());
    }
  }

  /**
   * All that `work` asks for, or nothing. It may wait for requests of the transaction only.
   * @template T @param {Name[]} names @param {(tx: Writing) => Promise<T>} work
   * @param {'strict' | 'relaxed'} [durability] strict: on the disk when this resolves @returns {Promise<T>}
   */
  #write(names, work, durability = 'strict') {
    return this.#read(async (db) => {
      const tx = /** @type {Writing} */ (db.transaction(names, 'readwrite', { durability }));
      tx.done.catch(() => {}); // heard below
      try {
        const value = await work(tx);
        await tx.done;
        return value;
      } catch (error) {
        try {
          tx.abort();
        } catch {
          // it has failed by itself
        }
        throw error instanceof FanlightError ? error : tx.error ?? error;
      }
    });
  }

  /**
   * Change a project, and rows of it in other tables.
   * @param {string} id @param {Name[]} names
   * @param {(tx: Writing, kept: Tables['projects']['value']) => Project | void | Promise<Project | void>} work
   * changes `kept`, or gives what is to be kept instead
   * @returns {Promise<Project>}
   */
  #change(id, names, work) {
    return this.#write(['projects', ...names], async (tx) => {
      const projects = tx.objectStore('projects');
      const kept = this.#known(id, await projects.get(id), await projects.count());
      const next = (await work(tx, kept)) ?? kept;
      next.updated = Math.max(Date.now(), kept.updated + 1);
      ask(projects.put(next));
      return next;
    });
  }

  /**
   * Change examples of any projects, in one transaction.
   * @param {string[]} ids @param {Name[]} names
   * @param {(tx: Writing, kept: Project, mine: string[]) => Promise<void>} work
   */
  async #each(ids, names, work) {
    if (!ids.length) return;
    /** @type {Map<string, string[]>} */
    const of = new Map();
    for (const id of new Set(ids)) of.set(owner(id), [...(of.get(owner(id)) ?? []), id]);
    await this.#write(['projects', ...names], async (tx) => {
      const projects = tx.objectStore('projects');
      for (const [id, mine] of of) {
        const kept = this.#known(id, await projects.get(id), await projects.count());
        await work(tx, kept, mine);
        kept.updated = Math.max(Date.now(), kept.updated + 1);
        ask(projects.put(kept));
      }
    });
    for (const id of of.keys()) this.#tell(id, 'examples');
  }

  /** @param {Writing} tx @param {Project} now @param {Partial<Project>} changes @param {Project} [base] @returns {Promise<Project>} */
  async #apply(tx, now, changes, base = this.#seen.get(now.id) ?? now) {
    const { project, clash } = merged(base, now, structuredClone(changes));
    if (clash.length) {
      this.#remember(now);
      fail('E-STUDIO-033', 'Another tab has changed the project in another way.',
        { where: now.name, received: clash, next: 'look at what it is now, and change it again' });
    }
    const left = new Set(project.classes.map(({ id }) => id));
    if (changes.classes && now.classes.some(({ id }) => !left.has(id))) {
      for (const example of await tx.objectStore('examples').getAll(within(now.id))) {
        if (!left.has(example.class)) this.#drop(tx, example.id);
      }
    }
    return project;
  }

  /** @param {Writing} tx @param {string} id */
  #drop(tx, id) {
    for (const name of /** @type {const} */ (['examples', 'photos', 'thumbs'])) ask(tx.objectStore(name).delete(id));
    ask(tx.objectStore('features').delete(pairsOf(id)));
  }

  /**
   * @template {Project} T @param {string} id @param {T | undefined} kept @param {number} all how many there are
   * @returns {T}
   */
  #known(id, kept, all) {
    if (kept && kept.version > VERSION) throw newer(`version ${kept.version}`, kept.name);
    if (kept) return kept;
    const seen = this.#seen.get(id);
    if (!seen) return none('project', id);
    if (all) return fail('E-STUDIO-033', 'Another tab has removed the project.', { where: seen.name });
    throw cleared(seen.name);
  }

  /** @param {Project} kept @param {string} id */
  #class(kept, id) {
    if (kept.classes.some((info) => info.id === id)) return;
    const seen = this.#seen.get(kept.id)?.classes.find((info) => info.id === id);
    if (!seen) none('class', id);
    else fail('E-STUDIO-033', 'Another tab has removed the class.', { where: seen.name });
  }

  /** @param {Project} project @returns {Project} */
  #remember(project) {
    this.#seen.set(project.id, structuredClone(project));
    return project;
  }

  /** @param {string} project @param {Change['kind']} kind */
  #tell(project, kind) {
    try {
      this.#channel?.postMessage({ project, kind });
    } catch {
      // closed meanwhile: nobody listens
    }
  }

  /** Imports that were given up. */
  async #sweep() {
    const all = await this.#read((db) => db.getAll('projects'));
    for (const { id, draft, updated, version } of all) {
      if (!draft || version > VERSION || Date.now() - updated <= DRAFT_MS) continue;
      await this.remove(id).catch((error) => {
        if (!['E-STUDIO-022', 'E-STUDIO-033'].includes(error.code)) throw error; // another tab that begins was faster
      });
    }
  }

  /** What the browser says, as ours. @param {any} error @returns {Error} */
  #told(error) {
    if (error instanceof FanlightError) return error;
    const received = said(error) || error?.name;
    switch (error?.name) {
      case 'VersionError':
        return newer(received);
      case 'QuotaExceededError':
        return new FanlightError('E-STUDIO-030', 'The storage of this page is full.', {
          received, next: 'remove photos or projects, or export the project as a zip, then try again' });
      case 'DataCloneError':
        return new FanlightError('E-STUDIO-003', 'This cannot be kept.', { received });
      case 'NotReadableError':
        return new FanlightError('E-STUDIO-010', 'A photo cannot be read any more.', { received });
      default:
        return new FanlightError('E-STUDIO-030', 'The browser did not keep it.', {
          received, next: 'export the project as a zip; in a private window nothing is kept' });
    }
  }
}

/** @param {string} received @param {string} [where] */
const newer = (received, where) => new FanlightError('E-STUDIO-031', 'This was made by a newer Studio.', {
  where, expected: `version ${VERSION}`, received, next: 'reload the page to get the newer Studio; nothing was changed' });

/** Photos are in the database alone; a session still has the rest in memory. @param {string} [where] */
const cleared = (where) => new FanlightError('E-STUDIO-030', 'The browser has cleared what it kept of this page: the photos are gone.', {
  where, next: 'before you close the page, export the project: its classes and what it has learnt are still here; then import that file' });

/** @param {string} what @param {string} id @returns {never} */
const none = (what, id) => fail('E-STUDIO-022', `There is no such ${what}.`, { received: id });
