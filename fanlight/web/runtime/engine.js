import { ARRAYS, Files, checkNames, checkSize, count, readManifest } from './bundle.js';
import { FanlightError, fail, said } from './errors.js';
import { pixels } from './image.js';
/**
 * @import { About, Core, Info, InlineBundle, KernelTime, LoadOptions, Manifest } from './types.js'
 * @import { Picture, Prediction, Spec, Task, Tensor, Value } from './types.js'
 */

/** Ask the engine, never the browser's name: a function of three vectors. @param {number[]} body */
const takes = (...body) => WebAssembly.validate(new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 8, 1, 96, 3, 123, 123, 123, 1, 123, 3, 2, 1, 0,
  10, body.length + 10, 1, body.length + 8, 0, 32, 0, 32, 1, 32, 2, ...body, 11]));

/** @type {Record<string, () => boolean>} */
const USABLE = {
  relaxed: () => takes(253, 133, 2), // f32x4.relaxed_madd
  plain: () => takes(253, 228, 1, 253, 228, 1), // f32x4.add, twice
};

/** @template T @param {number} bytes @param {() => T} make @returns {T} */
const room = (bytes, make) => {
  try {
    return make();
  } catch (error) {
    return fail('E-WEB-004', 'The browser gave no memory for this model.',
      { expected: `${bytes} bytes`, received: said(error), next: 'close other pages' });
  }
};

/** @param {string} where @returns {(error: unknown) => never} */
const refused = (where) => (error) => fail('E-WEB-018', 'The WASM engine refused the module.', {
  where, received: said(error), next: "does the Content-Security-Policy allow 'wasm-unsafe-eval'?" });

const ISOLATE = 'the page is not cross-origin isolated: send COOP and COEP headers, or build with --isolate';

/** Whether a thread that waits here keeps no page from answering. */
const mayWait = () => !globalThis.document;

/**
 * Bring the files of a bundle, each checked. The weights land in the WASM memory that they are used from,
 * which belongs to one thread or is shared: so this runs where the model will.
 * @param {string | InlineBundle} source @param {LoadOptions} options @param {AbortSignal} signal
 * @param {Manifest} [given]
 */
async function gather(source, options, signal, given) {
  const { simd = 'auto', threads = 'auto' } = options;
  if (!globalThis.WebAssembly) {
    fail('E-WEB-002', 'This browser has no WebAssembly.', { next: 'use a current browser' });
  }
  const manifest = given ?? await readManifest(source, signal);
  const { modules, weights, memory: { pages } } = manifest;
  const file = modules.find((m) => (simd === 'auto' || m.simd === simd)
    && Object.hasOwn(USABLE, m.simd) && USABLE[m.simd]());
  if (!file) {
    return fail('E-WEB-003', 'This browser can run no module of this bundle.', {
      expected: `WebAssembly with SIMD: ${modules.map((m) => m.simd).join(' or ')}`,
      next: 'use a current browser' });
  }
  // A module runs on an unshared memory too, but the choice is for good: it is compiled for one.
  let alone = threads === 1 ? 'as asked' : !file.threads ? 'its module is for one'
    : !mayWait() ? 'no worker' : navigator.hardwareConcurrency < 2 ? 'one core'
    : !globalThis.crossOriginIsolated ? ISOLATE : '';
  /** @param {boolean} shared */
  const make = (shared) => new WebAssembly.Memory({ initial: pages, maximum: pages, shared });
  /** @type {WebAssembly.Memory | undefined} */
  let memory;
  if (!alone) {
    try {
      memory = make(true);
      structuredClone(memory);
    } catch (error) {
      memory = undefined;
      alone = said(error);
    }
  }
  const shared = !!memory;
  const own = memory ?? room(pages * 65536, () => make(false));
  const bytes = [file, ...weights].reduce((sum, { bytes: n }) => sum + n, 0);
  const files = new Files(source, options, signal, bytes);
  const code = room(bytes, () => new Uint8Array(file.bytes));
  const [{ module, instance: { exports } }] = await Promise.all([
    files.bring(file, code).then(() => {
      const flagged = code.slice();
      if (shared && file.threads) flagged[file.threads.flags] = 3;
      return WebAssembly.instantiate(flagged, { fanlight: { memory: own } }).catch(refused(file.path));
    }),
    ...weights.map((shard) => files.bring(
      shard, new Uint8Array(own.buffer, shard.offset + (shard.encoding ? shard.bytes : 0), shard.bytes))),
  ]);
  try {
    for (const { offset, bytes: n, encoding } of weights) {
      if (encoding) /** @type {any} */ (exports).expand(offset, n / 2);
    }
  } catch (error) {
    refused(file.path)(error);
  }
  /** @type {Info} */
  const info = {
    backend: 'wasm',
    simd: file.simd,
    variants: [],
    threads: 1,
    bytes,
    why: '',
    reasons: {
      simd: `${file.simd} SIMD, ${simd === 'auto' ? 'the first that runs here' : 'as asked'}`,
      threads: alone ? `one thread: ${alone}` : 'one thread so far',
    },
    worker: false,
    cached: !files.fresh.length,
    bundle: {
      name: manifest.name, producer: manifest.producer, files: [file, ...weights].map(({ path }) => path) },
  };
  return { manifest, file, module, memory: own, shared, exports, info, files };
}

