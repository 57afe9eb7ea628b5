// TF.js on the published files themselves: what it answers to given inputs.
const query = new URLSearchParams(location.search);
const { tf } = globalThis;
tf.wasm.setWasmPaths('/peers/@tensorflow/tfjs-backend-wasm/dist/');
await tf.setBackend(query.get('backend') ?? 'wasm');
await tf.ready();
const url = new URL(query.get('model'), location.href).href;
const layers = query.get('layers') === '1';
const model = layers ? await tf.loadLayersModel(url) : await tf.loadGraphModel(url);

// inputs: { name: { shape, data, dtype } } in the order of the model's own inputs for layers
globalThis.answer = async (inputs, outputs) => {
  const tensors = {};
  for (const [name, { shape, data, dtype }] of Object.entries(inputs))
    tensors[name] = tf.tensor(data, shape, dtype);
  let results;
  if (layers) {
    const list = Object.values(tensors);
    results = model.predict(list.length === 1 ? list[0] : list);
  } else results = await model.executeAsync(tensors, outputs);
  const list = Array.isArray(results) ? results : [results];
  const found = [];
  for (const t of list) found.push({ shape: t.shape, data: [...(await t.data())] });
  tf.dispose([Object.values(tensors), list]);
  return found;
};
globalThis.once = async () => ({ ms: 0, first: [] });
globalThis.ready = true;
