import { fail } from '../runtime/errors.js';
import { zipOf } from './archive.js';
import { slug } from './slug.js';
/**
 * What was learnt, as files that go on without Studio.
 * @import { TrainableModel } from '../runtime/train.js'
 * @import { Manifest } from '../runtime/types.js'
 * @import { Features } from './project_zip.js'
 * @import { Example, ExportKind, Project } from './types.js'
 * @typedef {(path: string) => Promise<Uint8Array | Blob | undefined> | Uint8Array | Blob | undefined} Read
 * @typedef {object} What
 * @property {string} title what it is called: heading of the page, name of the file
 * @property {TrainableModel | null} model which has learnt; null: only for a project
 * @property {Read} [beside] a file of the model's folder: page.html.tpl, tfjs.json
 * @property {Read} [page] a file of runtime and page that does not stand beside the model
 * @property {string[]} [labels] default: those of the model
 * @property {Project} [project] with its examples, for a project
 * @property {Example[]} [examples]
 * @property {(id: string) => Promise<Blob>} [photo]
 * @property {Features | null} [features]
 * @property {(count: number) => void} [onGone] so many photos are gone, and not in the file of the project
 * @property {(done: number, count: number) => void} [onProgress]
 * @property {AbortSignal} [signal]
 */

/** Where page.html.tpl has room for the model; templates.py writes it. */
const MARK = '<!--fanlight-bundle-->';
/** Bytes of a file of weights, as TF.js cuts them. */
const SHARD = 4 << 20;
/** @type {Record<string, [string, number]>} of safetensors -> what TF.js calls it, and bytes */
const DTYPES = { F32: ['float32', 4], I32: ['int32', 4], BOOL: ['bool', 1], U8: ['uint8', 1] };

/**
 * A file of what was learnt. Rejects with a FanlightError: E-STUDIO-024 nothing was learnt, E-STUDIO-050 it has no
 * such form.
 * @param {ExportKind} kind @param {What} what @returns {Promise<File>}
 */
export const exportAs = async (kind, what) => {
  const { project, examples = [], photo, model, features, onGone, onProgress, signal } = what;
  signal?.throwIfAborted();
  if (kind === 'project') {
    if (!project || !photo) return fail('E-STUDIO-022', 'There is no project to export.');
    const { packed } = await import('./project_zip.js');
    return packed(project, examples, photo, model && await model.save(), { features, onGone, onProgress, signal });
  }
  if (!model) return fail('E-STUDIO-024', 'Nothing was learnt yet.', { next: 'train first' });
  const make = Object.hasOwn(KINDS, kind) ? KINDS[kind] : undefined;
  if (!make) return fail('E-STUDIO-003', 'There is no such form of file.', { expected: [...Object.keys(KINDS), 'project'], received: kind });
  return make({ ...what, model });
};

/** @param {What & { model: TrainableModel }} what */
const folder = ({ model, title, labels, page }) => model.export({ title, labels, ...(page ? { files: page } : {}) });

/** @param {What} what @param {string} ending */
const named = ({ title }, ending) => `${slug(title, 'model')}${ending}`;

/** @param {string} text @returns {Uint8Array<ArrayBuffer>} */
const encode = (text) => /** @type {Uint8Array<ArrayBuffer>} */ (new TextEncoder().encode(text));

/** @param {What} what @param {string} name @param {Iterable<[string, Uint8Array]>} files */
const zipped = (what, name, files) => {
  const all = [...files];
  return zipOf(name, all.map(([path, bytes]) => [path, () => bytes]), {
    signal: what.signal, onProgress: (done) => what.onProgress?.(done, all.length) });
};

/** A file of the model's folder as text. @param {What} what @param {string} path */
const told = async ({ beside }, path) => {
  const found = await beside?.(path);
  return found && (found instanceof Blob ? found.text() : new TextDecoder().decode(found));
};

/** @param {What & { model: TrainableModel }} what */
const asPage = async (what) => zipped(what, named(what, '-page.zip'), await folder(what));

/** @param {What & { model: TrainableModel }} what */
const asPackage = async (what) => {
  const files = await folder(what);
  const entry = files.get('package.json');
  const { name } = entry ? JSON.parse(new TextDecoder().decode(entry)) : { name: slug(what.title, 'model') };
  const { task } = manifestOf(files);
  files.set('README.md', encode(readme(what.title, name, task?.labels ?? [])));
  return zipped(what, named(what, '-npm.zip'), files);
};

/** @param {Map<string, Uint8Array>} files @returns {Manifest} */
const manifestOf = (files) => JSON.parse(new TextDecoder().decode(files.get('manifest.json')));

/**
 * Markdown. What people wrote stands in code, indented, where nothing of it means anything.
 * @param {string} title @param {string} name @param {string[]} labels
 */
const readme = (title, name, labels) => `# ${name}

A classifier of pictures that runs in the browser, on the device of whoever opens it:

    ${title.replaceAll(/\s+/g, ' ')}

It tells these classes apart:

${labels.map((label) => `    ${label.replaceAll(/\s+/g, ' ')}`).join('\n')}

## As a page

Upload the folder as it is, and open \`index.html\`.

## As a package

\`\`\`html
<script type="module" src="./node_modules/${name}/element.js"></script>
<fanlight-classifier src="./node_modules/${name}/"></fanlight-classifier>
\`\`\`

\`\`\`js
import { load } from '${name}';

const model = await load(new URL('./node_modules/${name}/', document.baseURI));
const [{ label, score }] = await model.classify(photo);
\`\`\`

In Python \`fl.open_bundle("${name}")\` computes the same. Made with Fanlight.
`;

