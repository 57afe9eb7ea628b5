// ONNX Runtime Web: the build for its WebAssembly provider alone (its smallest), SIMD, all graph
// optimisations (the default), threads where the page is isolated.
import { file, offer, pattern, planes, query, start, threads } from './protocol.js';

start(async () => {
  const ort = await import('/peers/onnxruntime-web/dist/ort.wasm.min.mjs');
  ort.env.wasm.wasmPaths = '/peers/onnxruntime-web/dist/';
  ort.env.wasm.numThreads = threads;
  const session = await ort.InferenceSession.create(file(query.model), {
    executionProviders: ['wasm'],
    graphOptimizationLevel: 'all',
  });
  const [name] = session.inputNames;
  const [output] = session.outputNames;
  const shape = query.shape.split(',').map(Number); // NHWC; the model takes NCHW
  const [n, height, width, channels] = shape;
  const data = planes(pattern(shape.reduce((a, b) => a * b, 1)), channels);

  await offer(async () => {
    const x = new ort.Tensor('float32', data, [n, channels, height, width]);
    const outputs = await session.run({ [name]: x });
    return outputs[output].data;
  }, { version: ort.env.versions.web ?? ort.env.versions.common, threads });
});
