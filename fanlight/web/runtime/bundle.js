import { fail, said } from './errors.js';
/**
 * @import { DType, HashedFile, InlineBundle, LoadOptions, Manifest } from './types.js'
 * @typedef {ReadableStream<Uint8Array<ArrayBuffer>>} Stream
 * @typedef {[string, Uint8Array, string?]} Fresh
 */

/** The typed array of each dtype. */
export const ARRAYS = { float32: Float32Array, int32: Int32Array, uint8: Uint8Array, bool: Uint8Array };

/** The number of elements of a shape. @param {number[]} shape */
export const count = (shape) => shape.reduce((a, b) => a * b, 1);

/**
 * Refuse other names than those of some tensors.
 * @param {string} what @param {string[]} expected @param {string[]} received @param {string} [next]
 */
export const checkNames = (what, expected, received, next) => {
  if (String([...received].sort()) !== String([...expected].sort())) {
    fail('E-WEB-010', `These are not the names of ${what}.`, { expected, received, next });
  }
};

/**
 * Refuse a size that is out of bounds.
 * @param {string} what @param {{ min: number, max: number }} bounds @param {any} received
 * @param {string} [dim] that the build was given
 */
export const checkSize = (what, { min, max }, received, dim) => {
  if (!(Number.isInteger(received) && received >= min && received <= max)) {
    fail('E-WEB-013', `${what} is out of bounds.`, { expected: `${min} to ${max}`, received,
      next: dim && received > max ? `build with a larger dims={"${dim}": ...}` : undefined });
  }
};

/** @param {RegExp} form @returns {(v: any) => boolean} */
const like = (form) => (v) => typeof v === 'string' && form.test(v);
const text = like(/./);
/** @param {number} low @param {number} high @returns {(v: any) => boolean} */
const whole = (low, high) => (v) => Number.isInteger(v) && v >= low && v <= high;
const size = whole(0, 2 ** 32);
const file = {
  path: like(/^\w[\w.-]*(\/\w[\w.-]*)*$/), // never out of the folder
  bytes: size,
  sha256: like(/^[0-9a-f]{64}$/),
};
const tensor = {
  name: text,
  dtype: (/** @type {any} */ v) => Object.hasOwn(ARRAYS, v),
  shape: [(/** @type {any} */ v) => text(v) || size(v)],
  offset: size,
  bytes: size,
};
/** What the runtime relies on: a test per value, a list of one rule, or a rule per key. */
const RULES = {
  fanlight: whole(1, 1),
  memory: { pages: whole(1, 65536) },
  inputs: [tensor],
  outputs: [tensor],
  weights: [{
    ...file, offset: size, encoding: (/** @type {any} */ v) => v === undefined || v === 'f16',
  }],
  modules: [{ ...file, simd: text }],
  kernels: [{ name: text }],
};

/**
 * Check a manifest: it comes from the network and nothing vouches for it, so no number may reach past
 * the memory and no path out of the folder.
 * @param {any} m @param {string} where @returns {Manifest}
 */
