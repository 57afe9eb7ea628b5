import { count, fail, sha256 } from './fanlight.js';
/**
 * @import { Engine } from './fanlight.js'
 * @import { HashedFile, Kept, Learnt, Manifest, TrainingFile } from './types.js'
 * @typedef {{ file: TrainingFile, first: Uint8Array, start: number, end: number, classes: number | undefined }} Training
 */

/** What a folder may have beside a model that makes other files of it: not for the page that is exported. */
const TEMPLATES = ['page.html.tpl', 'tfjs.json'];

/** A file of the bundle, checked. @param {Engine} engine @param {HashedFile} entry @returns {Promise<Uint8Array>} */
const fetched = async ({ core: { files } }, entry) => {
  const bytes = new Uint8Array(entry.bytes);
  await files.bring(entry, bytes);
  // It is given away, and not kept for another visit.
  const at = files.fresh.findIndex(([, target]) => target === bytes);
  if (at >= 0) files.fresh.splice(at, 1);
  return bytes;
};

/**
 * What lasts as a build would have written it: of what grows with the classes first the columns that there are,
 * then those that new classes begin with. What metrics counted is as it was built.
 * @param {Uint8Array} now @param {Training} training @param {Manifest['dims']} dims
 */
const settled = (now, { file, first, start, classes: begun = 0 }, { classes }) => {
  const image = first.slice();
  for (const { kind, shape, offset, bytes } of file.state) {
    if (kind === 'metric') continue;
    const from = offset - start;
    const axis = shape.findIndex((d) => typeof d === 'string');
    if (axis < 0) {
      image.set(now.subarray(from, from + bytes), from);
      continue;
    }
    const { max } = classes;
    const size = Number(classes.size);
    const outer = count(/** @type {number[]} */ (shape.slice(0, axis)));
    const each = bytes / outer / max; // bytes of a class in a row
    /** @param {number} o @param {number} c @param {number} built */
    const place = (o, c, built) => from + each * (c < built ? o * built + c : (outer - o) * built + o * max + c - built);
    for (let o = 0; o < outer; o++) {
      for (let c = 0; c < max; c++) {
        const [source, at] = c < size ? [now, place(o, c, size)] : [first, place(o, c, begun)];
        image.set(source.subarray(at, at + each), place(o, c, size));
      }
    }
  }
  return image;
};

/** Bytes of a file of weights at most, and of a run of zeros that is worth a file more. */
const SHARD = 4 << 20, RUN = 16 << 10;

/**
 * What has learnt, in files of its own, from one place in memory on; long runs of zeros are left out, as a build does.
 * @param {Uint8Array} image @param {number} from @returns {{ offset: number, data: Uint8Array }[]}
 */
const cut = (image, from) => {
  const found = [];
  let begun = -1;
  for (let at = 0; at <= image.length; at += RUN) {
    const part = image.subarray(at, at + RUN);
    const zero = part.every((byte) => !byte); // of the end, too
    if (begun >= 0 && (zero || at + part.length - begun > SHARD)) {
      found.push({ offset: from + begun, data: image.subarray(begun, at) });
      begun = -1;
    }
    if (begun < 0 && !zero) begun = at;
  }
  if (begun >= 0) found.push({ offset: from + begun, data: image.subarray(begun) });
  return found;
};

/**
 * The weights as files again. They lie in memory as they were built, but for what has learnt; what came as float16
 * and has learnt is float32 from now on.
 * @param {Engine} engine @param {Uint8Array} image @param {Training} training @param {Map<string, Uint8Array>} out
 */
const shards = async (engine, image, { start, end }, out) => {
  const { core: { memory }, manifest } = engine;
  const spans = manifest.weights.map((entry) => ({ entry, low: entry.offset, high: entry.offset + entry.bytes * (entry.encoding ? 2 : 1) }));
  const learns = spans.filter(({ low, high }) => low < end && high > start);
  const first = Math.min(start, ...learns.map(({ low }) => low));
  const last = Math.max(end, ...learns.map(({ high }) => high));
  const region = new Uint8Array(memory.buffer, first, last - first).slice();
  region.set(image, start - first);
  /** @type {Manifest['weights']} */
  const weights = [];
  for (const { offset, data } of cut(region, first)) {
    const hash = await sha256(data);
    const path = `weights-${weights.length + 1}-${hash.slice(0, 8)}.bin`;
    out.set(path, data.slice());
    weights.push({ path, bytes: data.length, sha256: hash, offset });
  }
  for (const { entry, low, high } of spans) {
    if (learns.some((span) => span.entry === entry)) continue;
    weights.push(entry);
    out.set(entry.path, entry.encoding ? await fetched(engine, entry) : new Uint8Array(memory.buffer, low, high - low).slice());
  }
  return weights;
};

