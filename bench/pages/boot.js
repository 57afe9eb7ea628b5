// bench.html?engine=tfjs&model=...: loads what the engine's page needs, then the page itself.
const engine = new URLSearchParams(location.search).get('engine');
const script = (src) =>
  new Promise((resolve, reject) => {
    const tag = document.createElement('script');
    Object.assign(tag, { src, onload: resolve, onerror: () => reject(new Error(src)) });
    document.head.append(tag);
  });
globalThis.failure = null;
try {
  if (!['fanlight', 'ops', 'ort'].includes(engine)) {
    await script('/peers/@tensorflow/tfjs/dist/tf.min.js');
    await script('/peers/@tensorflow/tfjs-backend-wasm/dist/tf-backend-wasm.min.js');
  }
  await import(`./${engine}.js`);
  globalThis.turn = async (count) => {
    const times = [];
    for (let i = 0; i < count; i++) times.push((await globalThis.once()).ms);
    return times;
  };
} catch (error) {
  globalThis.failure = String(error?.stack ?? error);
}
