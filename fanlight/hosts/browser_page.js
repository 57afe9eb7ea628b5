// The page side of hosts/browser.py: loads the bundle at the server's root through its own
// runtime, as any page would, and speaks to Python in plain JSON (arrays as base64).
// @ts-check

/** @typedef {{ dtype: string, shape: number[], base64: string }} Packed */

const TYPES = {
  float32: Float32Array,
  int32: Int32Array,
  uint8: Uint8Array,
  bool: Uint8Array,
};

/** @param {Packed} packed */
function unpack({ dtype, shape, base64 }) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const Type = TYPES[/** @type {keyof typeof TYPES} */ (dtype)];
  return { data: new Type(bytes.buffer), shape };
}

/**
 * @param {{ data: ArrayBufferView, shape: readonly number[], dtype: string }} value
 * @returns {Packed}
 */
function pack({ data, shape, dtype }) {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  let text = '';
  // A chunk at a time: the spread of a large array would overflow the stack.
  for (let i = 0; i < bytes.length; i += 0x8000) {
    text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  }
  return { dtype, shape: [...shape], base64: btoa(text) };
}

/** @param {unknown} problem */
function told(problem) {
  const { code, message } = /** @type {{ code?: string, message?: string }} */ (problem ?? {});
  return { error: { code: code ?? null, message: message ?? String(problem) } };
}

/** @type {any} */
let model = null;

const host = {
  /** @param {object} options */
  async open(options) {
    try {
      const { load } = await import(new URL('/fanlight.js', location.href).href);
      model = await load(new URL('/', location.href).href, options);
      return { info: model.info };
    } catch (problem) {
      return told(problem);
    }
  },

  /** @param {Record<string, Packed>} inputs */
  async run(inputs) {
    try {
      const outputs = await model.run(unpackAll(inputs));
      return {
        outputs: Object.fromEntries(Object.entries(outputs).map(([k, v]) => [k, pack(v)])),
      };
    } catch (problem) {
      return told(problem);
    }
  },

  /** @param {Record<string, Packed>} inputs */
  async profile(inputs) {
    try {
      return { profile: await model.profile(unpackAll(inputs)) };
    } catch (problem) {
      return told(problem);
    }
  },

  /**
   * Milliseconds of each of `times` runs, after `warmup` unmeasured ones.
   * @param {Record<string, Packed>} inputs
   * @param {number} times
   * @param {number} warmup
   */
  async time(inputs, times, warmup) {
    try {
      const unpacked = unpackAll(inputs);
      const runs = [];
      for (let i = -warmup; i < times; i++) {
        const start = performance.now();
        await model.run(unpacked);
        if (i >= 0) runs.push(performance.now() - start);
      }
      return { ms: runs };
    } catch (problem) {
      return told(problem);
    }
  },
};

/** @param {Record<string, Packed>} inputs */
function unpackAll(inputs) {
  return Object.fromEntries(Object.entries(inputs).map(([name, v]) => [name, unpack(v)]));
}

Object.assign(globalThis, { fanlightHost: host });
