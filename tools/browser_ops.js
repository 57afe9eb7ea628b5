// The page of browser_ops.py: runs one op's module per call; bytes travel as base64.

/** Memories by their number of pages: a browser gives out few. */
const memories = new Map();
// What an earlier run may have left where a module works: nothing may count on zeros there.
const LEFT = 0xff;

function bytesOf(text) {
  return Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
}

function textOf(bytes) {
  let text = '';
  for (let i = 0; i < bytes.length; i += 0x8000) {
    text += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  }
  return btoa(text);
}

/**
 * @param {{ code: string, pages: number, start: number, image: string }} program
 * @param {[number, string][]} inputs offsets and bytes
 * @param {[number, number][]} outputs offsets and sizes in bytes
 */
globalThis.runOp = async (program, inputs, outputs) => {
  const { pages, start } = program;
  let memory = memories.get(pages);
  if (!memory) {
    memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
    memories.set(pages, memory);
  }
  const module = await WebAssembly.compile(bytesOf(program.code));
  const [{ module: room, name }] = WebAssembly.Module.imports(module);
  const instance = await WebAssembly.instantiate(module, { [room]: { [name]: memory } });
  const bytes = new Uint8Array(memory.buffer);
  const image = bytesOf(program.image);
  bytes.fill(0, 0, start);
  bytes.set(image, start);
  bytes.fill(LEFT, start + image.length);
  for (const [offset, data] of inputs) bytes.set(bytesOf(data), offset);
  instance.exports.once();
  return outputs.map(([offset, size]) => textOf(bytes.subarray(offset, offset + size)));
};
