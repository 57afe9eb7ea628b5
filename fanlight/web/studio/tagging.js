import { FanlightError } from '../runtime/errors.js';
import { csv } from './csv.js';
import { isOurs, sidecar, sidecarPaths, xmlText } from './xmp.js';
/**
 * @import { Answer, ClassInfo } from './types.js'
 * @typedef {{ predict: (photo: Blob) => Promise<Answer>, classes: ClassInfo[], project: { id: string } }} Classifier
 * @typedef {{ file: File, path: string }} Found
 * @typedef {{ written: number, removed: number, kept: string[], missing: string[] }} Written
 * @typedef {{ photo: string, path: string, text: string | null }} Sidecar text: null where the photo has no tag
 */

/** More photos than a table of one folder should hold. */
export const MOST_PHOTOS = 50_000;
/** Between two looks at whether the classifier has time for the next photo. */
const WAIT_MS = 300;
/** Nothing is wrong with the photo: the classifier is at other work, or has to learn first. */
const LATER = ['E-STUDIO-023', 'E-STUDIO-024'];
const IMAGE = /\.(jpe?g|png|webp|gif|bmp|avif|heic|heif|tiff?)$/i;

/**
 * A photo of the table.
 * @typedef {object} Row
 * @property {number} id
 * @property {File} file
 * @property {string} path where it was, below the folder that was given: `beach/IMG_1.jpg`
 * @property {'waiting' | 'done' | 'refused'} state
 * @property {string | null} said the class (its id) that the model finds likeliest; null: one that is gone
 * @property {number} score how sure it is of that, 0 to 1
 * @property {boolean} sure
 * @property {string | null} tag the class (its id) that it is tagged with; null: not sure
 * @property {boolean} corrected by a person
 * @property {FanlightError | null} error why it could not be read
 */

/** The tables of a session, by the ids of their projects. @type {WeakMap<object, Map<string, Tagging>>} */
const tables = new WeakMap();

/**
 * Tags photos with what a model says, one after the other: `add`, `correct`, then `csv`, `json` or `sidecars`.
 * Photos stay files on the disk; only what is looked at is read. Says 'change' whenever rows have changed.
 *
 * Tags are classes of one project. A table outlives the element that shows it; photos are answered while it is shown
 * and its project is the one that is open. The tag of a class that was removed becomes none: see `lost`.
 */
export class Tagging extends EventTarget {
  /** @type {Row[]} */
  rows = [];
  /** Where all the photos are, to write beside them. @type {FileSystemDirectoryHandle | null} */
  folder = null;
  /** What is done with the table now, in words; '' for nothing. */
  doing = '';
  /** What became of side-cars. @type {Written | null} */
  written = null;
  /** Whether the classifier was trained after it gave these answers. */
  stale = false;
  /** Names of classes that were removed, and how many photos had them as their tag. @type {Map<string, number>} */
  lost = new Map();
  #classifier;
  #project;
  /** What the classes are called, by their ids. @type {Map<string, string>} */
  #names;
  #next = 0;
  #count = 0;
  /** Milliseconds that all answers took. */
  #spent = 0;
  /** Rows before it are answered. */
  #at = 0;
  /** Counted up where answers that are on their way are of no use any more. */
  #round = 0;
  #batches = 0;
  #running = false;
  #paused = false;
  #shown = false;
  #later = false;

  /** @param {Classifier} classifier a session, or what answers like one: its project is the table's */
  constructor(classifier) {
    super();
    this.#classifier = classifier;
    this.#project = classifier.project.id;
    this.#names = new Map(classifier.classes.map(({ id, name }) => [id, name]));
  }

