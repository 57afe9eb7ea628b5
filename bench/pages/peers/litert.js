// LiteRT.js on its CPU path (XNNPACK): it picks its relaxed-SIMD build by itself, and its threaded
// one where more than one thread is asked for. Its tensors are deleted by hand, as it wants.
import { file, offer, pattern, query, start, threads } from './protocol.js';

start(async () => {
  const { Tensor, loadAndCompile, loadLiteRt } = await import('@litertjs/core');
  const runtime = await loadLiteRt('/peers/@litertjs/core/wasm/', { threads: threads > 1 });
  const model = await loadAndCompile(file(query.model), {
    accelerator: 'wasm',
    cpuOptions: { numThreads: threads },
  });
  const [{ dtype, shape }] = model.getInputDetails();
  const data = pattern(shape.reduce((a, b) => a * b, 1), dtype === 'uint8');

  await offer(async () => {
    const x = new Tensor(data, Array.from(shape));
    const outputs = await model.run(x);
    const values = outputs[0].toTypedArray().slice();
    x.delete();
    for (const y of outputs) y.delete();
    return values;
  }, { version: query.version, threads: threads > 1 ? runtime.liteRtWasm.getThreadCount() : 1, dtype });
});
