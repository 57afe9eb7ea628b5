import { LOAD_OPTIONS, Model, checkOptions, checkSize, count, fail, load as open, portable } from './fanlight.js';
/**
 * @import { EvaluateOptions, Examples, ExportOptions, FeatureOptions, FitOptions, History, ImageSource, InlineBundle } from './types.js'
 * @import { LoadOptions, Logs, PredictOptions, Spec, Tensor, TypedArray } from './types.js'
 * @typedef {[(value: any) => boolean, string]} Rule
 */

/** Milliseconds of steps between two looks at what the page wants: its callbacks, its signal. */
const TURN_MS = 50;

/** What a model does that nothing may come between. @type {WeakMap<Model, string>} */
const busy = new WeakMap();

/** How many photos are on their way at a time. */
const AHEAD = 4;

/** Rows one after the other. @param {any[]} parts */
const joined = (parts) => {
  const [{ length: each } = { length: 0 }] = parts;
  const found = new Float32Array(parts.length * each);
  parts.forEach((part, i) => found.set(part, i * each));
  return found;
};

/** @template T, U @param {Record<string, T>} given @param {(value: T, name: string) => U} make @returns {Record<string, U>} */
const mapped = (given, make) => Object.fromEntries(Object.entries(given).map(([name, value]) => [name, make(value, name)]));

/** Whether these are numbers of examples, and no photos. @param {any} given @returns {given is Examples} */
const isNumbers = (given) => ArrayBuffer.isView(given) || Object.getPrototypeOf(Object(given)) === Object.prototype
  || (Array.isArray(given) && typeof given[0] === 'number');

/** @type {Rule} */
const WHOLE = [(v) => Number.isInteger(v) && v > 0, 'a whole number from 1 on'];
/** @type {Rule} */
const CALL = [(v) => typeof v === 'function', 'a function'];
/** @type {Rule} */
const FLAG = [(v) => typeof v === 'boolean', 'true or false'];
/** @type {Rule} */
const RATE = [(v) => typeof v === 'number' && v >= 0 && v < Infinity, 'a number from 0 on'];
/** What options may be: those of `fit`, and onProgress. @type {Record<string, Rule>} */
const OPTIONS = {
  epochs: WHOLE,
  batchSize: WHOLE,
  shuffle: FLAG,
  seed: [Number.isSafeInteger, 'a whole number'],
  validationSplit: [(v) => typeof v === 'number' && v >= 0 && v < 1, 'a share from 0 to below 1'],
  validationData: [(v) => Array.isArray(v) && v.length > 1, '[x, y] or [x, y, sampleWeight]'],
  classWeight: [(v) => Object(v) === v && !(v instanceof Map), 'an object: { 0: 1, 1: 2.5 }'],
  sampleWeight: [(v) => Object(v) === v, 'an array'],
  learningRate: [(v) => CALL[0](v) || RATE[0](v), 'a number from 0 on, or a function of the epoch'],
  features: FLAG,
  onPrepare: CALL,
  onEpochEnd: CALL,
  onBatchEnd: CALL,
  onProgress: CALL,
  signal: [(v) => typeof v?.throwIfAborted === 'function', 'controller.signal'],
};

/** @param {string} reason @param {unknown} expected @param {unknown} received @param {string} [next] @returns {never} */
const refuse = (reason, expected, received, next) => (
  fail('E-WEB-001', reason, { expected, received: String(received).slice(0, 99), next }));

/**
 * Refuse options that there are not, and values that they cannot have.
 * @param {string} method @param {any} given @param {string[]} names
 */
const check = (method, given, names) => {
  checkOptions(method, given, names);
  for (const [name, value] of Object.entries(given)) {
    const [test, expected] = OPTIONS[name];
    if (value !== undefined && !test(value)) refuse(`${name} is wrong.`, expected, typeof value === 'string' ? `'${value}'` : value);
  }
};

/**
 * Open a bundle that was built with `train`: a model that also learns. Given a model that is loaded
 * already, as `await element.ready` of a page that classifies, it is that one which learns.
 * @param {string | URL | InlineBundle | Model} source
 * @param {LoadOptions & { persist?: string }} [given] persist: a name under which this browser keeps what was
 *   learnt, after every epoch; what is there already is taken up again
 * @returns {Promise<TrainableModel>}
 */
