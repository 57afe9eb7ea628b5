// Fanlight as its README says, on the page's own thread so that every engine pays the same.
const query = new URLSearchParams(location.search);
const base = new URL(query.get('model'), location.href).href;
const { load } = await import(new URL('fanlight.js', base).href);
const model = await load(base, { worker: query.get('worker') === '1', cache: false });
const input = model.inputs[0];
const data = new Float32Array(input.shape.reduce((a, b) => a * b, 1));

globalThis.setInput = (values) => data.set(values);
globalThis.once = async () => {
  const start = performance.now();
  const outputs = await model.run({ [input.name]: data });
  const first = outputs[model.outputs[0].name].data;
  return { ms: performance.now() - start, first };
};
globalThis.profile = () => model.profile({ [input.name]: data });
globalThis.info = model.info;
globalThis.ready = true;