  /** The table of the project that is open in a session. @param {Classifier & EventTarget} session */
  static of(session) {
    const all = tables.get(session) ?? new Map();
    tables.set(session, all);
    const { id } = session.project;
    /** @type {Tagging} */
    const own = all.get(id) ?? new Tagging(session);
    if (!all.has(id)) {
      all.set(id, own);
      session.addEventListener('change', () => own.#renew());
      session.addEventListener('trained', () => own.#learnt());
    }
    return own;
  }

  /** Whether its project is the one that is open. */
  get #here() { return this.#classifier.project.id === this.#project; }

  /** Where classes were removed, their tags name nothing any more. */
  #renew() {
    if (!this.#here) return;
    const now = new Map(this.#classifier.classes.map(({ id, name }) => [id, name]));
    const before = this.#names;
    this.#names = now;
    if ([...before.keys()].every((id) => now.has(id))) return;
    for (const row of this.rows) {
      if (row.said !== null && !now.has(row.said)) Object.assign(row, { said: null, score: 0, sure: false });
      if (row.tag === null || now.has(row.tag)) continue;
      const name = before.get(row.tag) ?? '';
      this.lost.set(name, (this.lost.get(name) ?? 0) + 1);
      Object.assign(row, { tag: null, corrected: false });
    }
    this.#tell();
  }

  #learnt() {
    if (!this.#here || !this.#count) return;
    this.stale = true;
    this.#tell();
  }

  /** A class that there is, else none. @param {string | null} id */
  #known(id) { return id !== null && this.#classifier.classes.some((c) => c.id === id) ? id : null; }

  /** How many have their answer. */
  get done() { return this.#count; }

  /** Seconds until all have their answer, as fast as it was up to now. */
  get left() { return this.#count ? this.#spent / 1000 / this.#count * (this.rows.length - this.#count) : 0; }

  get busy() { return this.#running; }

  /** Whether it waits until the classifier is done with other work, or has learnt. */
  get later() { return this.#later; }

  /** How many times photos were added: of one, all paths begin in one folder. */
  get batches() { return this.#batches; }

  get paused() { return this.#paused; }

  #tell() {
    this.dispatchEvent(new Event('change'));
  }

  /**
   * Take up photos; their answers come by and by. Where a second folder has names of the first, its paths begin
   * with a number.
   * @param {Iterable<Found>} found
   * @returns {{ added: number, other: number, again: number }} other: files that are no photos; again: photos
   *   that were there already
   * @throws {FanlightError} E-STUDIO-013 no photos at all, E-STUDIO-011 more than a table holds
   */
  add(found) {
    const all = [...found];
    const known = new Map(this.rows.map((row) => [row.path, row.file]));
    const same = (/** @type {File} */ a, /** @type {File | undefined} */ b) => a.size === b?.size && a.lastModified === b.lastModified;
    const photos = all.filter(({ file }) => file.type.startsWith('image/') || IMAGE.test(file.name));
    const fresh = photos.filter(({ file, path }) => !same(file, known.get(path)));
    if (!photos.length) {
      throw new FanlightError('E-STUDIO-013', 'There are no photos in what you gave.', {
        expected: 'JPEG, PNG, WebP or other pictures', received: `${all.length} other files`, next: 'choose a folder with photos',
      });
    }
    if (this.rows.length + photos.length > MOST_PHOTOS) {
      throw new FanlightError('E-STUDIO-011', 'These are more photos than one table holds.', {
        expected: `at most ${MOST_PHOTOS}`, received: String(this.rows.length + photos.length), next: 'take one folder after the other',
      });
    }
    if (fresh.length) this.#batches++;
    const before = fresh.some(({ path }) => known.has(path)) ? `${this.#batches}/` : '';
    for (const { file, path } of fresh) {
      this.rows.push({
        id: this.#next++, file, path: before + path, state: 'waiting', said: null, score: 0, sure: false, tag: null, corrected: false, error: null,
      });
    }
    this.#tell();
    this.#run();
    return { added: fresh.length, other: all.length - photos.length, again: photos.length - fresh.length };
  }

  async #run() {
    if (this.#running) return;
    this.#running = true;
    try {
      while (this.#shown && !this.#paused && this.#here && this.#at < this.rows.length) {
        if (await this.#answer(this.rows[this.#at])) this.#at++;
        this.#tell();
        if (this.#later) await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
      }
    } finally {
      this.#running = false;
      this.#later = false;
      this.#tell();
    }
  }

  /** @param {Row} row @returns {Promise<boolean>} whether it has its answer; else it is asked another time */
  async #answer(row) {
    const round = this.#round;
    const begun = performance.now();
    /** @type {Answer | undefined} */
    let answer;
    /** @type {any} */
    let error;
    try {
      answer = await this.#classifier.predict(row.file);
    } catch (thrown) {
      error = thrown;
    }
    this.#later = LATER.includes(error?.code);
    // It may be the answer of another project, or to rows that were taken away meanwhile.
    if (this.#later || !this.#here || round !== this.#round) return false;
    if (answer) {
      const { results: [best], sure } = answer;
      const said = this.#known(best.class);
      Object.assign(row, { state: 'done', said, score: said === null ? 0 : best.score, sure: sure && said !== null });
      if (!row.corrected) row.tag = sure ? said : null;
    } else {
      Object.assign(row, {
        state: 'refused',
        error: error?.name === 'FanlightError' ? error
          : new FanlightError('E-STUDIO-010', 'This photo cannot be read.', { where: row.path, received: String(error) }),
      });
    }
    this.#count++;
    this.#spent += performance.now() - begun;
    return true;
  }

  /** Somebody looks at the table: photos that have no answer yet get one. */
  show() {
    this.#shown = true;
    this.#run();
  }

  /** Nobody looks at it any more. */
  hide() {
    this.#shown = false;
  }

  /** Remember something for whoever shows it. @param {Partial<Pick<Tagging, 'folder' | 'doing' | 'written'>>} changes */
  note(changes) {
    Object.assign(this, changes);
    this.#tell();
  }

  /** What became of removed classes was read. */
  seen() {
    this.lost.clear();
    this.#tell();
  }

  /** Wait with what has no answer yet, or go on. */
  pause() {
    this.#paused = true;
    this.#tell();
  }

  resume() {
    this.#paused = false;
    this.#run();
  }

  /** Everything is asked again, as of a model that has learnt more; corrections stay. */
  again() {
    this.#begin();
    for (const row of this.rows) Object.assign(row, { state: 'waiting', error: null });
    this.resume();
  }

  clear() {
    this.rows = [];
    this.#begin();
    this.#batches = 0;
    this.#paused = false;
    this.lost.clear();
    this.note({ folder: null, written: null });
  }

  #begin() {
    this.#round++;
    this.#at = 0;
    this.#count = 0;
    this.#spent = 0;
    this.stale = false;
  }

  /**
   * Say what photos are. @param {Iterable<number>} ids of rows @param {string | null} tag a class; null: none
   * @returns {() => void} takes it back
   */
  correct(ids, tag) {
    const wanted = new Set(ids);
    const before = this.rows.filter(({ id, state }) => wanted.has(id) && state !== 'refused')
      .map((row) => ({ row, tag: row.tag, corrected: row.corrected }));
    for (const { row } of before) Object.assign(row, { tag: this.#known(tag), corrected: true });
    this.#tell();
    return () => {
      // A class may have been removed since.
      for (const { row, ...was } of before) Object.assign(row, was, { tag: this.#known(was.tag) });
      this.#tell();
    };
  }

  /** The name of a class. @param {string | null} id */
  nameOf(id) {
    return this.#classifier.classes.find((c) => c.id === id)?.name ?? '';
  }

  /** Rows that have an answer, as plain data: one object each. */
  records() {
    return this.rows.filter(({ state }) => state === 'done').map((row) => ({
      file: row.path,
      tag: this.nameOf(row.tag) || null,
      score: Math.round(row.score * 1e4) / 1e4,
      said: this.nameOf(row.said) || null,
      corrected: row.corrected,
    }));
  }

  /** As a table: file, tag, score, what the model said, whether a person corrected it. */
  csv() {
    return csv([
      ['file', 'tag', 'score', 'said', 'corrected'],
      ...this.records().map(({ file, tag, score, said, corrected }) => [file, tag, score, said, corrected ? 'yes' : 'no']),
    ]);
  }

  json() {
    return `${JSON.stringify({ version: 1, tool: 'Fanlight Studio', photos: this.records() }, null, 1)}\n`;
  }

  /** Side-cars of all photos that have their answer: path and text. @param {Date} [at] @returns {Sidecar[]} */
  sidecars(at = new Date()) {
    const paths = sidecarPaths(this.rows.map(({ path }) => path));
    return this.rows.flatMap(({ tag, path, state }, i) => {
      const name = this.nameOf(tag);
      const text = xmlText(name).trim() ? sidecar([name], { at }) : null;
      return text || state === 'done' ? [{ photo: path, path: paths[i], text }] : [];
    });
  }
}

/**
 * Write side-cars beside their photos. One that another program, or a person, wrote or changed stays as it is; one of
 * ours goes where its photo has no tag any more.
 * @param {FileSystemDirectoryHandle} folder the one that the photos' paths begin in
 * @param {Sidecar[]} sidecars
 * @param {(done: number, count: number) => void} [onProgress]
 * @returns {Promise<Written>} kept: paths of files of others, missing: photos that are not in this folder
 */
export async function writeBeside(folder, sidecars, onProgress) {
  /** @type {Written} */
  const said = { written: 0, removed: 0, kept: [], missing: [] };
  for (const [i, { photo, path, text }] of sidecars.entries()) {
    const at = await folderOf(folder, photo);
    const name = /** @type {string} */ (path.split('/').pop());
    const there = at && await handle(at, /** @type {string} */ (photo.split('/').pop()));
    const old = there && await handle(at, name);
    const ours = old && isOurs(await (await old.getFile()).text());
    if (!there) {
      if (text !== null) said.missing.push(photo);
    } else if (text === null) {
      if (ours) {
        await at.removeEntry(name);
        said.removed++;
      }
    } else if (old && !ours) said.kept.push(path);
    else {
      const file = await (await at.getFileHandle(name, { create: true })).createWritable();
      await file.write(text);
      await file.close();
      said.written++;
    }
    onProgress?.(i + 1, sidecars.length);
  }
  return said;
}

/** @param {FileSystemDirectoryHandle} folder @param {string} path */
async function folderOf(folder, path) {
  /** @type {FileSystemDirectoryHandle | null} */
  let at = folder;
  for (const name of path.split('/').slice(0, -1)) {
    try {
      at = await at.getDirectoryHandle(name);
    } catch {
      return null;
    }
  }
  return at;
}

/** @param {FileSystemDirectoryHandle} folder @param {string} name */
const handle = (folder, name) => folder.getFileHandle(name).catch(() => null);

/** Photos of a file input. @param {Iterable<File>} files @returns {Found[]} */
export const ofInput = (files) => [...files].map((file) => (
  // The path begins with the name of the folder that was chosen.
  { file, path: file.webkitRelativePath.split('/').slice(1).join('/') || file.name }));

/**
 * All files of a folder and of those in it.
 * @param {FileSystemDirectoryHandle} folder @param {(count: number) => void} [onFound] told after each, of how many there are
 * @param {string} [under] where the folder is @param {Found[]} [found] files of the folders before it
 * @returns {Promise<Found[]>}
 */
export async function ofFolder(folder, onFound, under = '', found = []) {
  for await (const [name, entry] of folder.entries()) {
    if (found.length > MOST_PHOTOS) break;
    if (name.startsWith('.')) continue;
    if (entry.kind === 'file') {
      found.push({ file: await entry.getFile(), path: under + name });
      onFound?.(found.length);
    } else await ofFolder(entry, onFound, `${under}${name}/`, found);
  }
  return found;
}

/**
 * Files and folders that were dropped or pasted. Begins at once: what was dropped is gone after the event.
 * @param {DataTransfer} data @param {(count: number) => void} [onFound] told after each file of a folder, of how many there are
 * @returns {Promise<Found[]>}
 */
export async function ofDrop(data, onFound) {
  const entries = [...data.items].filter(({ kind }) => kind === 'file').map((item) => item.webkitGetAsEntry() ?? item.getAsFile());
  const folders = entries.filter((entry) => entry && 'isDirectory' in entry && entry.isDirectory);
  /** @type {Found[]} */
  const found = [];
  for (const entry of entries) {
    if (entry instanceof File) found.push({ file: entry, path: entry.name });
    // Paths of a single folder begin in it, as those of a chosen one do.
    else if (entry) await walk(entry, folders.length === 1 && entry.isDirectory ? '' : entry.name, found, onFound);
  }
  return found;
}

/** @param {FileSystemEntry} entry @param {string} path @param {Found[]} found @param {(count: number) => void} [onFound] */
async function walk(entry, path, found, onFound) {
  if (found.length > MOST_PHOTOS) return;
  if (entry.isFile) {
    /** @type {File} */
    const file = await new Promise((resolve) => {
      // One that cannot be had, as one without permission, is a row of the table: the others come all the same.
      /** @type {FileSystemFileEntry} */ (entry).file(resolve, () => resolve(new File([], entry.name)));
    });
    found.push({ file, path });
    onFound?.(found.length);
    return;
  }
  const reader = /** @type {FileSystemDirectoryEntry} */ (entry).createReader();
  for (;;) {
    /** @type {FileSystemEntry[]} */
    const some = await new Promise((resolve, reject) => {
      reader.readEntries(resolve, reject);
    });
    if (!some.length) return; // it gives 100 at a time
    for (const each of some) {
      if (!each.name.startsWith('.')) await walk(each, path ? `${path}/${each.name}` : each.name, found, onFound);
    }
  }
}
