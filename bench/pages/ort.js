// ONNX Runtime Web, WebAssembly execution provider, all graph optimisations (the default).
const query = new URLSearchParams(location.search);
const ort = await import('/peers/onnxruntime-web/dist/ort.wasm.min.mjs');
ort.env.wasm.wasmPaths = '/peers/onnxruntime-web/dist/';
ort.env.wasm.numThreads = Number(query.get('threads') ?? 1);
const url = new URL(query.get('model'), location.href).href;
const session = await ort.InferenceSession.create(url, { executionProviders: ['wasm'] });
const name = session.inputNames[0];
const shape = query.get('shape').split(',').map(Number);
const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
const [, channels, height, width] = shape;

globalThis.setInput = (values) => {
  // NHWC values into the NCHW that ONNX wants; outside the timed part.
  for (let c = 0; c < channels; c++)
    for (let p = 0; p < height * width; p++) data[c * height * width + p] = values[p * channels + c];
};
globalThis.once = async () => {
  const start = performance.now();
  const outputs = await session.run({ [name]: new ort.Tensor('float32', data, shape) });
  const first = outputs[session.outputNames[0]].data;
  return { ms: performance.now() - start, first };
};
globalThis.info = { backend: 'wasm', version: ort.env.versions.common };
globalThis.ready = true;
