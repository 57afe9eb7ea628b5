// TF.js on a file of RGB pictures (224 x 224 bytes each): the five best indices of every one.
const query = new URLSearchParams(location.search);
const { tf } = globalThis;
tf.wasm.setWasmPaths('/peers/@tensorflow/tfjs-backend-wasm/dist/');
await tf.setBackend('wasm');
const model = await tf.loadLayersModel(new URL(query.get('model'), location.href).href);
const bytes = new Uint8Array(await (await fetch(query.get('pictures'))).arrayBuffer());
const side = Number(query.get('side'));
const size = side * side * 3;

globalThis.top5 = async (first, last) => {
  const found = [];
  for (let i = first; i < last; i++) {
    const y = tf.tidy(() => {
      const picture = tf.tensor(new Float32Array(bytes.subarray(i * size, (i + 1) * size)), [1, side, side, 3]);
      return model.predict(picture.mul(2 / 255).sub(1));
    });
    const scores = await y.data();
    y.dispose();
    found.push([...scores.keys()].sort((a, b) => scores[b] - scores[a]).slice(0, 5));
  }
  return found;
};
globalThis.once = async () => ({ ms: 0, first: [] });
globalThis.ready = true;
