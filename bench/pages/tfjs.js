// TensorFlow.js 4.22, wasm back end with SIMD, a fused graph-model: its fastest form on a CPU.
const query = new URLSearchParams(location.search);
const { tf } = globalThis;
tf.wasm.setWasmPaths('/peers/@tensorflow/tfjs-backend-wasm/dist/');
if (query.get('threads')) tf.wasm.setThreadsCount(Number(query.get('threads')));
await tf.setBackend(query.get('backend') ?? 'wasm');
await tf.ready();
const url = new URL(query.get('model'), location.href).href;
const layers = query.get('layers') === '1';
const model = layers ? await tf.loadLayersModel(url) : await tf.loadGraphModel(url);
const shape = model.inputs[0].shape.map((d) => (d && d > 0 ? d : 1));
const data = new Float32Array(shape.reduce((a, b) => a * b, 1));

globalThis.setInput = (values) => data.set(values);
globalThis.once = async () => {
  const start = performance.now();
  const x = tf.tensor(data, shape);
  const y = model.predict(x);
  const list = Array.isArray(y) ? y : y.dataSync ? [y] : Object.values(y);
  const first = await list[0].data();
  tf.dispose([x, ...list]);
  return { ms: performance.now() - start, first };
};
globalThis.info = { backend: tf.getBackend(), version: tf.version.tfjs };
globalThis.ready = true;
