import { fail } from '../runtime/errors.js';
/**
 * @import { Heads } from './heads.js'
 * @import { MemoryStore } from './memory_store.js'
 * @import { Store } from './store.js'
 * @import { Example, HeadInfo } from './types.js'
 * @typedef {object} Owner who has the examples
 * @property {() => Example[]} examples those that there are now
 * @property {(ids: string[]) => void} gone these examples are not kept any more
 * @property {() => void} computed one more has its features
 * @property {(error: unknown) => void} problem
 */

/** Photos that are computed between two looks at what else there is to do. */
const STEP = 16;

/**
 * Rows of features of a project's examples, for one head at a time: those that are kept are taken up, and those
 * that are missing are computed while nothing else is to be done.
 */
export class Features {
  /** By example, of the features that `of` names. @type {Map<string, Float32Array>} */
  rows = new Map();
  /** Which features these are; '' while they are being taken up. */
  of = '';
  #heads;
  #store;
  #owner;
  #closed = false;
  /** What is being computed, and for which rows. @type {{ rows: Map<string, Float32Array>, done: Promise<void> } | undefined} */
  #computing;

  /** @param {Heads} heads @param {Store | MemoryStore} store @param {Owner} owner */
  constructor(heads, store, owner) {
    this.#heads = heads;
    this.#store = store;
    this.#owner = owner;
  }

  /** What features are kept under: those of another backbone are others. @param {string} features */
  form(features) {
    return `${this.#heads.file.backbone.form}/${features}`;
  }

  /** Examples whose features are not computed yet. */
  get waiting() {
    return this.#owner.examples().filter(({ id }) => !this.rows.has(id)).length;
  }

  /** Begin with another project. */
  clear() {
    this.of = ''; // what is being computed now is of no use any more
    this.rows = new Map();
  }

  /** Nothing is computed any more. */
  close() {
    this.#closed = true;
  }

  /** Take up what is kept for a head. @param {string} project @param {HeadInfo} info */
  async take(project, info) {
    if (this.of === info.features) return;
    this.clear();
    const { rows } = this;
    const kept = await this.#store.features(project, this.form(info.features));
    if (this.rows !== rows) return; // others were asked for meanwhile
    this.rows = kept;
    this.of = info.features;
  }

  /** Compute what is missing; at most one such goes on for the same rows. @returns {Promise<void>} never rejects */
  compute() {
    const { rows } = this;
    if (this.#computing?.rows !== rows) {
      const done = this.#computed(rows).catch((error) => {
        if (!this.#closed && this.rows === rows) this.#owner.problem(error);
      }).finally(() => {
        if (this.#computing?.done === done) this.#computing = undefined;
      });
      this.#computing = { rows, done };
    }
    return /** @type {{ done: Promise<void> }} */ (this.#computing).done;
  }

  /** Until nothing is being computed. */
  async calm() {
    await this.#computing?.done;
  }

  /** @param {Map<string, Float32Array>} rows */
  async #computed(rows) {
    const { of } = this;
    const info = of ? this.#heads.taking(of) : undefined;
    if (!info) return; // others are being taken up: it is begun again for them
    const model = await this.#heads.open(info);
    for (;;) {
      const missing = this.#owner.examples().filter(({ id }) => !rows.has(id)).slice(0, STEP);
      if (!missing.length || this.#closed || this.rows !== rows) return;
      /** @type {Map<string, Float32Array>} */
      const fresh = new Map();
      for (const { id } of missing) {
        const photo = await this.#store.photo(id).catch((error) => {
          if (error.code !== 'E-STUDIO-022') throw error; // else it was removed meanwhile
        });
        if (!photo) continue;
        const row = await model.features([photo]).catch((error) => {
          if (this.#heads.current === info.id) throw error; // else another head was opened, which goes on
        });
        if (!row || this.rows !== rows) return;
        fresh.set(id, row);
        rows.set(id, row);
        this.#owner.computed();
      }
      const known = new Set(this.#owner.examples().map((e) => e.id));
      this.#owner.gone(missing.filter(({ id }) => !fresh.has(id)).map(({ id }) => id));
      for (const id of fresh.keys()) if (!known.has(id)) rows.delete(id);
      await this.#store.putFeatures(this.form(of), fresh);
    }
  }

  /** The rows of examples, one after the other. @param {Example[]} examples @param {number} width */
  gathered(examples, width) {
    const all = new Float32Array(examples.length * width);
    examples.forEach(({ id }, i) => {
      const row = this.rows.get(id);
      if (row?.length !== width) fail('E-STUDIO-022', 'A photo was removed meanwhile, or its features are of another head.', { where: id, next: 'try again' });
      all.set(/** @type {Float32Array} */ (row), i * width);
    });
    return all;
  }
}
