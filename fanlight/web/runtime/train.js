import { FanlightError, Model, load as open, portable } from './fanlight.js';
/**
 * @import { Examples, FitOptions, History, ImageSource, InlineBundle, LoadOptions, Logs } from './types.js'
 * @import { Tensor, TypedArray } from './types.js'
 */

/** Milliseconds of steps between two looks at what the page wants: its callbacks, its signal. */
const TURN_MS = 50;

/**
 * Open a bundle that was built with `train`: a model that also learns. Given a model that is loaded
 * already, as `await element.ready` of a page that classifies, it is that one which learns.
 * @param {string | URL | InlineBundle | Model} source
 * @param {LoadOptions & { persist?: string }} [options] persist: a name under which this browser keeps what was
 *   learnt, after every epoch; what is there already is taken up again
 * @returns {Promise<TrainableModel>}
 */
export async function load(source, { persist, ...options } = {}) {
  const opened = source instanceof Model ? source : await open(source, options);
  const model = new TrainableModel(opened, persist);
  if (persist !== undefined) model.restored = await model.restore(persist);
  return model;
}

/** A loaded model that learns. Everything is computed on this device. Made by `load`. */
export class TrainableModel {
  /** Whether `load` found what was learnt before. */
  restored = false;
  #model;
  #persist;
  #busy = false;

  /** @param {Model} model @param {string} [persist] */
  constructor(model, persist) {
    this.#model = model;
    this.#persist = persist;
  }

