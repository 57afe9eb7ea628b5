// Functions of tensors in one engine (?who=): ours from their bundles, TF.js and jax-js as one would
// write them there. Inputs are in the engine's memory before, results stay there: what is timed is
// the computing. prepare(name) makes a case ready; a turn runs it once.
const query = new URLSearchParams(location.search);

/** Numbers from -1 to 1 that every engine gets. @param {number} count @param {number} seed */
function numbers(count, seed) {
  const data = new Float32Array(count);
  let state = seed * 2654435761 + 1;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    data[i] = state / 2 ** 31;
  }
  return data;
}

const size = (shape) => shape.reduce((a, b) => a * b, 1);
const given = (inputs) => inputs.map(({ shape, dtype, limit }, i) => (dtype === 'int32'
  ? Int32Array.from(numbers(size(shape), i + 1), (v) => Math.floor(Math.abs(v) * limit) % limit)
  : numbers(size(shape), i + 1)));

const engines = {
  /** The module itself, in a memory of its own: no worker, nothing copied. */
  async fanlight({ bundle, inputs }) {
    const base = new URL(bundle, location.href).href;
    const manifest = await (await fetch(`${base}manifest.json`)).json();
    const { pages } = manifest.memory;
    const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    const load = async (path) => new Uint8Array(await (await fetch(base + path)).arrayBuffer());
    for (const { path, offset } of manifest.weights) {
      new Uint8Array(memory.buffer).set(await load(path), offset);
    }
    for (const { path } of manifest.modules) {
      const code = await load(path);
      if (!WebAssembly.validate(code)) continue;
      const { instance } = await WebAssembly.instantiate(code, { fanlight: { memory } });
      given(inputs).forEach((data, i) => {
        new data.constructor(memory.buffer, manifest.inputs[i].offset, data.length).set(data);
      });
      const { offset, bytes } = manifest.outputs[0];
      return {
        run: () => instance.exports.run(0, manifest.kernels.length, 0, 1),
        result: async () => new Float32Array(memory.buffer, offset, bytes / 4),
      };
    }
    throw new Error('no module runs here');
  },

  async tfjs({ program, inputs }) {
    const { tf } = globalThis;
    tf.wasm.setWasmPaths('/peers/@tensorflow/tfjs-backend-wasm/dist/');
    await tf.setBackend('wasm');
    await tf.ready();
    const tensors = given(inputs).map((d, i) => tf.tensor(d, inputs[i].shape, inputs[i].dtype));
    const call = PROGRAMS[program](tf);
    return {
      run: () => tf.dispose(tf.tidy(() => call(...tensors))),
      result: async () => tf.tidy(() => call(...tensors)).data(),
    };
  },

  async jaxjs({ program, inputs }) {
    Object.defineProperty(navigator, 'hardwareConcurrency', { value: 1 });
    const { blockUntilReady, defaultDevice, init, jit, numpy: np } = await import('/peers/@jax-js/jax/dist/index.js');
    await init('wasm');
    defaultDevice('wasm');
    if (program !== 'matmul') throw new Error(`jax-js: ${program}`);
    const arrays = given(inputs).map((d, i) => np.array(d).reshape(inputs[i].shape));
    const call = jit((a, b) => np.matmul(a, b));
    const once = () => call(...arrays.map((a) => a.ref));
    return {
      run: async () => (await blockUntilReady(once())).dispose(),
      result: async () => once().data(),
    };
  },
};

const PROGRAMS = {
  chain: (tf) => (x, y) => tf.sqrt(tf.add(tf.square(tf.sub(tf.relu(tf.add(tf.mul(x, y), x)), y)), tf.abs(x))),
  softmax: (tf) => (x) => tf.softmax(x),
  layer_norm: (tf) => (x) => {
    const { mean, variance } = tf.moments(x, 1, true);
    return tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, 1e-5)));
  },
  sum_rows: (tf) => (x) => tf.sum(x, 1),
  sum_columns: (tf) => (x) => tf.sum(x, 0),
  max_rows: (tf) => (x) => tf.max(x, 1),
  mean_all: (tf) => (x) => tf.mean(x),
  transpose: (tf) => (x) => tf.transpose(x),
  gather: (tf) => (x, i) => tf.gather(x, i),
  cumsum: (tf) => (x) => tf.cumsum(x, 1),
  top_k: (tf) => (x) => tf.topk(x, 8).values,
  matmul: (tf) => (a, b) => tf.matMul(a, b),
};

let ready;
globalThis.prepare = async (what) => {
  ready = undefined;
  ready = await engines[query.get('who')](what);
  const result = await ready.result();
  // A sample, so that all engines can be seen to have computed the same.
  await ready.run();
  const after = await ready.result();
  const step = Math.max(1, Math.floor(after.length / 64));
  return Array.from({ length: Math.min(64, result.length) }, (_, i) => after[i * step]);
};
globalThis.once = async () => {
  const start = performance.now();
  await ready.run();
  return { ms: performance.now() - start };
};
globalThis.ready = true;
