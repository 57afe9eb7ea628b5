// A training step in jax-js on its wasm device: a function of parameters, its gradient and Adam by hand
// (its optimizers are another package), all in one jit. Every use of an array but the last takes a
// reference. Written with products and shifted sums, or with a jit per layer, it was no faster.
import { kernel, numbers, size, targets } from './training.js';
import { BLOCKS } from './training_tfjs.js';

/** @returns {Promise<(epochs?: number) => Promise<number>>} trains, and gives the last loss */
export async function prepared(what) {
  const { program, count, shape, classes, epochs } = what;
  if (program !== 'mobilenet') throw new Error(`jax-js: ${program}`);
  Object.defineProperty(navigator, 'hardwareConcurrency', { value: 1 });
  const jax = await import('/peers/@jax-js/jax/dist/index.js');
  await jax.init('wasm');
  jax.defaultDevice('wasm');
  const { jit, numpy: np, tree, valueAndGrad } = jax;
  const net = mobilenet(jax, classes);
  const pictures = np.array(numbers(count * size(shape))).reshape([count, ...shape]);
  const x = np.transpose(pictures, [0, 3, 1, 2]);
  await jax.blockUntilReady(x);
  const labels = np.array(Array.from(targets(what), (c) => Array.from({ length: classes }, (_, i) => +(i === c))));
  const gradients = valueAndGrad(net.loss, { hasAux: true });
  const moments = (p, g, m, v, rate) => {
    const [m1, v1] = [m.mul(0.9).add(g.ref.mul(0.1)), v.mul(0.999).add(np.square(g).mul(0.001))];
    return [p.sub(m1.ref.mul(rate).div(np.sqrt(v1.ref).add(1e-7))), m1, v1];
  };
  const step = jit((params, stats, ms, vs, rate, given, wanted) => {
    const [[loss, found], grads] = gradients(tree.ref(params), given, wanted);
    const made = params.map((p, i) => moments(p, grads[i], ms[i], vs[i], rate.ref));
    rate.dispose();
    const moved = stats.map((old, i) => old.mul(0.99).add(found[i].mul(0.01)));
    return [loss, made.map(([p]) => p), moved, made.map(([, m]) => m), made.map(([, , v]) => v)];
  });
  const zeros = () => net.params.map((p) => np.zeros(p.shape));
  let state = [net.params, net.stats, zeros(), zeros()];
  let done = 0;
  return async (times = epochs) => {
    let loss;
    for (let i = 0; i < times; i++) {
      loss?.dispose();
      done++;
      const rate = np.array(1e-3 * Math.sqrt(1 - 0.999 ** done) / (1 - 0.9 ** done));
      [loss, ...state] = step(...state, rate, x.ref, labels.ref);
      await jax.blockUntilReady(state);
    }
    return (await loss.data())[0];
  };
}

/** MobileNet v1 0.25 with batch norm, NCHW: its parameters, moving averages and loss. */
function mobilenet({ lax, nn, numpy: np }, classes) {
  const [params, stats, layers] = [[], [], []];
  let made = 0;
  const weight = (...shape) => params.push(np.array(kernel(size(shape), made++)).reshape(shape));
  const add = (strides, channels, ...shape) => {
    layers.push(strides);
    weight(...shape);
    params.push(np.ones([channels]), np.zeros([channels]));
    stats.push(np.zeros([channels]), np.ones([channels]));
  };
  let wide = 8;
  add(2, wide, 3, 3, 3, wide);
  for (const [filters, strides] of BLOCKS) {
    add(strides, wide, 3, 3, wide, 1);
    add(1, filters / 4, 1, 1, wide, filters / 4);
    wide = filters / 4;
  }
  weight(wide, classes);
  params.push(np.zeros([classes]));

  const conv = (x, w, strides) => {
    const [, channels, high, broad] = x.shape;
    const [taps, , depth] = w.shape;
    const padding = [high, broad].map((n) => {
      const total = Math.max(0, (Math.ceil(n / strides) - 1) * strides + taps - n);
      return [Math.floor(total / 2), Math.ceil(total / 2)];
    });
    // Kernels are Keras's: [3, 3, channels, 1] of a depthwise one.
    const depthwise = taps > 1 && depth === channels && w.shape[3] === 1;
    const turned = np.transpose(w, depthwise ? [2, 3, 0, 1] : [3, 2, 0, 1]);
    const groups = depthwise ? { featureGroupCount: channels } : {};
    return lax.convGeneralDilated(x, turned, [strides, strides], padding, groups);
  };
  const loss = (given, x, wanted) => {
    const rest = [...given];
    const found = [];
    let y = x;
    for (const strides of layers) {
      const [w, gamma, beta] = rest.splice(0, 3);
      y = conv(y, w, strides);
      const mean = np.mean(y.ref, [0, 2, 3], { keepdims: true });
      const centred = y.sub(mean.ref);
      const variance = np.mean(np.square(centred.ref), [0, 2, 3], { keepdims: true });
      const factor = gamma.reshape([-1, 1, 1]).div(np.sqrt(variance.ref.add(1e-3)));
      y = nn.relu6(centred.mul(factor).add(beta.reshape([-1, 1, 1])));
      found.push(...[mean, variance].map((v) => lax.stopGradient(v.reshape([-1]))));
    }
    const [w, b] = rest;
    const logits = np.matmul(np.mean(y, [2, 3]), w).add(b);
    return [np.mean(np.sum(nn.logSoftmax(logits, -1).mul(wanted), -1)).mul(-1), found];
  };
  return { params, stats, loss };
}
