import { ARRAYS, checkNames, checkSize, count, readManifest, sha256 } from './bundle.js';
import { Engine } from './engine.js';
import { FanlightError, fail, said } from './errors.js';
import { pixels, portable } from './image.js';
/**
 * @import { About, ImageSource, InlineBundle, KernelTime, LoadOptions, Prediction } from './types.js'
 * @import { Progress, Tensor, Value } from './types.js'
 * @typedef {(tag: string, args: unknown[]) => Promise<any>} Call
 * @typedef {(reason: unknown) => void} Shut
 * @typedef {{ call: Call, close: Shut, end: Shut, started: Promise<void>, info?: {} }} Link
 */
export { ARRAYS, Engine, FanlightError, checkNames, checkSize, count, fail, pixels, portable, readManifest, said, sha256 };

const gone = new FinalizationRegistry((/** @type {() => void} */ close) => close());

/** A loaded model. Calls may overlap; they are answered in order. Made by `load`. */
export class Model {
  #call;
  #close;
  #waiting = 0;

  /** @param {About} about @param {Call} call @param {(reason: unknown) => void} close */
  constructor({ inputs, outputs, dims, labels, info }, call, close) {
    this.inputs = inputs;
    this.outputs = outputs;
    this.dims = dims;
    this.labels = labels;
    this.info = info;
    this.#call = call;
    this.#close = close;
    // A model that nobody holds any more gives its memory back without being told to.
    gone.register(this, () => close(undefined), this);
  }

  /** Ask the engine; other modules do, too. @type {Call} */
  async ask(tag, args) {
    this.#waiting++;
    try {
      return await this.#call(tag, args);
    } finally {
      this.#waiting--; // while it counts, it is not garbage
    }
  }

  /**
   * Compute all outputs. Each input is a typed array of the input's own shape, or `{ data, shape }`;
   * a batched input may have several items; one free size follows from how long the array is.
   * Where a model classifies pictures, the input may be anything that `classify` takes.
   * Rejects with a FanlightError.
   * @param {Record<string, Value | ImageSource>} inputs @returns {Promise<Record<string, Tensor>>}
   */
  async run(inputs) {
    const given = Object(inputs);
    const photo = given[this.inputs[0].name];
    const { length, data, width } = Object(photo);
    // Arrays have a length or data; ImageData has data, too.
    return photo && length === undefined && (!data || width) && !Object.keys(given)[1]
      ? this.ask('see', [await portable(photo)]) : this.ask('run', [inputs]);
  }

  /**
   * Say what is in a picture, the likeliest first.
   * @param {ImageSource} source @param {{ top?: number }} [options] @returns {Promise<Prediction[]>}
   */
  async classify(source, { top = 3 } = {}) {
    return this.ask('classify', [await portable(source), top]);
  }

  /**
   * Milliseconds per kernel, the mean of many rounds.
   * @param {Record<string, Value>} inputs @returns {Promise<KernelTime[]>}
   */
  profile(inputs) {
    return this.ask('profile', [inputs]);
  }

  /** Give the memory back. Calls still waiting, and later ones, reject. */
  dispose() {
    gone.unregister(this);
    this.#close(new FanlightError('E-WEB-014', 'The model was disposed.', { next: 'load it again' }));
  }
}

/** @param {string} text */
const plain = (text) => text.replaceAll('_', '').toLowerCase();

/** Refuse options that there are not. @param {string} method @param {any} given @param {string[]} names */
export const checkOptions = (method, given, names) => {
  if (Object(given) !== given) fail('E-WEB-001', 'The options are wrong.', { expected: 'an object', received: String(given) });
  const received = Object.keys(given).find((name) => !names.includes(name));
  if (received === undefined) return;
  const meant = names.filter((name) => plain(name).startsWith(plain(received).slice(0, 3))).join(' or ');
  fail('E-WEB-001', `${method} has no such option.`, {
    expected: names, received, next: meant ? `did you mean ${meant}?` : undefined });
};

/** The options of `load`. */
export const LOAD_OPTIONS = ['backend', 'budget', 'cache', 'onProgress', 'signal', 'simd', 'threads', 'variants', 'worker'];

/**
 * Open a bundle: the URL of its folder or manifest, or one that is already in memory.
 * Rejects with a FanlightError, or with the signal's reason when it is aborted.
 * @param {string | URL | InlineBundle} url @param {LoadOptions} [options] @returns {Promise<Model>}
 */
export async function load(url, options = {}) {
  checkOptions('load', options, LOAD_OPTIONS);
  const {
    backend, budget, worker = /** @type {InlineBundle} */ (url)?.worker ?? true, onProgress, signal, ...rest
  } = options;
  signal?.throwIfAborted();
  const { simd, threads } = rest;
  /** @param {unknown} known @param {string} name @param {string} expected @param {unknown} received */
  const need = (known, name, expected, received) => (
    received === undefined || received === 'auto' || known
      || fail('E-WEB-001', `${name} is wrong.`, { expected: `auto or ${expected}`, received }));
  need(backend === 'wasm', 'backend', 'wasm', backend);
  need(simd === 'relaxed' || simd === 'plain', 'simd', 'relaxed or plain', simd);
  need(Number.isInteger(threads) && Number(threads) > 0, 'threads', '1, 2, ...', threads);
  const source = address(url);
  const ways = typeof worker === 'function' ? [worker] : worker ? [blobWorker, fileWorker] : [];
  const all = { ...rest, onProgress, signal };
  // While a worker starts, the manifest can come. The rest comes to where it is used.
  const manifest = typeof source === 'string' ? readManifest(source, signal) : undefined;
  manifest?.catch(() => {}); // whoever awaits it hears of it

  let why = '';
  for (const way of ways) {
    /** @type {Link | undefined} */
    let link;
    let started = false;
    const stop = () => link?.close(signal?.reason);
    try {
      link = connect(way(), onProgress);
      signal?.addEventListener('abort', stop);
      await link.started;
      started = true;
      if ((await manifest)?.group) {
        link.close(undefined);
        break;
      }
      const about = await link.call('open', [source, rest, await manifest]);
      link.info = about.info;
      return new Model(about, link.call, link.end);
    } catch (error) {
      link?.close(error);
      if (started || signal?.aborted) throw error;
      why = `on this thread: ${said(error)}`;
    } finally {
      signal?.removeEventListener('abort', stop);
    }
  }
  const given = await manifest;
  if (given?.group) return (await import('./tiers.js')).openGroup(String(source), given, options);
  /** @type {Engine | undefined} */
  let engine = await Engine.open(source, all, given);
  if (why) engine.core.say('worker', why);
  /** @type {unknown} */
  let closed;
  return new Model(engine.about, async (tag, args) => {
    if (!engine) throw closed;
    return engine[/** @type {'run'} */ (tag)](.../** @type {[any]} */ (args));
  }, (reason) => {
    engine?.close();
    engine = undefined;
    closed = reason;
  });
}