/** One bundle in one WASM memory, ready to run, on whatever thread this is. */
export class Engine {
  #settled;

  /** @param {Core} core */
  constructor(core) {
    const { inputs, outputs, dims, task } = core.manifest;
    this.core = core;
    this.manifest = core.manifest;
    this.#settled = !mayWait();
    // A page that waits for its visitor: code can become fast meanwhile.
    setTimeout(() => core.calls || this.#settle(), 200);
    /** @type {About} */
    this.about = { inputs, outputs, dims, labels: task?.labels ?? null, info: core.info };
  }

  /**
   * @param {string | InlineBundle} source @param {LoadOptions} [options]
   * @param {Manifest} [given] the manifest, where it was read already
   */
  static async open(source, options = {}, given) {
    const { signal, threads = 'auto', variants = 'auto' } = options;
    const aborter = new AbortController();
    const stop = () => aborter.abort(signal?.reason);
    signal?.addEventListener('abort', stop);
    const { manifest, file, module, memory, shared, exports, info, files } = await gather(
      source, options, aborter.signal, given,
    ).catch((error) => {
      aborter.abort(); // whatever is still on its way
      throw signal?.aborted ? signal.reason : error;
    }).finally(() => signal?.removeEventListener('abort', stop));
    const { choices = [] } = file;
    const core = /** @type {Core} */ ({
      manifest, files, file, module, memory, info, run: /** @type {Core['run']} */ (exports.run), calls: 0, asked: 1,
      // Later: writing to disk would hold up the first answer.
      kept: new Promise((resolve) => setTimeout(resolve, 400)).then(() => import('./keep.js'))
        .then(({ keep }) => keep(files, manifest)).catch(() => {}),
      free: {
        threads: shared && threads === 'auto',
        variants: mayWait() && variants === 'auto' && choices.length > 0,
      },
      walk: (first, last) => core.run(first, last, 0, 1),
      choose: (names) => {
        for (const { name, offset, bit } of choices) {
          const words = new Int32Array(core.memory.buffer, offset, 1);
          words[0] = (words[0] & ~(1 << bit)) | (+names.includes(name) << bit);
        }
        info.variants = names;
      },
      say: (part, words) => {
        info.reasons[part] = words;
        info.why = Object.values(info.reasons).join('; ');
      },
      changed() {},
    });
    if (variants !== 'auto') {
      const expected = choices.map(({ name }) => name);
      const received = [...variants].find((name) => !expected.includes(name));
      if (received) fail('E-WEB-001', 'variants is wrong.', { expected, received });
      core.choose(variants);
    }
    if (shared && threads !== 'auto') {
      const problem = await import('./threads.js').then(({ hire }) => hire(core, threads)).catch(said);
      core.asked = info.threads;
      core.say('threads', `${info.threads} threads, ${problem
        ?? (info.threads < threads ? 'one per core' : 'as asked')}`);
    }
    core.say('simd', info.reasons.simd);
    return new Engine(core);
  }

  /** @param {Spec} spec @param {number} elements */
  #view({ name, dtype, offset, bytes }, elements) {
    const Type = ARRAYS[dtype];
    if (elements * Type.BYTES_PER_ELEMENT > bytes) {
      fail('E-WEB-007', 'A tensor is larger than its place in memory.', { where: name });
    }
    return new Type(this.core.memory.buffer, offset, elements);
  }

