// TensorFlow.js: its two script tags, the wasm back end (SIMD, threads where the page is isolated),
// and a graph-model with fused convolutions, its fastest form on a CPU.
import { file, offer, pattern, query, start, threads } from './protocol.js';

start(async () => {
  const { tf } = globalThis;
  if (!tf?.wasm) throw new Error('TensorFlow.js did not load: are the packages of bench/package.json there?');
  tf.wasm.setWasmPaths('/peers/@tensorflow/tfjs-backend-wasm/dist/');
  tf.wasm.setThreadsCount(threads);
  await tf.setBackend('wasm');
  const model = await tf.loadGraphModel(file(query.model));
  const shape = model.inputs[0].shape.map((d) => (d > 0 ? d : 1));
  const data = pattern(shape.reduce((a, b) => a * b, 1));

  await offer(async () => {
    const x = tf.tensor(data, shape);
    const y = model.predict(x);
    const values = await y.data();
    tf.dispose([x, y]);
    return values;
  }, { version: tf.version.tfjs, threads: threads > 1 ? tf.wasm.getThreadsCount() : 1 });
});