/**
 * graph.json, with as many classes as there are, and without the numbers that its text has of what learns.
 * @param {Uint8Array} bytes @param {Kept[]} state @param {Manifest['dims']} dims
 */
const regraphed = (bytes, state, dims) => {
  const graph = JSON.parse(new TextDecoder().decode(bytes));
  const learns = new Set();
  for (const [name, place] of Object.entries(graph.weights)) {
    const kept = state.find(({ offset }) => offset === place.offset);
    if (!kept) continue;
    learns.add(name);
    place.shape = kept.shape.map((d) => dims[d]?.size ?? d);
  }
  graph.text = graph.text.split('\n').map((/** @type {string} */ line) => (
    learns.has(/^\s*weight %(\S+?):/.exec(line)?.[1]) ? line.split(' = [')[0] : line)).join('\n');
  return encoded(graph);
};

/** As text in which no element of a page can end. @param {unknown} value */
const encoded = (value) => new TextEncoder().encode(JSON.stringify(value).replaceAll('<', '\\u003c'));

/**
 * The model's own files with what was learnt as what is built, beside the engine: all that is hashed is hashed there.
 * @param {Engine} engine @param {Training} training @returns {Promise<Learnt>}
 */
export async function bundle(engine, training) {
  const { about: { labels }, core, manifest } = engine;
  // At once: while files come, steps may go on.
  const now = new Uint8Array(core.memory.buffer, training.start, training.end - training.start).slice();
  const dims = structuredClone(manifest.dims);
  const image = settled(now, training, dims);
  /** @type {Map<string, Uint8Array>} */
  const files = new Map();
  const weights = await shards(engine, image, training, files);
  for (const entry of manifest.modules) files.set(entry.path, await fetched(engine, entry));
  // Each under its own name, wherever it was.
  const listed = Object.fromEntries(Object.entries(manifest.files).map(([path, entry]) => (
    [path, { bytes: entry.bytes, sha256: entry.sha256 }])));
  for (const path of ['training.json', 'still.safetensors', 'graph.json']) {
    if (!Object.hasOwn(listed, path)) continue;
    let bytes = await fetched(engine, { path, ...manifest.files[path] });
    if (path === 'graph.json') {
      bytes = regraphed(bytes, training.file.state, dims);
      listed[path] = { bytes: bytes.length, sha256: await sha256(bytes) };
    }
    files.set(path, bytes);
  }
  const task = manifest.task && { ...manifest.task, labels };
  return { manifest: { ...manifest, dims, task, weights, files: listed }, files, base: core.files.base };
}

/** @param {string} text */
const escaped = (text) => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

/** What says how the page is called, with another title. @type {Record<string, (text: string, title: string) => string>} */
const TITLED = {
  'index.html': (text, title) => text.replace(/(<(title|h1)>)[^<]*(?=<\/\2>)/g, (_, tag) => tag + escaped(title)),
  'app.webmanifest': (text, title) => (
    `${JSON.stringify({ ...JSON.parse(text), name: title, short_name: title.slice(0, 12) }, null, 1)}\n`),
  'package.json': (text, title) => {
    const name = title.toLowerCase().replace(/[^a-z0-9._-]+/g, '-').replace(/^[-._]+|[-._]+$/g, '').slice(0, 200) || 'model';
    const description = `${title.slice(0, 100)}, built with Fanlight`;
    return `${JSON.stringify({ ...JSON.parse(text), name, description }, null, 2)}\n`;
  },
};

/**
 * The whole folder: the model's files, and those of runtime and page, which stand beside it or come from whom
 * the caller says.
 * @param {Learnt} learnt
 * @param {{ title?: string, labels?: string[], files?: (path: string) => any }} options
 * @returns {Promise<Map<string, Uint8Array<ArrayBuffer>>>} by their paths
 */