export async function load(source, given = {}) {
  checkOptions('load', given, [...LOAD_OPTIONS, 'persist']);
  const { persist, ...options } = given;
  const opened = source instanceof Model ? source : await open(source, options);
  // What does not train says so when it is asked to.
  const shapes = await opened.ask('part', ['shapes', []]).catch((error) => {
    if (error.code !== 'E-WEB-030') throw error;
  });
  const model = new TrainableModel(opened, persist, shapes);
  if (persist !== undefined) model.restored = await model.restore(persist);
  return model;
}

/** A loaded model that learns. Everything is computed on this device. Made by `load`. */
export class TrainableModel {
  /** Whether `load` found what was learnt before. */
  restored = false;
  #model;
  #persist;
  #shape;

  /** @param {Model} model @param {string} [persist] @param {number[] | Record<string, number[]>} [shape] */
  constructor(model, persist, shape) {
    this.#model = model;
    this.#persist = persist;
    this.#shape = shape;
  }

  get inputs() { return this.#model.inputs; }

  /** As of `Model`, of as many classes as there are now. @returns {Spec[]} */
  get outputs() {
    const { outputs, dims } = this.#model;
    return outputs.map((spec) => ({ ...spec, shape: spec.shape.map((d) => dims[d]?.size ?? d) }));
  }

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
    return joined(await this.#each(sources, false));
  }

  /**
   * What nothing learns makes of photos, or of examples as `fit` takes them: a row of `featureSize` numbers for
   * each, to give to `fit`, `evaluate` and `predict` with `features: true`. Of a model in which everything learns
   * that is what `pictures` makes. Where learning begins in several places, an array for each, by its name.
   * @template [T=Float32Array] @param {ImageSource | Iterable<ImageSource> | Examples} given
   * @param {FeatureOptions} [options] @returns {Promise<T>}
   */
  async features(given, options = {}) {
    check('features', options, ['onProgress', 'signal']);
    const { onProgress, signal } = options;
    signal?.throwIfAborted();
    if (isNumbers(given)) {
      return this.#holding(async (held) => {
        const { id } = await this.#hold({ x: given }, held, signal, onProgress, false);
        return this.#part('rows', id);
      });
    }
    const parts = await this.#each(/** @type {any} */ (given), true, onProgress, signal);
    const { featureShape: shape } = this;
    if (!shape || Array.isArray(shape)) return /** @type {any} */ (joined(parts));
    return /** @type {any} */ (mapped(shape, (_, name) => joined(parts.map((part) => part[name]))));
  }

  /**
   * Something of each photo, in order; a few are on their way at a time, for the browser decodes them beside.
   * @param {ImageSource | Iterable<ImageSource>} sources @param {boolean} whole
   * @param {FeatureOptions['onProgress']} [told] @param {AbortSignal} [signal] @returns {Promise<any[]>}
   */
  async #each(sources, whole, told, signal) {
    const all = Symbol.iterator in Object(sources) ? [.../** @type {Iterable<ImageSource>} */ (sources)] : [sources];
    /** @type {Promise<any>[]} */
    const going = [];
    const parts = [];
    for (let i = 0; parts.length < all.length;) {
      signal?.throwIfAborted();
      if (i < all.length && going.length < AHEAD) {
        const part = this.#part('picture', await portable(/** @type {ImageSource} */ (all[i++])), whole);
        part.catch(() => {}); // whoever awaits it hears of it
        going.push(part);
      } else {
        parts.push(await going.shift());
        told?.(parts.length, all.length);
      }
    }
    return parts;
  }

  /** The shape of a row of `features`; of several an object by name. Of a bundle that does not train: undefined. */
  get featureShape() { return this.#shape; }

  /** How many numbers a row of `features` is; of several an object by name. */
  get featureSize() { return this.#shape && (Array.isArray(this.#shape) ? count(this.#shape) : mapped(this.#shape, count)); }

  /** See `Model.dispose`. */
  dispose() {
    this.#model.dispose();
  }

  /** @param {string} tag @param {unknown[]} args @returns {Promise<any>} */
  #part(tag, ...args) {
    return this.#model.ask('part', [tag, args]);
  }

  /** Refuse what may not come between. @param {string} what */
  #free(what) {
    const before = busy.get(this.#model);
    if (before) fail('E-WEB-036', `${before} has not ended.`, { where: what, next: `await ${before}` });
  }

  /**
   * Do what nothing may come between, with the numbers of examples that are held until then.
   * @template T @param {string} what @param {(held: number[]) => Promise<T>} act @returns {Promise<T>}
   */
  async #alone(what, act) {
    this.#free(what);
    busy.set(this.#model, what);
    return this.#holding(act).finally(() => busy.delete(this.#model));
  }

  /** Let go of the examples that were held meanwhile. @template T @param {(held: number[]) => Promise<T>} act */
  async #holding(act) {
    /** @type {number[]} */
    const held = [];
    try {
      return await act(held);
    } finally {
      for (const id of held) this.#part('drop', id).catch(() => {});
    }
  }

  /**
   * Train. Arrays hold the examples one after the other; labels are class numbers (Int32Array) or numbers
   * of the shape of the output (Float32Array), as the loss of the model has it. Of several inputs or
   * outputs there is an array each, by its name.
   * Rejects with a FanlightError, or with the signal's reason; what was learnt until then stays.
   * @param {Examples} x @param {Examples} y @param {FitOptions} [options] @returns {Promise<History>}
   */
  async fit(x, y, options = {}) {
    check('fit', options, Object.keys(OPTIONS).filter((name) => name !== 'onProgress'));
    const {
      epochs = 1, shuffle = true, seed, validationSplit = 0, validationData, classWeight, sampleWeight: w,
      learningRate, features, onEpochEnd, onBatchEnd, onPrepare, signal,
    } = options;
    signal?.throwIfAborted();
    return this.#alone('fit', async (held) => {
      if (seed !== undefined) await this.#part('sow', seed);
      const data = await this.#hold({ x, y, w, classWeight, features }, held, signal, onPrepare);
      const batchSize = size(data.most, options.batchSize);
      const from = validationData ? data.count : Math.floor(data.count * (1 - validationSplit)); // as Keras has it
      if (from < 1) {
        refuse('validationSplit leaves nothing to learn from.', 'a smaller share', `${validationSplit} of ${data.count}`);
      }
      /** @type {{ id: number, count: number } | undefined} */
      let other;
      if (validationData) {
        const [vx, vy, vw] = validationData;
        other = await this.#hold({ x: vx, y: vy, w: vw, features }, held, signal);
      }
      /** @type {History} */
      const found = { epoch: [], history: {} };
      for (let epoch = 0; epoch < epochs; epoch++) {
        signal?.throwIfAborted(); // by onEpochEnd
        let rate = typeof learningRate === 'function' ? learningRate(epoch) : learningRate;
        if (learningRate !== undefined) {
          if (!RATE[0](rate)) refuse('learningRate gave no rate.', RATE[1], rate);
          rate = await this.#part('pace', rate);
        }
        await this.#part('begin', data.id, { kind: 'train', batchSize, shuffle, from: 0, to: from });
        let logs = await this.#turns(data.id, signal, (batch, each) => onBatchEnd?.(batch, each, epoch));
        const part = other ? [other.id, 0, other.count] : from < data.count ? [data.id, from, data.count] : undefined;
        if (part) {
          const [id, first, to] = part;
          await this.#part('begin', id, { kind: 'evaluate', batchSize, from: first, to });
          const own = await this.#turns(id, signal);
          logs = { ...logs, ...Object.fromEntries(Object.entries(own).map(([k, v]) => [`val_${k}`, v])) };
        }
        if (rate !== undefined) logs = { ...logs, learning_rate: rate };
        found.epoch.push(epoch);
        for (const [name, value] of Object.entries(logs)) (found.history[name] ??= []).push(value);
        found.unkept = await this.#keep();
        onEpochEnd?.(epoch, logs);
      }
      return found;
    });
  }

  /** Keep what was learnt under the name of `persist`, if there is one: the error if the browser does not. */
  async #keep() {
    if (!this.#persist) return undefined;
    try {
      return await this.#part('store', this.#persist);
    } catch (/** @type {any} */ error) {
      if (error.code !== 'E-WEB-035') throw error;
      return error;
    }
  }

  /**
   * Hand examples over, and have computed what the steps begin with.
   * @param {object} given @param {number[]} held @param {AbortSignal} [signal] @param {FitOptions['onPrepare']} [told]
   * @param {boolean} [labelled] @returns {Promise<{ id: number, count: number, most: number }>}
   */
  async #hold(given, held, signal, told, labelled) {
    const data = await this.#part('hold', given, labelled);
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
   * @param {EvaluateOptions} [options] @returns {Promise<Logs>}
   */
  async evaluate(x, y, options = {}) {
    check('evaluate', options, ['batchSize', 'features', 'sampleWeight', 'signal']);
    const { batchSize, features, signal, sampleWeight: w } = options;
    signal?.throwIfAborted();
    return this.#alone('evaluate', async (held) => {
      const { id, count, most } = await this.#hold({ x, y, w, features }, held, signal);
      await this.#part('begin', id, { kind: 'evaluate', batchSize: size(most, batchSize), from: 0, to: count });
      return this.#turns(id, signal);
    });
  }

  /**
   * The outputs of the model for examples, in batches: what Python's `predict` gives, row after row. Of several
   * outputs there is an array each, by its name.
   * @template [T=Float32Array] @param {Examples} x @param {PredictOptions} [options] @returns {Promise<T>}
   */
  async predict(x, options = {}) {
    check('predict', options, ['batchSize', 'features', 'signal']);
    const { batchSize, features, signal } = options;
    signal?.throwIfAborted();
    return this.#alone('predict', async (held) => {
      const { id, most } = await this.#hold({ x, features }, held, signal, undefined, false);
      for (;;) {
        const found = await this.#part('answer', id, size(most, batchSize), TURN_MS);
        signal?.throwIfAborted();
        if (found) return found;
      }
    });
  }

  /** The weights by their paths, "dense/kernel". @returns {Promise<Record<string, Tensor>>} */
  getWeights() {
    return this.#part('weights');
  }

  /**
   * Give weights new numbers: all that are named, or none where one does not fit.
   * @param {Record<string, TypedArray | { data: TypedArray }>} weights @returns {Promise<void>}
   */
  async setWeights(weights) {
    this.#free('setWeights');
    return this.#part('assign', weights);
  }

  /** How many classes there are; null where that is for good. @returns {Promise<number | null>} */
  async getClasses() {
    return (await this.#part('classes')).size;
  }

  /**
   * Change the classes of a model that was built with dims={"classes": ...}. Those that stay keep what they have
   * learnt, new ones begin as they were built. `labels` has their names.
   * @param {number | string[]} classes how many there are, or their names
   * @param {number[]} [keep] which of the old classes the first of the new ones are, by their numbers: [0, 2] lets
   *   class 1 go. Default: those whose names stay; without names as many as there are.
   * @returns {Promise<void>}
   */
  async setClasses(classes, keep) {
    this.#free('setClasses');
    await this.#part('resize', classes, keep);
    await this.#recount();
    await this.#keep();
  }

  /** `outputs`, `dims` and `labels` say which classes there are. */
  async #recount() {
    const { dims } = this.#model;
    const { size, labels } = await this.#part('classes');
    this.#model.labels = labels;
    if (dims.classes) dims.classes.size = size;
  }

  /**
   * What was learnt, optimizer included, as a file that `fl.load` reads in Python: its name ends in .safetensors.
   * @returns {Promise<File>}
   */
  async save() {
    return new File([await this.#part('file')], 'model.safetensors', { type: 'application/octet-stream' });
  }

  /**
   * What was learnt as what was built: all files of a bundle, by their paths. Put into a folder they are a page, an npm
   * package, and what `fl.open_bundle` opens in Python; the page can learn on.
   * @param {ExportOptions} [options] @returns {Promise<Map<string, Uint8Array<ArrayBuffer>>>}
   */
  async export(options = {}) {
    checkOptions('export', options, ['files', 'labels', 'title']);
    const learnt = await this.#part('bundle');
    return (await import('./export.js')).whole(learnt, options);
  }

  /**
   * Keep what was learnt in this browser, under a name; default: that of `persist`. What other versions of the
   * model keep under it stays: the last four of them.
   * @param {string} [name] @returns {Promise<void>}
   */
  async store(name) {
    this.#free('store');
    await this.#part('store', this.#name(name));
  }

  /**
   * Take up what is kept under a name: whether there was such, of this very model. It is not where
   * the shape of anything differs, or what nothing learns.
   * @param {string} [name] @returns {Promise<boolean>}
   */
  async restore(name) {
    return this.#alone('restore', async () => {
      const found = await this.#part('restore', this.#name(name));
      await this.#recount();
      return found;
    });
  }

  /** Forget what is kept under a name, by all versions of the model. @param {string} [name] @returns {Promise<void>} */
  async forget(name) {
    this.#free('forget');
    await this.#part('forget', this.#name(name));
  }

  /** @param {string} [name] */
  #name(name = this.#persist) {
    if (name && typeof name === 'string') return name;
    return refuse('This is no name to keep a model under.', "load(url, { persist: 'mine' }) or store('mine')", name);
  }

  /** Begin again with the weights that were built. @returns {Promise<void>} */
  async reset() {
    this.#free('reset');
    await this.#part('reset');
    await this.#recount();
  }
}

/** @param {number} most @param {number} [asked] */
const size = (most, asked = Math.min(32, most)) => {
  checkSize('batchSize', { min: 1, max: most }, asked, 'batch');
  return asked;
};
