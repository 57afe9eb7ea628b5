// Training in TF.js: its layers and its fit, and where it has no layer, its ops and an optimizer.
import { kernel, numbers, size, targets } from './training.js';

/** @returns {Promise<(epochs?: number) => Promise<number>>} trains, and gives the last loss */
export async function prepared(what) {
  const { tf } = globalThis;
  const { program, backend, count, shape, classes, target, epochs, batchSize, optimizer } = what;
  if (backend === 'wasm') tf.wasm.setWasmPaths('/peers/@tensorflow/tfjs-backend-wasm/dist/');
  if (!await tf.setBackend(backend)) throw new Error(`TF.js has no ${backend} here`);
  await tf.ready();
  const data = targets(what);
  const x = tf.tensor(numbers(count * size(shape)), [count, ...shape]);
  const y = classes ? tf.tensor1d(Float32Array.from(data)) : tf.tensor(data, [count, ...target]);
  const rule = optimizer === 'adam' ? tf.train.adam() : tf.train.sgd(0.01);
  if (program === 'attention') return attention(tf, x, y, rule, epochs);
  const model = MODELS[program](tf, shape, classes);
  model.compile({ optimizer: rule, loss: classes ? 'sparseCategoricalCrossentropy' : 'meanSquaredError' });
  model.weights.filter(({ originalName }) => originalName.endsWith('kernel')).forEach((weight, i) => (
    weight.write(tf.tensor(kernel(size(weight.shape), i), weight.shape))));
  return async (times = epochs) => {
    const { history } = await model.fit(x, y, { epochs: times, batchSize, shuffle: true, yieldEvery: 'never' });
    return history.loss.at(-1);
  };
}

/** Multi-head self-attention of its ops: there is no such layer. */
function attention(tf, x, y, rule, epochs) {
  const [, length, depth] = x.shape;
  const [heads, width] = [8, 64];
  let made = 0;
  const dense = (into, out) => [
    tf.variable(tf.tensor(kernel(into * out, made++), [into, out])), tf.variable(tf.zeros([out]))];
  const parts = [0, 1, 2].map(() => dense(depth, heads * width));
  const last = dense(heads * width, depth);
  const apply = (rows, [w, b]) => tf.add(tf.matMul(rows, w), b);
  const loss = () => {
    const rows = x.reshape([length, depth]);
    const [q, k, v] = parts.map((part) => apply(rows, part).reshape([length, heads, width]).transpose([1, 0, 2]));
    const scores = tf.softmax(tf.matMul(tf.mul(q, 1 / Math.sqrt(width)), k, false, true));
    const joined = tf.matMul(scores, v).transpose([1, 0, 2]).reshape([length, heads * width]);
    return tf.losses.meanSquaredError(y.reshape([length, depth]), apply(joined, last));
  };
  return async (times = epochs) => {
    let found = null;
    for (let i = 0; i < times; i++) {
      found?.dispose();
      found = rule.minimize(loss, true);
    }
    const [value] = await found.data();
    found.dispose();
    return value;
  };
}

const MODELS = {
  head: (tf, shape, classes) => tf.sequential({ layers: [
    tf.layers.dense({ units: 100, activation: 'relu', inputShape: shape }),
    tf.layers.dense({ units: classes, activation: 'softmax' })] }),
  // With Keras's defaults, which are ours: its own are hardSigmoid and no bias of 1.
  lstm: (tf, shape) => tf.sequential({ layers: [
    tf.layers.lstm({ units: 128, recurrentActivation: 'sigmoid', unitForgetBias: true, inputShape: shape })] }),
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
/** Filters of MobileNet v1 1.0 and strides. */
export const BLOCKS = [[64, 1], [128, 2], [128, 1], [256, 2], [256, 1], [512, 2], [512, 1], [512, 1], [512, 1],
  [512, 1], [512, 1], [1024, 2], [1024, 1]];