export function checkManifest(m, where) {
  /** @param {unknown} ok @param {string} part @param {unknown} received @param {string} [expected] */
  const need = (ok, part, received, expected) => ok || fail(
    'E-WEB-007', `${part} is wrong.`, { where, expected, received, next: 'build the bundle again' });
  /** @param {any} rule @param {any} value @param {string} part */
  const check = (rule, value, part) => {
    const list = Array.isArray(rule);
    const leaf = typeof rule === 'function';
    need(leaf ? rule(value) : Object(value) === value && list === Array.isArray(value), part, value);
    if (list) for (const item of value) check(rule[0], item, `${part}[]`);
    else if (!leaf) for (const key of Object.keys(rule)) check(rule[key], value[key], `${part}.${key}`);
  };
  if (m?.fanlight > 1) {
    fail('E-WEB-008', 'The bundle is newer than the runtime.',
      { where, expected: 1, received: m.fanlight, next: 'use the fanlight.js of the bundle' });
  }
  check(RULES, { dims: {}, ...m }, 'manifest');
  const { inputs, outputs, weights, memory, modules, dims = {}, task, files } = m;
  /** @param {any} place @param {number} align @param {string} part */
  const fits = (place, align, part) => need(place.offset % align === 0
    && place.offset + place.bytes <= memory.pages * 65536, `manifest.${part}`, place, 'a place in memory');
  for (const shard of weights) {
    need(!shard.encoding || shard.bytes % 16 === 0, 'manifest.weights[].bytes', shard.bytes, 'groups of 16');
    fits({ ...shard, bytes: shard.bytes * (shard.encoding ? 2 : 1) }, 1, 'weights');
  }
  for (const { choices = [], threads, bytes } of modules) {
    if (threads) {
      check({ flags: whole(9, bytes - 1), control: size }, threads, 'manifest.modules[].threads');
      fits({ offset: threads.control, bytes: 256 }, 64, 'control');
    }
    check([{ name: text, offset: size, bit: whole(0, 31) }], choices, 'manifest.modules[].choices');
    for (const choice of choices) fits({ ...choice, bytes: 4 }, 4, 'choices');
  }
  for (const entry of Object.values({ ...files })) check({ path: file.path }, { path: 'a', ...entry }, 'manifest.files');
  for (const name of Object.keys(dims)) {
    check({ offset: size, min: size, max: size }, dims[name], `manifest.dims.${name}`);
    fits({ ...dims[name], bytes: 4 }, 4, 'dims');
  }
  for (const spec of [...inputs, ...outputs]) {
    fits(spec, ARRAYS[/** @type {DType} */ (spec.dtype)].BYTES_PER_ELEMENT, spec.name);
    for (const d of spec.shape) need(size(d) || Object.hasOwn(dims, d), 'manifest.dims', d);
  }
  const names = [...inputs, ...outputs].map(({ name }) => name);
  for (const role of task?.kind === 'classify' ? ['image', 'scores', 'top_scores', 'top_indices'] : []) {
    need(names.includes(task[role]), `manifest.task.${role}`, task[role]);
  }
  return { ...m, dims };
}

/** @param {number} value @param {number} digits */
const hex = (value, digits) => value.toString(16).padStart(digits, '0');

/** The SHA-256 of some bytes, in hex. @param {Uint8Array} bytes */
export async function sha256(bytes) {
  if (!globalThis.crypto?.subtle) return (await import('./digest.js')).digest(bytes);
  const { buffer } = bytes;
  // WebCrypto reads no shared memory: a copy, for as long as it takes.
  const plain = buffer instanceof ArrayBuffer ? /** @type {Uint8Array<ArrayBuffer>} */ (bytes) : bytes.slice();
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', plain));
  return Array.from(hash, (byte) => hex(byte, 2)).join('');
}

/**
 * @template T @param {string} url @param {RequestCache} cache @param {AbortSignal | undefined} signal
 * @param {(response: Response) => T} read @returns {Promise<Awaited<T>>}
 */
async function get(url, cache, signal, read) {
  let received;
  try {
    const response = await fetch(url, { cache, signal });
    if (response.ok) return await read(response);
    received = `HTTP ${response.status}`;
  } catch (error) {
    signal?.throwIfAborted();
    received = said(error);
  }
  return fail('E-WEB-005', 'A file of the bundle could not be fetched.',
    { where: url, received, next: 'check the network, and that the whole bundle was uploaded' });
}

/**
 * Copy a stream into `target` as it arrives, never past its end.
 * @param {Stream} stream @param {Uint8Array} target @param {(bytes: number) => void} arrived
 * @returns whether it filled the target exactly
 */
async function pour(stream, target, arrived) {
  const reader = stream.getReader();
  for (let at = 0; ;) {
    const { done, value } = await reader.read();
    if (done) return at === target.length;
    if (at + value.length > target.length) return reader.cancel().then(() => false);
    target.set(value, at);
    at += value.length;
    arrived(value.length);
  }
}

