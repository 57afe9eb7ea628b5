// Modules of `bench ops`, each with a memory of its own, filled from a file.
const open = new Map();

globalThis.load = async (name, pages) => {
  const [code, image] = await Promise.all(['wasm', 'bin'].map(
    async (kind) => (await fetch(`/work/${name}.${kind}`)).arrayBuffer()));
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  new Uint8Array(memory.buffer).set(new Uint8Array(image));
  const { instance } = await WebAssembly.instantiate(code, { fanlight: { memory } });
  open.set(name, instance.exports);
};

/** The shortest of some calls in a row, ms: other work on the machine only adds. */
globalThis.best = (name, call, args, tries) => {
  let least = Infinity;
  for (let i = 0; i < tries; i++) {
    const start = performance.now();
    open.get(name)[call](...args);
    least = Math.min(least, performance.now() - start);
  }
  return least;
};
globalThis.spin = (ms) => {
  for (const end = performance.now() + ms; performance.now() < end;);
};
globalThis.forget = (name) => open.delete(name);
globalThis.ready = true;
