import { FanlightError } from '../runtime/fanlight.js';
import { csv } from './csv.js';
import { isOurs, sidecar, sidecarPaths } from './xmp.js';
/**
 * @import { Answer, ClassInfo } from './types.js'
 * @typedef {{ predict: (photo: Blob) => Promise<Answer>, classes: ClassInfo[] }} Classifier
 * @typedef {{ file: File, path: string }} Found
 */

/** More photos than a table of one folder should hold. */
export const MOST_PHOTOS = 50_000;
const IMAGE = /\.(jpe?g|png|webp|gif|bmp|avif|heic|heif|tiff?)$/i;

/**
 * A photo of the table.
 * @typedef {object} Row
 * @property {number} id
 * @property {File} file
 * @property {string} path where it was, below the folder that was given: `beach/IMG_1.jpg`
 * @property {'waiting' | 'done' | 'refused'} state
 * @property {string | null} said the class (its id) that the model finds likeliest
 * @property {number} score how sure it is of that, 0 to 1
 * @property {boolean} sure
 * @property {string | null} tag the class (its id) that it is tagged with; null: not sure
 * @property {boolean} corrected by a person
 * @property {FanlightError | null} error why it could not be read
 */

/**
 * Tags photos with what a model says, one after the other: `add`, `correct`, then `csv`, `json` or `sidecars`.
 * Photos stay files on the disk; only what is looked at is read. Says 'change' whenever rows have changed.
 */
export class Tagging extends EventTarget {
  /** @type {Row[]} */
  rows = [];
  #classifier;
  #next = 0;
  #count = 0;
  /** Rows before it are answered. */
  #at = 0;
  #batches = 0;
  #running = false;
  #paused = false;

  /** @param {Classifier} classifier a session, or what answers like one */
  constructor(classifier) {
    super();
    this.#classifier = classifier;
  }

  /** How many have their answer. */
  get done() { return this.#count; }

  get busy() { return this.#running; }

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
      while (!this.#paused && this.#at < this.rows.length) {
        const row = this.rows[this.#at];
        await this.#answer(row);
        // Rows may have been taken away meanwhile.
        if (this.rows[this.#at] === row) this.#at++;
        this.#tell();
      }
    } finally {
      this.#running = false;
      this.#tell();
    }
  }

  /** @param {Row} row */
  async #answer(row) {
    try {
      const { results: [best], sure } = await this.#classifier.predict(row.file);
      Object.assign(row, { state: 'done', said: best.class, score: best.score, sure });
      if (!row.corrected) row.tag = sure ? best.class : null;
    } catch (error) {
      Object.assign(row, {
        state: 'refused',
        error: error instanceof FanlightError ? error
          : new FanlightError('E-STUDIO-010', 'This photo cannot be read.', { where: row.path, received: String(error) }),
      });
    }
    this.#count++;
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
    this.#at = 0;
    this.#count = 0;
    for (const row of this.rows) Object.assign(row, { state: 'waiting', error: null });
    this.resume();
  }

  clear() {
    this.rows = [];
    this.#at = 0;
    this.#count = 0;
    this.#batches = 0;
    this.#paused = false;
    this.#tell();
  }

  /**
   * Say what photos are. @param {Iterable<number>} ids of rows @param {string | null} tag a class; null: none
   * @returns {() => void} takes it back
   */
  correct(ids, tag) {
    const wanted = new Set(ids);
    const before = this.rows.filter(({ id, state }) => wanted.has(id) && state !== 'refused')
      .map((row) => ({ row, tag: row.tag, corrected: row.corrected }));
    for (const { row } of before) Object.assign(row, { tag, corrected: true });
    this.#tell();
    return () => {
      for (const { row, ...was } of before) Object.assign(row, was);
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
      tag: row.tag === null ? null : this.nameOf(row.tag),
      score: Math.round(row.score * 1e4) / 1e4,
      said: this.nameOf(row.said),
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

  /** Side-cars of all photos that have a tag: path and text. @param {Date} [at] */
  sidecars(at = new Date()) {
    const paths = sidecarPaths(this.rows.map(({ path }) => path));
    return this.rows.flatMap(({ tag, path }, i) => (
      tag === null ? [] : [{ photo: path, path: paths[i], text: sidecar([this.nameOf(tag)], { at }) }]));
  }
}

/**
 * Write side-cars beside their photos. One that another program wrote stays as it is.
 * @param {FileSystemDirectoryHandle} folder the one that the photos' paths begin in
 * @param {{ photo: string, path: string, text: string }[]} sidecars
 * @param {(done: number, count: number) => void} [onProgress]
 * @returns {Promise<{ written: number, kept: string[], missing: string[] }>} kept: paths of files of others,
 *   missing: photos that are not in this folder
 */
export async function writeBeside(folder, sidecars, onProgress) {
  /** @type {{ written: number, kept: string[], missing: string[] }} */
  const said = { written: 0, kept: [], missing: [] };
  for (const [i, { photo, path, text }] of sidecars.entries()) {
    const at = await folderOf(folder, photo);
    const name = /** @type {string} */ (path.split('/').pop());
    const there = at && await handle(at, /** @type {string} */ (photo.split('/').pop()));
    const old = there && await handle(at, name);
    if (!there) said.missing.push(photo);
    else if (old && !isOurs(await (await old.getFile()).text())) said.kept.push(path);
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

/** All files of a folder and of those in it. @param {FileSystemDirectoryHandle} folder @returns {Promise<Found[]>} */
export async function ofFolder(folder, under = '') {
  /** @type {Found[]} */
  const found = [];
  for await (const [name, entry] of folder.entries()) {
    if (found.length > MOST_PHOTOS) break;
    if (name.startsWith('.')) continue;
    if (entry.kind === 'file') found.push({ file: await entry.getFile(), path: under + name });
    else found.push(...await ofFolder(entry, `${under}${name}/`));
  }
  return found;
}

/**
 * Files and folders that were dropped or pasted. Begins at once: what was dropped is gone after the event.
 * @param {DataTransfer} data @returns {Promise<Found[]>}
 */
export async function ofDrop(data) {
  const entries = [...data.items].filter(({ kind }) => kind === 'file').map((item) => item.webkitGetAsEntry() ?? item.getAsFile());
  const folders = entries.filter((entry) => entry && 'isDirectory' in entry && entry.isDirectory);
  /** @type {Found[]} */
  const found = [];
  for (const entry of entries) {
    if (entry instanceof File) found.push({ file: entry, path: entry.name });
    // Paths of a single folder begin in it, as those of a chosen one do.
    else if (entry) await walk(entry, folders.length === 1 && entry.isDirectory ? '' : entry.name, found);
  }
  return found;
}

/** @param {FileSystemEntry} entry @param {string} path @param {Found[]} found */
async function walk(entry, path, found) {
  if (found.length > MOST_PHOTOS) return;
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => {
      /** @type {FileSystemFileEntry} */ (entry).file(resolve, reject);
    });
    found.push({ file, path });
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
      if (!each.name.startsWith('.')) await walk(each, path ? `${path}/${each.name}` : each.name, found);
    }
  }
}
