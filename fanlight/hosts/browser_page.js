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
  const bytes = bytesOf(base64);
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

/** @param {string} text base64 */
function bytesOf(text) {
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
}

/** @param {unknown} problem */
function told(problem) {
  const { code, message } = /** @type {{ code?: string, message?: string }} */ (problem ?? {});
  return { error: { code: code ?? null, message: message ?? String(problem) } };
}

/** @type {any} */
let model = null;

const host = {
  /** @param {string} name of the manifest @param {object} options */
  async open(name, options) {
    try {
      const { load } = await import(new URL('/fanlight.js', location.href).href);
      model = await load(new URL(`/${encodeURIComponent(name)}`, location.href).href, options);
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
        info: model.info,
      };
    } catch (problem) {
      return told(problem);
    }
  },

  /**
   * Run once, and then leave the model alone until it knows which of its variants is fastest.
   * @param {Record<string, Packed>} inputs
   * @param {number} most milliseconds to wait
   */
  async settle(inputs, most) {
    try {
      await model.run(unpackAll(inputs));
      const end = performance.now() + most;
      while (!model.info.tried && performance.now() < end) {
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      return { info: model.info };
    } catch (problem) {
      return told(problem);
    }
  },

  /** @param {Record<string, Packed>} inputs */
  async profile(inputs) {
    try {
      return { profile: await model.profile(unpackAll(inputs)), info: model.info };
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
      return { ms: runs, info: model.info };
    } catch (problem) {
      return told(problem);
    }
  },

  /**
   * Kernels and probes in turn, so that a slow moment of the machine meets both.
   * @param {Record<string, Packed>} inputs
   * @param {{ wasm: string, pages: number, calls: { name: string, args: number[] }[] }[]} probes
   * @param {number} rounds
   * @returns {Promise<object>} milliseconds of each kernel, per round, and of each probe's call, thrice
   *   per round
   */
  async beside(inputs, probes, rounds) {
    try {
      const unpacked = unpackAll(inputs);
      const calls = [];
      for (const { wasm, pages, calls: wanted } of probes) {
        const memory = new WebAssembly.Memory({ initial: pages });
        new Uint8Array(memory.buffer).fill(1); // untouched pages are all the same one
        const made = await WebAssembly.instantiate(bytesOf(wasm), { fanlight: { memory } });
        const exports = /** @type {any} */ (made.instance.exports);
        for (const { name, args } of wanted) calls.push(() => exports[name](...args));
      }
      for (let i = 0; i < 3; i++) for (const call of calls) call(); // tier-up
      const found = { profiles: /** @type {any[]} */ ([]), probes: /** @type {any[]} */ ([]) };
      for (let round = 0; round < rounds; round++) {
        for (let turn = 0; turn < 3; turn++) {
          found.probes.push(calls.map((call) => {
            const start = performance.now();
            call();
            return performance.now() - start;
          }));
        }
        found.profiles.push(await model.profile(unpacked));
      }
      return found;
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
