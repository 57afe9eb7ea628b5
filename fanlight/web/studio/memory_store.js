import { fail } from '../runtime/errors.js';
/** @import { Example, NewExample, Project } from './types.js' */

let last = 0;
const id = () => `m${Date.now().toString(36)}${(++last).toString(36)}`;

/** What a session keeps where it is to keep nothing: the same as `Store`, gone with the page. */
export class MemoryStore {
  onchange = undefined;
  keeps = false;
  /** @type {Map<string, Project>} */
  #projects = new Map();
  /** @type {Map<string, Example>} */
  #examples = new Map();
  /** @type {Map<string, { photo: Blob, thumb: Blob }>} */
  #blobs = new Map();
  /** @type {Map<string, Map<string, Float32Array>>} */
  #features = new Map();
  /** @type {Map<string, Uint8Array>} */
  #heads = new Map();

  async projects() {
    return [...this.#projects.values()].sort((a, b) => b.updated - a.updated);
  }

  /** @param {string} name @param {Partial<Project>} [fields] @param {object} [_options] @returns {Promise<Project>} */
  async create(name, fields = {}, _options = {}) {
    const now = Date.now();
    const project = /** @type {Project} */ ({ version: 1, form: '', classes: [], runs: [], ...fields, id: id(), name, created: now, updated: now });
    this.#projects.set(project.id, project);
    return structuredClone(project);
  }

  /** @param {string} project @returns {Promise<Project>} */
  async finish(project) {
    return this.project(project);
  }

  /** @param {string} project @returns {Promise<Project>} */
  async project(project) {
    return structuredClone(this.#projects.get(project) ?? fail('E-STUDIO-022', 'There is no such project.', { received: project }));
  }

  /** @param {string} project @param {Partial<Project>} changes @param {Project} [_base] no other tab has changed it @returns {Promise<Project>} */
  async update(project, changes, _base) {
    const now = { ...await this.project(project), ...structuredClone(changes), id: project, updated: Date.now() };
    this.#projects.set(project, now);
    return structuredClone(now);
  }

  /** @param {string} project */
  async remove(project) {
    await this.delete((await this.examples(project)).map((e) => e.id));
    this.#projects.delete(project);
  }

  /** @param {string} project @returns {Promise<Example[]>} */
  async examples(project) {
    return [...this.#examples.values()].filter((e) => e.project === project).map((e) => ({ ...e }));
  }

  /** @param {string} project @param {(NewExample & { features?: Float32Array, form?: string })[]} items @returns {Promise<Example[]>} */
  async add(project, items) {
    return items.map(({ blob, thumb, held = false, features, form, ...rest }) => {
      const example = { ...rest, id: id(), project, added: Date.now(), bytes: blob.size, held };
      this.#examples.set(example.id, example);
      this.#blobs.set(example.id, { photo: blob, thumb });
      if (features && form) this.#features.set(form, (this.#features.get(form) ?? new Map()).set(example.id, features));
      return { ...example };
    });
  }

  /** @param {string[]} ids @param {{ class?: string, held?: boolean }} fields @returns {Promise<Example[]>} */
  async change(ids, fields) {
    return ids.flatMap((one) => {
      const example = this.#examples.get(one);
      if (!example) return [];
      Object.assign(example, fields);
      return [{ ...example }];
    });
  }

  /** @param {string[]} ids */
  async delete(ids) {
    for (const one of ids) {
      this.#examples.delete(one);
      this.#blobs.delete(one);
      for (const rows of this.#features.values()) rows.delete(one);
    }
  }

  /** @param {string} example @returns {Promise<Blob>} */
  async photo(example) {
    return this.#blobs.get(example)?.photo ?? fail('E-STUDIO-022', 'There is no such photo.', { received: example });
  }

  /** @param {string} example @returns {Promise<Blob>} */
  async thumb(example) {
    return this.#blobs.get(example)?.thumb ?? fail('E-STUDIO-022', 'There is no such photo.', { received: example });
  }

  /** @param {string} project @param {string} form @returns {Promise<Map<string, Float32Array>>} */
  async features(project, form) {
    return new Map([...this.#features.get(form) ?? []].filter(([one]) => this.#examples.get(one)?.project === project));
  }

  /** @param {string} form @param {Map<string, Float32Array>} rows */
  async putFeatures(form, rows) {
    const known = this.#features.get(form) ?? new Map();
    for (const [one, row] of rows) known.set(one, row);
    this.#features.set(form, known);
  }

  /** @param {string} project @param {string} key */
  async head(project, key) {
    return this.#heads.get(`${project} ${key}`);
  }

  /** @param {string} project @param {string} key @param {Uint8Array | undefined} bytes @param {Partial<Project>} [changes] @param {Project} [_base] */
  async putHead(project, key, bytes, changes = {}, _base = undefined) {
    if (bytes) this.#heads.set(`${project} ${key}`, bytes);
    else this.#heads.delete(`${project} ${key}`);
    return this.update(project, changes);
  }

  async usage() {
    return { used: 0, quota: 0, persisted: false };
  }

  async persist() {
    return false;
  }

  close() {}
}
