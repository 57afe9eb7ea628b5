// Training in one engine (?who=), as one would write it there, on one thread. Each case is a function
// that trains once and gives the last loss.
const query = new URLSearchParams(location.search);

/** Numbers from 0 to 1 that every engine gets. @param {number} count */
function numbers(count) {
  const data = new Float32Array(count);
  let state = 12345;
  for (let i = 0; i < count; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    data[i] = (state >>> 0) / 2 ** 32;
  }
  return data;
}

const size = (shape) => shape.reduce((a, b) => a * b, 1);
let cases = {};

const engines = {
  async fanlight({ bundle, count, shape, classes, epochs, batchSize }) {
    const { load } = await import(`${bundle}train.js`);
    const model = await load(bundle, { threads: 1 });
    const x = numbers(count * size(shape));
    const y = Int32Array.from({ length: count }, (_, i) => i % classes);
    return async () => {
      const { history } = await model.fit(x, y, { epochs, batchSize });
      return history.loss.at(-1);
    };
  },

  async tfjs({ program, count, shape, classes, epochs, batchSize, backend }) {
    const { tf } = globalThis;
    if (backend === 'wasm') tf.wasm.setWasmPaths('/peers/@tensorflow/tfjs-backend-wasm/dist/');
    await tf.setBackend(backend);
    await tf.ready();
    const model = MODELS[program](tf, shape, classes);
    model.compile({ optimizer: tf.train.adam(), loss: 'sparseCategoricalCrossentropy' });
    const x = tf.tensor(numbers(count * size(shape)), [count, ...shape]);
    const y = tf.tensor1d(Float32Array.from({ length: count }, (_, i) => i % classes));
    return async () => {
      const { history } = await model.fit(x, y, { epochs, batchSize, shuffle: true, yieldEvery: 'never' });
      return history.loss.at(-1);
    };
  },
};

const MODELS = {
  head: (tf, shape, classes) => tf.sequential({ layers: [
    tf.layers.dense({ units: 100, activation: 'relu', inputShape: shape }),
    tf.layers.dense({ units: classes, activation: 'softmax' })] }),
  mobilenet: (tf, shape, classes) => {
    const { layers } = tf;
    const input = tf.input({ shape });
    const norm = (x) => layers.reLU({ maxValue: 6 }).apply(layers.batchNormalization().apply(x));
    const conv = (x, filters, kernelSize, strides) => norm(
      layers.conv2d({ filters, kernelSize, strides, padding: 'same', useBias: false }).apply(x));
    let x = conv(input, 8, 3, 2);
    for (const [filters, strides] of BLOCKS) {
      x = norm(layers.depthwiseConv2d({ kernelSize: 3, strides, padding: 'same', useBias: false }).apply(x));
      x = conv(x, filters / 4, 1, 1);
    }
    x = layers.dense({ units: classes, activation: 'softmax' }).apply(layers.globalAveragePooling2d({}).apply(x));
    return tf.model({ inputs: input, outputs: x });
  },
};
const BLOCKS = [[64, 1], [128, 2], [128, 1], [256, 2], [256, 1], [512, 2], [512, 1], [512, 1], [512, 1],
  [512, 1], [512, 1], [1024, 2], [1024, 1]];

globalThis.prepare = async (name, what) => {
  cases = { [name]: await engines[query.get('who')](what) };
};
/** Milliseconds of training once, and the last loss. */
globalThis.train = async (name) => {
  const start = performance.now();
  const loss = await cases[name]();
  return [performance.now() - start, loss];
};
globalThis.ready = true;