  /**
   * Check the inputs of a call.
   * @param {Record<string, any>} inputs
   * @returns the number of items, the size of each dim, and a function that writes one item
   */
  #accept(inputs) {
    const { inputs: specs, dims } = this.manifest;
    checkNames('the inputs', specs.map(({ name }) => name), Object.keys(Object(inputs)));
    /** @type {Record<string, any>} */
    const sizes = {};
    for (const name in dims) sizes[name] = dims[name].size;
    let items = 0;
    const writes = specs.map((spec) => {
      const { data = inputs[spec.name], shape } = Object(inputs[spec.name]);
      const where = `input "${spec.name}"`;
      const want = ARRAYS[spec.dtype].name;
      const type = Object(data).constructor?.name ?? '';
      if (type.replace('Clamped', '') !== want) {
        fail('E-WEB-012', 'An input has the wrong dtype.', { where, expected: want, received: type });
      }
      /** @type {any[]} */
      const given = Array.from(shape ?? spec.shape.map((d) => (
        typeof d === 'string' ? data.length / count(/** @type {any} */ (spec.shape.filter((e) => e !== d))) : d)));
      const n = spec.batched ? given[0] : 1;
      const fits = given.length === spec.shape.length && given.every((d, i) => {
        const size = spec.shape[i];
        if (!Number.isInteger(d)) return false;
        if (typeof size === 'string') sizes[size] ??= d;
        return spec.batched && !i || d === (sizes[size] ?? size);
      });
      if (!fits || n < 1 || data.length !== count(given) || (items ||= n) !== n) {
        const each = spec.shape.slice(1);
        const many = data.length / count(/** @type {number[]} */ (each));
        fail('E-WEB-011', 'An input has the wrong shape.', {
          where,
          expected: spec.batched ? ['items', ...spec.shape.slice(1)] : spec.shape,
          received: shape ?? `${data.length} elements and no shape`,
          next: spec.batched && !shape && Number.isInteger(many) ? `pass { data, shape: [${[many, ...each]}] }` : undefined,
        });
      }
      const each = data.length / n;
      /** @param {number} i */
      return (i) => this.#view(spec, each).set(data.subarray(i * each, (i + 1) * each));
    });
    for (const name in dims) {
      if (sizes[name] !== undefined) checkSize(name, dims[name], sizes[name]);
    }
    /** @param {number} i */
    const write = (i) => {
      const ints = new Int32Array(this.core.memory.buffer);
      for (const name in dims) ints[dims[name].offset / 4] = sizes[name];
      for (const put of writes) put(i);
    };
    return { items, sizes, write };
  }

  /** Do not settle any more: nobody has the model. Files that came for it are still kept. */
  close() {
    this.#settled = true;
    this.core.team?.resize(1, false);
    return this.core.kept;
  }

  /** Choose and warm up, once, while nobody waits. @param {() => void} [write] puts inputs in place */
  #settle(write) {
    if (this.#settled) return;
    // With sizes that are free, real inputs are waited for.
    this.#settled = !!write || !Object.keys(this.manifest.dims).length;
    import('./choice.js').then(({ settle }) => settle(this.core, write)).catch(() => {});
  }

  /** @param {number} first @param {number} last */
  #steps(first, last) {
    try {
      this.core.walk(first, last);
    } catch (error) {
      if (error instanceof FanlightError) throw error;
      fail('E-WEB-018', 'The WASM engine stopped the model.', { received: said(error) });
    }
  }

  /**
   * One call of WASM per item; the outputs are copies that the caller owns.
   * @param {Record<string, Value>} inputs @returns {Record<string, Tensor>}
   */
  run(inputs) {
    const { items, sizes, write } = this.#accept(inputs);
    this.core.calls++;
    const results = this.manifest.outputs.map((spec) => {
      const shape = spec.shape.map((d) => sizes[d] ?? d);
      const each = count(shape);
      if (spec.batched) shape[0] = items;
      else if (items > 1) shape.unshift(items);
      return { spec, shape, each, data: new ARRAYS[spec.dtype](each * items) };
    });
    for (let i = 0; i < items; i++) {
      write(i);
      this.#steps(0, this.manifest.kernels.length);
      for (const { spec, each, data } of results) data.set(this.#view(spec, each), i * each);
    }
    // Later: what is found out helps the next answer, and must not hold up this one.
    const { threads, variants } = this.core.free;
    if (!this.#settled && (threads || variants)) setTimeout(() => this.#settle(() => write(0)), 100);
    return Object.fromEntries(results.map(
      ({ spec: { name, dtype }, data, shape }) => [name, { data, shape, dtype }]));
  }

  /** What only some bundles do, see steps.js. @param {string} tag @param {unknown[]} args */
  async part(tag, args) {
    return /** @type {any} */ (await import('./steps.js'))[tag](this, ...args);
  }

  /** All outputs for a picture. @param {Picture} picture @returns {Promise<Record<string, Tensor>>} */
  async see(picture) {
    const { manifest } = this;
    const { task } = manifest;
    if (!task) return fail('E-WEB-015', 'This bundle does not classify pictures.', { next: 'run() takes arrays' });
    return this.run({ [task.image]: await pixels(picture, manifest) });
  }

  /** @param {Picture} picture @param {number} top @returns {Promise<Prediction[]>} */
  async classify(picture, top) {
    const out = await this.see(picture);
    const { task } = /** @type {{ task: Task }} */ (this.manifest);
    const { data } = out[task.scores]; // the sorted ones may be fewer
    return [...data.keys()].sort((a, b) => data[b] - data[a]).slice(0, top).map((index) => (
      { label: this.about.labels?.[index] ?? String(index), index, score: data[index] }));
  }

  /**
   * Time each kernel. A browser's clock is coarse, so many rounds are added up.
   * @param {Record<string, Value>} inputs @returns {KernelTime[]}
   */
  profile(inputs) {
    const { kernels } = this.manifest;
    const { write } = this.#accept(inputs);
    const sums = kernels.map(() => 0);
    const end = performance.now() + 300;
    let rounds = -1; // the first one warms up
    for (; rounds < 3 || performance.now() < end; rounds++) {
      write(0);
      for (let k = 0; k < sums.length; k++) {
        const start = performance.now();
        this.#steps(k, k + 1);
        if (rounds >= 0) sums[k] += performance.now() - start;
      }
    }
    return kernels.map((kernel, k) => ({ ...kernel, ms: sums[k] / rounds }));
  }
}
