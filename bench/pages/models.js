// One model in one engine, with all its inputs and outputs: ours (?bundle=...) or TF.js on the file
// as it was published (?model=...). A run ends when every output is in JavaScript's hands.
const query = new URLSearchParams(location.search);
const address = (name) => new URL(query.get(name), location.href).href;
const TYPES = { float32: Float32Array, int32: Int32Array, bool: Uint8Array, uint8: Uint8Array };

function array({ base64, dtype }) {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  return new TYPES[dtype](bytes.buffer);
}

async function fanlight() {
  const base = address('bundle');
  const { load } = await import(new URL('fanlight.js', base).href);
  const model = await load(base, { worker: false, cache: false, threads: 1 });
  let inputs = {};
  globalThis.inputNames = model.inputs.map(({ name }) => name);
  globalThis.setInputs = (packed) => {
    inputs = Object.fromEntries(Object.entries(packed).map(
      ([name, p]) => [name, { data: array(p), shape: p.shape }]));
  };
  return () => model.run(inputs);
}

async function tfjs() {
  const { tf } = globalThis;
  tf.wasm.setWasmPaths('/peers/@tensorflow/tfjs-backend-wasm/dist/');
  await tf.setBackend('wasm');
  await tf.ready();
  const layers = query.get('layers') === '1';
  const model = await (layers ? tf.loadLayersModel : tf.loadGraphModel)(address('model'));
  let given = [];
  let names = [];
  globalThis.setInputs = (packed, outputs) => {
    given = Object.entries(packed).map(([name, p]) => [name, array(p), p.shape, p.dtype]);
    names = outputs;
  };
  // predict() where the graph allows it, executeAsync() where it has control flow.
  const execute = async (tensors) => {
    if (layers) return model.predict(Object.values(tensors));
    try {
      return model.execute(tensors, names);
    } catch {
      return model.executeAsync(tensors, names);
    }
  };
  return async () => {
    const tensors = Object.fromEntries(
      given.map(([name, data, shape, dtype]) => [name, tf.tensor(data, shape, dtype)]));
    const results = [await execute(tensors)].flat();
    await Promise.all(results.map((t) => t.data()));
    tf.dispose([Object.values(tensors), results]);
  };
}

const run = await (query.has('bundle') ? fanlight() : tfjs());
globalThis.once = async () => {
  const start = performance.now();
  await run();
  return { ms: performance.now() - start };
};
globalThis.ready = true;
