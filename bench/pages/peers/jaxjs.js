// jax-js on its wasm device, in the forms that were fastest there (see docs/performance.md): NHWC,
// pointwise convolutions as products with the weights transposed, depthwise ones as sums of shifted
// products, a jit per layer (one jit for all computes the padding again for each tap), and weights
// that stay on the device. It takes a worker per core where the page is isolated and has no option
// for that, so it is told of fewer cores instead.
import { file, offer, pattern, query, start, threads } from './protocol.js';

start(async () => {
  Object.defineProperty(navigator, 'hardwareConcurrency', { value: threads });
  const [{ defaultDevice, init, jit, nn, numpy: np }, program, stored] = await Promise.all([
    import('/peers/@jax-js/jax/dist/index.js'),
    fetch(file(`${query.model}program.json`)).then((r) => r.json()),
    fetch(file(`${query.model}weights.bin`)).then((r) => r.arrayBuffer()),
  ]);
  await init('wasm');
  defaultDevice('wasm');
  const weights = program.weights.map(({ shape, start: at, length }) => (
    np.array(new Float32Array(stored, at, length)).reshape(shape)));

  /** Every use of an array but the last takes a reference. */
  const shared = (array, count) => Array.from({ length: count }, (_, i) => (
    i < count - 1 ? array.ref : array));

  /** The pixels under each tap of a window: an array [rows, columns, channels] per tap. */
  function taps(x, { size: [high, wide], strides: [down, right], shape: [, rows, columns] }) {
    let [, h, w, c] = x.shape;
    // A stride is a dimension: row y of the picture is [y / stride, y % stride].
    const bottom = (down - h % down) % down;
    const side = (right - w % right) % right;
    if (bottom || side) {
      x = np.pad(x, [[0, 0], [0, bottom], [0, side], [0, 0]]);
      [h, w] = [h + bottom, w + side];
    }
    x = x.reshape([h / down, down, w / right, right, c]);
    return shared(x, high * wide).map((y, tap) => {
      const [i, j] = [Math.floor(tap / wide), tap % wide];
      const [top, left] = [Math.floor(i / down), Math.floor(j / right)];
      return y.slice([top, top + rows], i % down, [left, left + columns], j % right);
    });
  }

  const finished = (y, step, bias) => {
    if (bias) y = y.add(bias);
    return step.activation ? nn[step.activation](y) : y;
  };
  const FORMS = {
    dot: (step) => (x, w, b) => finished(
      np.matmul(x.reshape([-1, x.shape.at(-1)]), np.transpose(w)), step, b).reshape(step.shape),
    conv: (step) => (x, w, b) => {
      const [, rows, columns] = step.shape;
      const columnsOf = np.concatenate(taps(x, step).map((t) => t.reshape([rows * columns, -1])), 1);
      return finished(np.matmul(columnsOf, np.transpose(w)), step, b).reshape(step.shape);
    },
    depthwise: (step) => (x, w, b) => {
      const parts = taps(x, step);
      const factors = shared(w, parts.length).map((v, i) => v.slice(i));
      const sum = parts.map((t, i) => t.mul(factors[i])).reduce((p, q) => p.add(q));
      return finished(sum, step, b).reshape(step.shape);
    },
    add: () => (x, y) => x.add(y),
    mul: () => (x, y) => x.mul(y),
    relu: () => (x) => nn.relu(x),
    relu6: () => (x) => nn.relu6(x),
    softmax: ({ axis }) => (x) => nn.softmax(x, axis),
    mean: ({ axes, keepdims }) => (x) => np.mean(x, axes, { keepdims }),
    reshape: ({ shape }) => (x) => x.reshape(shape),
    // It pads with zeros only.
    pad: ({ padding, value }) => (x) => np.pad(x.sub(value), padding).add(value),
  };
  const layers = program.steps.map((step) => {
    const pads = step.padding?.some(([low, high]) => low || high) && step.op !== 'pad';
    return {
      pad: pads ? jit((x) => np.pad(x, step.padding)) : null,
      call: jit(FORMS[step.op](step)),
      constants: [step.weight, step.bias].filter((i) => i !== undefined).map((i) => weights[i]),
    };
  });
  // How often each value is used; the last use gives it away.
  const uses = new Map([[program.output, 1]]);
  for (const { inputs } of program.steps) for (const i of inputs) uses.set(i, (uses.get(i) ?? 0) + 1);

  function network(x) {
    const values = [x];
    const left = new Map(uses);
    const take = (i) => {
      left.set(i, left.get(i) - 1);
      return left.get(i) ? values[i].ref : values[i];
    };
    program.steps.forEach(({ inputs }, i) => {
      const { pad, call, constants } = layers[i];
      const [first, ...more] = inputs.map(take);
      values.push(call(pad ? pad(first) : first, ...more, ...constants.map((w) => w.ref)));
    });
    return take(program.output);
  }

  const data = pattern(program.shape.reduce((a, b) => a * b, 1));
  await offer(() => network(np.array(data).reshape(program.shape)).data(), { version: query.version, threads });
});