/** @param {string} text */
const escaped = (text) => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

/** Bytes as text. @param {Uint8Array} bytes @returns {Promise<string>} */
const base64 = (bytes) => new Promise((resolve, reject) => {
  const reader = new FileReader(); // not on this thread
  reader.onload = () => resolve(String(reader.result).replace(/^[^,]*,/, ''));
  reader.onerror = () => reject(reader.error);
  reader.readAsDataURL(new Blob([/** @type {BlobPart} */ (bytes)]));
});

/**
 * One HTML file: a page without its model, made by the build, and the model. It classifies, and does not learn on.
 * Only blocks of data are put in, so the policy of the page, with the hashes of its script and style, stays right.
 * @param {What & { model: TrainableModel }} what
 */
const asHtml = async (what) => {
  const template = await told(what, 'page.html.tpl');
  const parts = template?.split(MARK) ?? [];
  if (parts.length !== 2) return fail('E-STUDIO-050', 'There is no page to make one file of.', { expected: 'page.html.tpl beside the model', next: 'export a page' });
  const { model, labels, title } = what;
  const files = await model.export({ labels, files: () => new Uint8Array(1) }); // of the page nothing is needed
  const { files: listed, ...manifest } = manifestOf(files);
  const graph = files.get('graph.json');
  /** @type {BlobPart[]} */
  const blocks = [];
  /** @param {string} type @param {string} id @param {string} text */
  const put = (type, id, text) => blocks.push(`    <script type="${type}" id="${id}">${text}</script>\n`);
  const own = { ...manifest, name: title, files: graph ? { 'graph.json': listed['graph.json'] } : {} };
  put('application/json', 'fanlight-manifest', JSON.stringify(own).replaceAll('<', '\\u003c'));
  if (graph) put('application/json', 'graph.json', new TextDecoder().decode(graph));
  for (const { path } of [...manifest.modules, ...manifest.weights]) {
    what.signal?.throwIfAborted();
    put('application/octet-stream;base64', path, await base64(/** @type {Uint8Array} */ (files.get(path))));
  }
  const head = parts[0].replace(/(<(title|h1)>)[^<]*(?=<\/\2>)/g, (_, tag) => tag + escaped(title));
  return new File([head, ...blocks, parts[1]], named(what, '.html'), { type: 'text/html' });
};

/**
 * A layers-model of TF.js: the build says how TF.js describes the model, and which of its weights is which of ours.
 * @param {What & { model: TrainableModel }} what
 */
const asTfjs = async (what) => {
  const text = await told(what, 'tfjs.json');
  if (!text) {
    return fail('E-STUDIO-050', 'TF.js has no layers for this classifier.', {
      expected: 'a head of Dense layers', next: 'train with another head, or export a page' });
  }
  const { topology, weights, head } = JSON.parse(text);
  const bytes = new Uint8Array(await (await what.model.save()).arrayBuffer());
  const begin = 8 + Number(new DataView(bytes.buffer).getBigUint64(0, true));
  const arrays = JSON.parse(new TextDecoder().decode(bytes.subarray(8, begin)));
  const labels = what.labels ?? what.model.labels;
  units(topology, head, arrays, weights);
  const specs = [], parts = [];
  for (const { name, path } of weights) {
    const { dtype, shape, data_offsets: [from, to] } = arrays[path];
    specs.push({ name, shape, dtype: DTYPES[dtype][0] });
    parts.push(bytes.subarray(begin + from, begin + to));
  }
  const data = new Uint8Array(await new Blob(/** @type {BlobPart[]} */ (parts)).arrayBuffer());
  const count = Math.max(1, Math.ceil(data.length / SHARD));
  const paths = Array.from({ length: count }, (_, i) => `group1-shard${i + 1}of${count}.bin`);
  const model = {
    format: 'layers-model', generatedBy: 'Fanlight Studio', convertedBy: null, modelTopology: topology,
    weightsManifest: [{ paths, weights: specs }], userDefinedMetadata: { labels } };
  /** @type {[string, Uint8Array][]} */
  const files = [['model.json', encode(JSON.stringify(model))], ['metadata.json', encode(JSON.stringify({ labels }))]];
  paths.forEach((path, i) => files.push([path, data.subarray(i * SHARD, (i + 1) * SHARD)]));
  return zipped(what, named(what, '-tfjs.zip'), files);
};

/**
 * The last layer has as many units as there are classes.
 * @param {any} topology @param {string | null} head @param {Record<string, { shape: number[] }>} arrays
 * @param {{ path: string }[]} weights
 */
const units = (topology, head, arrays, weights) => {
  const kernel = head && weights.find(({ path }) => path === `${head}/kernel`);
  if (!kernel) return; // as many as were built, for good
  const size = arrays[kernel.path].shape.at(-1);
  /** @param {any} node */
  const visit = (node) => {
    if (Object(node) !== node) return;
    if (node.class_name === 'Dense' && node.config?.name === head) node.config.units = size;
    Object.values(node).forEach(visit);
  };
  visit(topology);
};

/** @param {What & { model: TrainableModel }} what */
const asSafetensors = async (what) => {
  const file = await what.model.save();
  return new File([file], named(what, '.safetensors'), { type: file.type });
};

/** @type {Record<string, (what: What & { model: TrainableModel }) => Promise<File>>} */
const KINDS = { page: asPage, npm: asPackage, html: asHtml, tfjs: asTfjs, safetensors: asSafetensors };