export async function whole({ manifest, files, base }, { title, labels, files: given }) {
  const { task, dims } = manifest;
  const size = dims.classes?.size ?? task?.labels?.length;
  if (labels && !(task && Array.isArray(labels) && labels.length === size && new Set(labels).size === size
      && labels.every((name) => name && typeof name === 'string'))) {
    fail('E-WEB-037', 'These are no names for the classes.', {
      expected: task ? `${size} different texts` : 'nothing: it was built without a task', received: labels });
  }
  if (title !== undefined && !(title && typeof title === 'string')) {
    fail('E-WEB-001', 'title is wrong.', { expected: 'a text', received: String(title) });
  }
  /** @type {Manifest['files']} */
  const listed = {};
  const all = new Map(files);
  for (const [path, entry] of Object.entries(manifest.files)) {
    listed[path] = entry;
    if (all.has(path)) continue;
    delete listed[path];
    if (TEMPLATES.includes(path)) continue;
    let bytes = await beside(path, entry, base, given);
    if (!bytes) continue; // a page in one file: it is nowhere
    if (title && Object.hasOwn(TITLED, path)) {
      bytes = new TextEncoder().encode(TITLED[path](new TextDecoder().decode(bytes), title));
    }
    all.set(path, bytes);
    listed[path] = { bytes: bytes.length, sha256: await sha256(bytes) };
  }
  const told = { ...manifest, name: title ?? manifest.name, task: task && { ...task, labels: labels ?? task.labels }, files: listed };
  all.set('manifest.json', new TextEncoder().encode(JSON.stringify(told)));
  if (all.has('register.js')) await keeper(all, base, given);
  return /** @type {any} */ (all);
}

/**
 * The service worker of a page that works offline: it has a list of what it keeps, which is of one build.
 * @param {Map<string, Uint8Array>} all @param {string} base @param {((path: string) => any) | undefined} given
 */
async function keeper(all, base, given) {
  const own = await given?.('sw.js');
  const found = own ? new Response(own) : base ? await fetch(`${base}sw.js`).catch(() => undefined) : undefined;
  const text = found?.ok ? await found.text() : '';
  const list = /const FILES=(\[.*?\]);/.exec(text)?.[1];
  if (!list) return; // the page is one without
  /** @type {[string, string, number, number][]} */
  const before = JSON.parse(list);
  // Files of the model are called by what is in them.
  const hashed = (/** @type {string} */ path) => /^(weights|model)-/.test(path);
  const paths = before.map(([path]) => path).filter((path) => all.has(path) && !hashed(path));
  if (before.some(([path]) => hashed(path))) paths.push(...[...all.keys()].filter(hashed));
  const model = new Map(before.map(([path, , , of]) => [path, of]));
  /** @type {[string, string, number, number][]} */
  const kept = [];
  for (const path of paths.sort()) {
    const bytes = /** @type {Uint8Array} */ (all.get(path));
    kept.push([path, await sha256(bytes), bytes.length, model.get(path) ?? 1]);
  }
  all.set('sw.js', new TextEncoder().encode(text.replace(list, () => JSON.stringify(kept))));
}

/**
 * A file of the runtime or the page. Those that come from the folder are checked.
 * @param {string} path @param {{ bytes: number, sha256: string }} entry @param {string} base
 * @param {((path: string) => any) | undefined} given @returns {Promise<Uint8Array | undefined>}
 */
async function beside(path, entry, base, given) {
  const own = await given?.(path);
  if (own) return own instanceof Blob ? new Uint8Array(await own.arrayBuffer()) : own;
  if (!base) return undefined;
  const response = await fetch(base + path).catch(() => undefined);
  const bytes = response?.ok && new Uint8Array(await response.arrayBuffer());
  if (!bytes) return fail('E-WEB-005', 'A file of the bundle could not be fetched.', { where: base + path });
  const received = await sha256(bytes);
  if (received !== entry.sha256) {
    fail('E-WEB-006', 'A file of the bundle is not the one that was built.', {
      where: base + path, expected: entry.sha256, received, next: 'upload the whole bundle again' });
  }
  return bytes;
}