/** @param {string} base64 */
const decode = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

/** What errors call a bundle that came with the page. */
const HERE = 'this page';

/** Where files are kept, by their hash. */
const STORE = 'fanlight-v1';

/**
 * Read the manifest of a bundle and check it; what names a list of bundles is for tiers.js to check.
 * @param {string | InlineBundle} source @param {AbortSignal} [signal] @returns {Promise<Manifest>}
 */
export async function readManifest(source, signal) {
  if (typeof source !== 'string') return checkManifest(source.manifest, HERE);
  const body = await get(source, 'no-cache', signal, (response) => response.text());
  let manifest;
  try {
    manifest = JSON.parse(body);
  } catch (error) {
    fail('E-WEB-007', 'The manifest is not JSON.', { where: source, received: said(error) });
  }
  return manifest?.group ? manifest : checkManifest(manifest, source);
}

/** The files of one bundle, from a folder on the web or from memory. */
export class Files {
  #loaded = 0;
  /** @type {Promise<any>} */
  #hashed = Promise.resolve();
  store = STORE;
  /** What came from the network: its key in the store, where it landed, its encoding. @type {Fresh[]} */
  fresh = [];

  /**
   * @param {string | InlineBundle} source @param {LoadOptions} options @param {AbortSignal} signal
   * @param {number} total bytes that will have arrived in the end
   */
  constructor(source, { cache = true, onProgress }, signal, total) {
    const remote = typeof source === 'string';
    this.source = source;
    this.signal = signal;
    this.base = remote ? new URL('./', source).href : '';
    // Whether there is a store. Cache Storage is missing on plain http, and refused in some private
    // windows. To make one takes as long as a fetch: not before the first answer.
    this.stored = cache && remote && globalThis.caches
      ? caches.has(STORE).catch(() => undefined) : undefined;
    /** @param {number} bytes */
    this.arrived = (bytes) => onProgress?.({ loaded: this.#loaded += bytes, total });
  }

  /**
   * Bring one file into `target`: from the cache, else the network, else the network once more past
   * every cache. Only the right SHA-256 counts; what a wrong file left in `target` is written over.
   * @param {HashedFile & { encoding?: string }} file
   * @param {Uint8Array} target which stays as it is, or as its encoding makes of it, until it is kept
   */
  async bring({ path, bytes, sha256: expected, encoding }, target) {
    const { source, base } = this;
    const stored = await this.stored;
    const remote = typeof source === 'string';
    const key = base + expected;
    let received;
    for (const from of remote ? ['cache', 'default', 'reload'] : ['memory']) {
      /** @type {Response | undefined} */
      let response;
      if (!remote) {
        const content = source.files[path];
        const { type } = Object(content);
        response = new Response(type === 'text/base64' ? decode(await new Response(content).text()) : content);
      } else if (from !== 'cache') {
        response = await get(base + path, /** @type {RequestCache} */ (from), this.signal, (it) => it);
      } else if (stored) {
        response = await caches.match(key).catch(() => undefined); // the service worker's, too
      }
      if (!response) continue;
      let own = 0;
      try {
        const full = !bytes || await pour(/** @type {Stream} */ (response.body), target, (count) => {
          own += count;
          this.arrived(count);
        });
        // One after the other, for each may need a copy.
        received = full ? await (this.#hashed = this.#hashed.then(() => sha256(target))) : 'another size';
      } catch (error) {
        received = said(error);
      }
      this.signal.throwIfAborted();
      if (received === expected) {
        if (from !== 'cache') this.fresh.push([key, target, encoding]);
        return;
      }
      this.arrived(-own);
    }
    fail('E-WEB-006', 'A file of the bundle is not the one that was built.', {
      where: base + path, expected: `${bytes} bytes, SHA-256 ${expected}`, received,
      next: 'upload the whole bundle again',
    });
  }
}