  get inputs() { return this.#model.inputs; }

  get outputs() { return this.#model.outputs; }

  get labels() { return this.#model.labels; }

  get info() { return this.#model.info; }

  /** See `Model.run`. @type {Model['run']} */
  run(inputs) {
    return this.#model.run(inputs);
  }

  /** See `Model.classify`: by what was learnt until now. @type {Model['classify']} */
  classify(source, options) {
    return this.#model.classify(source, options);
  }

  /**
   * Pictures, or one, as `fit` and `evaluate` take them, one after the other: what becomes of a picture before
   * the model sees it where it classifies, computed by the same program. Of a bundle that was built with a task.
   * @param {ImageSource | Iterable<ImageSource>} sources @returns {Promise<Float32Array>}
   */
  async pictures(sources) {
    const parts = [];
    const all = Symbol.iterator in Object(sources) ? sources : [sources];
    for (const source of /** @type {Iterable<ImageSource>} */ (all)) parts.push(await this.#part('picture', await portable(source)));
    const [{ length: each } = { length: 0 }] = parts;
    const found = new Float32Array(parts.length * each);
    parts.forEach((part, i) => found.set(part, i * each));
    return found;
  }

  /** See `Model.dispose`. */
  dispose() {
    this.#model.dispose();
  }

  /** @param {string} tag @param {unknown[]} args @returns {Promise<any>} */
  #part(tag, ...args) {
    return this.#model.ask('part', [tag, args]);
  }

  /**
   * Train. Arrays hold the examples one after the other; labels are class numbers (Int32Array) or numbers
   * of the shape of the output (Float32Array), as the loss of the model has it.
   * Rejects with a FanlightError, or with the signal's reason; what was learnt until then stays.
   * @param {Examples} x @param {Examples} y @param {FitOptions} [options] @returns {Promise<History>}
   */
  async fit(x, y, options = {}) {
    const {
      epochs = 1, shuffle = true, seed, validationSplit = 0, validationData, classWeight, sampleWeight: w,
      onEpochEnd, onBatchEnd, onPrepare, signal,
    } = options;
    signal?.throwIfAborted();
    if (this.#busy) throw new FanlightError('E-WEB-036', 'The model is being trained.', { next: 'await the other fit' });
    this.#busy = true;
    /** @type {number[]} */
    const held = [];
    try {
      if (seed !== undefined) await this.#part('sow', seed);
      const data = await this.#hold({ x, y, w, classWeight }, held, signal, onPrepare);
      const batchSize = size(options.batchSize, data.most);
      const from = Math.floor(data.count * (1 - validationSplit)); // as Keras has it
      if (!(validationSplit >= 0 && validationSplit < 1) || from < 1) {
        throw new FanlightError('E-WEB-001', 'validationSplit is wrong.', {
          expected: 'a share from 0 to below 1', received: validationSplit });
      }
      /** @type {{ id: number, count: number } | undefined} */
      let check;
      if (validationData) {
        check = await this.#hold({ x: validationData[0], y: validationData[1] }, held, signal);
      }
      /** @type {History} */
      const found = { epoch: [], history: {} };
      for (let epoch = 0; epoch < epochs; epoch++) {
        await this.#part('begin', data.id, { kind: 'train', batchSize, shuffle, from: 0, to: from });
        let logs = await this.#turns(data.id, signal, (batch, each) => onBatchEnd?.(batch, each, epoch));
        const part = check ? [check.id, 0, check.count] : from < data.count ? [data.id, from, data.count] : undefined;
        if (part) {
          const [id, first, to] = part;
          await this.#part('begin', id, { kind: 'evaluate', batchSize, from: first, to });
          const own = await this.#turns(id, signal);
          logs = { ...logs, ...Object.fromEntries(Object.entries(own).map(([k, v]) => [`val_${k}`, v])) };
        }
        found.epoch.push(epoch);
        for (const [name, value] of Object.entries(logs)) (found.history[name] ??= []).push(value);
        if (this.#persist) await this.store(this.#persist);
        onEpochEnd?.(epoch, logs);
      }
      return found;
    } finally {
      this.#busy = false;
      for (const id of held) this.#part('drop', id).catch(() => {});
    }
  }

  /**
   * Hand examples over, and have computed what the steps begin with.
   * @param {object} given @param {number[]} held @param {AbortSignal} [signal] @param {FitOptions['onPrepare']} [told]
   * @returns {Promise<{ id: number, count: number, most: number }>}
   */
  async #hold(given, held, signal, told) {
    const data = await this.#part('hold', given);
    held.push(data.id);
    for (let done = 0; done < data.count;) {
      done = await this.#part('prepare', data.id, TURN_MS);
      told?.(done, data.count);
      signal?.throwIfAborted();
    }
    return data;
  }

  /**
   * The steps of an epoch that has begun. @param {number} id @param {AbortSignal} [signal]
   * @param {(batch: number, logs: Logs) => void} [told] @returns {Promise<Logs>}
   */
  async #turns(id, signal, told) {
    for (let batch = 0; ;) {
      const { logs, done } = await this.#part('advance', id, TURN_MS);
      for (const each of logs) told?.(batch++, each);
      signal?.throwIfAborted();
      if (done) return logs.at(-1);
    }
  }

  /**
   * Loss and metrics of examples. @param {Examples} x @param {Examples} y
   * @param {{ batchSize?: number, signal?: AbortSignal, sampleWeight?: Float32Array }} [options] @returns {Promise<Logs>}
   */
  async evaluate(x, y, { batchSize, signal, sampleWeight: w } = {}) {
    /** @type {number[]} */
    const held = [];
    try {
      const { id, count, most } = await this.#hold({ x, y, w }, held, signal);
      await this.#part('begin', id, { kind: 'evaluate', batchSize: size(batchSize, most), from: 0, to: count });
      return await this.#turns(id, signal);
    } finally {
      for (const id of held) this.#part('drop', id).catch(() => {});
    }
  }

  /** The weights by their paths, "dense/kernel". @returns {Promise<Record<string, Tensor>>} */
  getWeights() {
    return this.#part('weights');
  }

  /**
   * Give weights new numbers: all that are named, or none where one does not fit.
   * @param {Record<string, TypedArray | { data: TypedArray }>} weights @returns {Promise<void>}
   */
  setWeights(weights) {
    return this.#part('assign', weights);
  }

  /** How many classes there are; null where that is for good. @returns {Promise<number | null>} */
  getClasses() {
    return this.#part('classes');
  }

  /**
   * Change the number of classes of a model that was built with dims={"classes": ...}. Those that stay keep what
   * they have learnt, new ones begin as they were built.
   * @param {number} count @param {number[]} [keep] which of the old classes the first of the new ones are, by their
   *   numbers; default: as many as there are. [0, 2] lets class 1 go.
   * @returns {Promise<void>}
   */
  async setClasses(count, keep) {
    if (this.#busy) throw new FanlightError('E-WEB-036', 'The model is being trained.', { next: 'await fit' });
    await this.#part('resize', count, keep);
    if (this.#persist) await this.store();
  }

  /**
   * What was learnt, optimizer included, as a file that `fl.load` reads in Python: its name ends in .safetensors.
   * @returns {Promise<File>}
   */
  async save() {
    return new File([await this.#part('file')], 'model.safetensors', { type: 'application/octet-stream' });
  }

  /**
   * Keep what was learnt in this browser, under a name; default: that of `persist`.
   * @param {string} [name] @returns {Promise<void>}
   */
  async store(name) {
    await this.#part('store', this.#name(name));
  }

  /**
   * Take up what is kept under a name: whether there was such, of a model of this form.
   * @param {string} [name] @returns {Promise<boolean>}
   */
  async restore(name) {
    return this.#part('restore', this.#name(name));
  }

  /** Forget what is kept under a name. @param {string} [name] @returns {Promise<void>} */
  async forget(name) {
    await this.#part('forget', this.#name(name));
  }

  /** @param {string} [name] */
  #name(name = this.#persist) {
    if (name && typeof name === 'string') return name;
    throw new FanlightError('E-WEB-001', 'This is no name to keep a model under.', {
      expected: "a text, as in load(url, { persist: 'mine' }) or store('mine')", received: name });
  }

  /** Begin again with the weights that were built. @returns {Promise<void>} */
  reset() {
    return this.#part('reset');
  }
}

/** @param {number | undefined} asked @param {number} most */
const size = (asked, most) => {
  const batch = asked ?? Math.min(32, most);
  if (!Number.isInteger(batch) || batch < 1 || batch > most) {
    throw new FanlightError('E-WEB-013', 'batchSize is out of bounds.', {
      expected: `1 to ${most}`, received: batch, next: 'build with a larger dims={"batch": ...}' });
  }
  return batch;
};