const fileWorker = () => new Worker(new URL('./worker.js', import.meta.url), { type: 'module' });

/**
 * A worker that starts from a blob: URL obeys this page's Content-Security-Policy (one from the
 * network obeys only its own headers) and may come from another origin, such as a CDN.
 */
function blobWorker() {
  // Both at once: one after the other would be two waits for the network.
  const script = ['./fanlight.js', './worker.js'].map((path) => (
    `import ${JSON.stringify(new URL(path, import.meta.url).href)};`)).join('');
  const blob = URL.createObjectURL(new Blob([script], { type: 'text/javascript' }));
  setTimeout(() => URL.revokeObjectURL(blob), 6e4);
  return new Worker(blob, { type: 'module' });
}

/** @param {string | URL | InlineBundle} url */
function address(url) {
  if (typeof url === 'object' && 'manifest' in url) return { manifest: url.manifest, files: url.files };
  try {
    const full = new URL(url, globalThis.document?.baseURI ?? location.href);
    if (!full.pathname.endsWith('.json')) {
      if (!full.pathname.endsWith('/')) full.pathname += '/';
      full.pathname += 'manifest.json';
    }
    return full.href;
  } catch (error) {
    return fail('E-WEB-001', 'This is not the address of a bundle.',
      { expected: 'the URL of a folder or of a manifest.json', received: String(url) });
  }
}

/**
 * The arguments of a call as a message takes them, and what it gives away: pictures, and copies of the
 * inputs, which are faster handed over than copied by the browser (twice), and safe from what the page
 * does next.
 * @param {string} tag @param {unknown[]} args @returns {[unknown[], Transferable[]]}
 */
function message(tag, args) {
  if (tag !== 'run' && tag !== 'profile') return [args, args.flat().filter((part) => part instanceof ImageBitmap)];
  /** @type {Transferable[]} */
  const own = [];
  const copies = Object.entries(Object(args[0])).map(([name, given]) => {
    const { data, shape } = 'data' in Object(given) ? given : { data: given };
    const copy = ArrayBuffer.isView(data) ? /** @type {any} */ (data).slice?.() ?? data : data;
    if (copy !== data) own.push(copy.buffer);
    return [name, { data: copy, shape: shape && Array.from(shape) }];
  });
  return [[Object.fromEntries(copies)], own];
}

/** @param {Worker} worker @param {((progress: Progress) => void)} [onProgress] @returns {Link} */
function connect(worker, onProgress) {
  /** @type {Map<number, { resolve: (value: any) => void, reject: (reason: unknown) => void }>} */
  const waiting = new Map();
  let last = 0;
  /** @type {{ reason: unknown } | undefined} */
  let closed;
  /** @param {unknown} reason */
  const shut = (reason) => {
    closed ??= { reason };
    for (const { reject } of waiting.values()) reject(reason);
    waiting.clear();
  };
  /** @param {unknown} reason */
  const close = (reason) => {
    worker.terminate();
    shut(reason);
  };
  worker.onmessage = ({ data: { id, progress, info, value, error } }) => {
    if (info) Object.assign(link.info ?? {}, info);
    if (progress) onProgress?.(progress);
    if (info || progress) return;
    const { resolve, reject } = waiting.get(id) ?? {};
    waiting.delete(id);
    if (error) reject?.(new FanlightError(.../** @type {[string, string, {}]} */ (error)));
    else resolve?.(value);
  };
  worker.onerror = (event) => {
    event.preventDefault();
    close(new FanlightError('E-WEB-020',
      waiting.has(0) ? 'The worker did not start.' : 'The worker stopped.', { received: event.message }));
  };
  /** @type {Link} */
  const link = {
    close,
    end: (reason) => {
      shut(reason);
      worker.postMessage({ tag: 'close', args: [] }); // it may have files to keep
      setTimeout(close, 5e3);
    },
    started: new Promise((resolve, reject) => {
      waiting.set(0, { resolve, reject });
    }),
    call: (tag, args) => new Promise((resolve, reject) => {
      if (closed) {
        reject(closed.reason);
        return;
      }
      try {
        const [sent, given] = message(tag, args);
        worker.postMessage({ id: ++last, tag, args: sent }, given);
        waiting.set(last, { resolve, reject });
      } catch (error) {
        reject(new FanlightError('E-WEB-017', 'The browser does not let this page read the input.',
          { received: said(error), next: 'serve the picture with CORS' }));
      }
    }),
  };
  return link;
}
