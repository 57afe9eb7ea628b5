import { fail, said } from '../runtime/errors.js';
import { sha256 } from '../runtime/fanlight.js';
import { members, zipOf } from './archive.js';
import { SETTINGS, color, number, share, whole } from './rules.js';
import { slug } from './slug.js';
/**
 * A project as a zip: project.json, the photos, what was learnt as `model.save()` gives it, and features.
 * @import { Member } from './archive.js'
 * @import { ClassInfo, Example, Project, Run, Settings } from './types.js'
 * @typedef {{ form: string, of: Map<string, Float32Array> }} Features by the ids of their examples
 * @typedef {{ project: Project, examples: (Example & { blob: Blob })[], model: File | null, features: Features | null }} Unpacked
 * @typedef {(value: any) => boolean} Test
 */

/** Of this layout. */
const VERSION = 1;
const PROJECT = 'project.json', MODEL = 'model.safetensors', FEATURES = 'features.bin';
/** Bytes of all, of a photo, of the model, of features, and of project.json; examples. */
const MOST = { bytes: 8 * 2 ** 30, photo: 256 << 20, model: 2 ** 31, features: 2 ** 30, json: 64 << 20, examples: 60_000 };
/** @type {Record<string, string>} */
const ENDINGS = { 'image/jpeg': 'jpg', 'image/png': 'png', 'image/webp': 'webp', 'image/avif': 'avif', 'image/gif': 'gif' };
const TYPES = Object.fromEntries(Object.entries(ENDINGS).map(([type, ending]) => [ending, type]));

/** A different folder for each class, whatever it is called. @param {ClassInfo[]} classes @returns {Map<string, string>} */
const folders = (classes) => {
  /** @type {Set<string>} */
  const taken = new Set();
  return new Map(classes.map(({ id, name }) => {
    const base = slug(name, 'class');
    let folder = base;
    for (let n = 2; taken.has(folder); n++) folder = `${base}-${n}`;
    taken.add(folder);
    return [id, folder];
  }));
};

/**
 * The type of a photo; undefined where the browser has it no more, of which only reading it tells.
 * @param {(id: string) => Promise<Blob>} readBlob @param {string} id
 */
const typeOf = async (readBlob, id) => {
  try {
    const blob = await readBlob(id);
    await blob.slice(0, 1).arrayBuffer();
    return blob.type;
  } catch (/** @type {any} */ error) {
    if (['E-STUDIO-022', 'NotFoundError', 'NotReadableError'].includes(error.code || error.name)) return undefined;
    throw error;
  }
};

/**
 * A project as a file that is imported elsewhere, and that `fl.load` opens in Python. Photos are read one at a time;
 * those that are gone are left out, and `onGone` is told how many.
 * @param {Project} project @param {Example[]} examples
 * @param {(id: string) => Promise<Blob>} readBlob the photo of an example
 * @param {Blob | null} modelFile what `model.save()` gives; null: nothing was learnt yet
 * @param {{ features?: Features | null, onGone?: (count: number) => void, onProgress?: (done: number, count: number) => void,
 *   signal?: AbortSignal }} [options]
 * @returns {Promise<File>}
 */
export const packed = async (project, examples, readBlob, modelFile, { features = null, onGone, onProgress, signal } = {}) => {
  const named = folders(project.classes);
  /** @type {Map<string, number>} */
  const counts = new Map();
  const listed = [];
  for (const example of examples) {
    signal?.throwIfAborted();
    const folder = named.get(example.class);
    if (!folder) fail('E-STUDIO-022', 'A photo is of a class that there is not.', { where: example.name, received: example.class });
    const type = await typeOf(readBlob, example.id);
    if (type === undefined) continue;
    const n = (counts.get(example.class) ?? 0) + 1;
    counts.set(example.class, n);
    const ending = ENDINGS[type] ?? 'jpg';
    const stem = slug(example.name.replace(/\.\w{1,5}$/, ''), 'photo');
    const { project: _, ...about } = example;
    listed.push({ ...about, file: `photos/${folder}/${n}-${stem}.${ending}` });
  }
  if (listed.length < examples.length) onGone?.(examples.length - listed.length);
  const rows = features ? listed.filter(({ id }) => features.of.has(id)) : [];
  const width = features?.of.get(rows[0]?.id)?.length ?? 0;
  const about = {
    ...project, version: VERSION, examples: listed,
    features: rows.length ? { form: features?.form, width, of: rows.map(({ id }) => id) } : null };
  const json = new TextEncoder().encode(JSON.stringify(about));
  /** @type {[string, () => Promise<Blob | Uint8Array> | Blob | Uint8Array][]} */
  const files = [[PROJECT, () => json]];
  if (modelFile) files.push([MODEL, () => modelFile]);
  if (rows.length) {
    files.push([FEATURES, () => new Blob(rows.map(({ id }) => (
      /** @type {BlobPart} */ (/** @type {Features} */ (features).of.get(id)))))]);
  }
  for (const { id, file } of listed) files.push([file, () => readBlob(id)]);
  return zipOf(`${slug(project.name, 'project')}.zip`, files, { signal, onProgress: (done) => onProgress?.(done, files.length) });
};

/** @param {string} reason @param {object} [detail] @returns {never} */
const refuse = (reason, detail) => fail('E-STUDIO-032', reason, {
  next: 'export the project again, and import the file as it is', ...detail });

/** @param {RegExp} form @returns {Test} */
const like = (form) => (v) => typeof v === 'string' && form.test(v);
/** @param {number} most @returns {Test} */
const text = (most) => (v) => typeof v === 'string' && v.length > 0 && v.length <= most;
/** @type {Test} */
const flag = (v) => typeof v === 'boolean';
const id = text(200), count = whole(0, 1e9), time = number(0, 1e15);
const REPORT = {
  count, loss: (/** @type {any} */ v) => v === null || number(-1e30, 1e30)(v), accuracy: (/** @type {any} */ v) => v === null || share(v),
  perClass: [{ class: id, count, accuracy: (/** @type {any} */ v) => v === null || share(v) }],
  confusion: [[count]], cells: [[[id]]],
};
/** What project.json may say: a test per value, a list of one rule, or a rule per key. */
const RULES = {
  name: text(1000), created: time, updated: time, form: (/** @type {any} */ v) => typeof v === 'string' && v.length < 10_000,
  classes: [{ id, name: text(1000), color }],
  settings: SETTINGS,
  runs: [{ at: time, settings: SETTINGS, epochs: count, seconds: number(0, 1e9), examples: count,
    measured: (/** @type {any} */ v) => v === undefined || like(/^(held|validation|all)$/)(v), stopped: like(/^(done|early|cancelled)$/) }],
  examples: [{
    id, class: id, name: (/** @type {any} */ v) => typeof v === 'string' && v.length <= 10_000, added: time, width: whole(1, 1 << 20),
    height: whole(1, 1 << 20), bytes: whole(1, MOST.photo), hash: like(/^[0-9a-f]{64}$/), held: flag, file: text(1000),
    source: like(/^(file|camera|paste|zip|correction)$/),
  }],
};

/** @param {any} rule @param {any} value @param {string} part */
const check = (rule, value, part) => {
  const list = Array.isArray(rule);
  const leaf = typeof rule === 'function';
  if (!(leaf ? rule(value) : Object(value) === value && list === Array.isArray(value))) {
    refuse('A part of the project is wrong.', { where: `${PROJECT}: ${part}`, received: String(JSON.stringify(value)).slice(0, 99) });
  }
  if (list) value.forEach((/** @type {any} */ item, /** @type {number} */ i) => check(rule[0], item, `${part}[${i}]`));
  else if (!leaf) for (const key of Object.keys(rule)) check(rule[key], value[key], part ? `${part}.${key}` : key);
};

/** Only what is known. @param {any} rule @param {any} value @returns {any} */
const known = (rule, value) => {
  if (typeof rule === 'function') return value;
  if (Array.isArray(rule)) return value.map((/** @type {any} */ item) => known(rule[0], item));
  // What may be missing stays so.
  return Object.fromEntries(Object.keys(rule).filter((key) => value[key] !== undefined).map((key) => [key, known(rule[key], value[key])]));
};

/** @param {any} given @param {number} i @returns {Run} */
const runOf = (given, i) => {
  const where = `runs[${i}]`;
  const { history, report } = given;
  check((/** @type {any} */ v) => Object(v) === v && !Array.isArray(v), history, `${where}.history`);
  for (const [name, values] of Object.entries(history)) {
    check([(/** @type {any} */ v) => v === null || Number.isFinite(v)], values, `${where}.history.${name}`);
  }
  if (report !== null) {
    check(REPORT, report, `${where}.report`);
    // A row and a column for each class.
    const { length } = report.perClass;
    const square = (/** @type {any} */ v) => v.length === length && v.every((/** @type {any} */ row) => row.length === length);
    check({ confusion: square, cells: square }, report, `${where}.report`);
  }
  return { ...known(RULES.runs[0], given), history, report: report && known(REPORT, report) };
};

/**
 * What a zip is that is no project: a model that people take for one is named, with what can be done with it.
 * @param {Map<string, Member>} files @returns {Promise<never>}
 */
const stranger = async (files) => {
  const listed = { expected: PROJECT, received: [...files.keys()].slice(0, 5).join(', ') };
  const model = [...files.keys()].find((path) => /^([^/]*\/)?model\.json$/.test(path));
  if (!model) return refuse('There is no project in this file.', listed);
  const about = files.get(model.replace(/model\.json$/, 'metadata.json'));
  const text = about && about.size < MOST.json ? new TextDecoder().decode(await about.bytes()) : '';
  const maker = /teachablemachine|"tmVersion"/.test(text) ? 'Teachable Machine' : 'TensorFlow.js';
  return refuse(`This is a model of ${maker}, and no project: it has no photos.`, {
    ...listed, next: 'learn on top of it in a Studio of its own: fanlight studio --backbone FILE; or make another format of it: fanlight convert FILE model.keras' });
};

/** project.json, checked. @param {Map<string, Member>} files */
const described = async (files) => {
  const entry = files.get(PROJECT);
  if (!entry) return stranger(files);
  if (entry.size > MOST.json) return refuse('The project is far too large.', { received: `${entry.size} bytes of ${PROJECT}` });
  let about;
  try {
    about = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(await entry.bytes()));
  } catch (/** @type {any} */ error) {
    if (error.code) throw error;
    return refuse('The project cannot be read.', { where: PROJECT, received: said(error) });
  }
  const version = about?.version;
  if (Number.isInteger(version) && version > VERSION) {
    fail('E-STUDIO-031', 'The project was made by a newer Studio.', {
      expected: VERSION, received: version, next: 'reload the page to get the newer Studio, or open it there' });
  }
  if (version !== VERSION) return refuse('The project does not say how it was written.', { expected: VERSION, received: version });
  check(RULES, about, '');
  const classes = known(RULES.classes, about.classes);
  const ids = new Set(classes.map((/** @type {ClassInfo} */ c) => c.id));
  const names = new Set(classes.map((/** @type {ClassInfo} */ c) => c.name));
  if (ids.size !== classes.length || names.size !== classes.length) refuse('Two classes are the same.', { where: PROJECT });
  if (about.examples.length > MOST.examples) refuse('There are far too many photos.', { received: about.examples.length });
  return { about, classes, ids };
};

/**
 * A project out of such a file. All is checked before it is given; photos stay in the file until they are read.
 * Rejects with a FanlightError, E-STUDIO-031 or E-STUDIO-032, or with the signal's reason.
 * @param {Blob} file @param {{ onProgress?: (done: number, count: number) => void, signal?: AbortSignal }} [options]
 * @returns {Promise<Unpacked>} ids are those of where it came from
 */
export const unpacked = async (file, { onProgress, signal } = {}) => {
  const files = await members(file, refuse, { bytes: MOST.bytes });
  signal?.throwIfAborted();
  const { about, classes, ids } = await described(files);
  /** @type {Unpacked['examples']} */
  const examples = [];
  /** @type {Set<string>} */
  const seen = new Set();
  for (const given of about.examples) {
    signal?.throwIfAborted();
    const { file: path, ...example } = known(RULES.examples[0], given);
    const entry = files.get(path);
    if (!ids.has(example.class) || seen.has(example.id)) refuse('A photo is of no class, or is there twice.', { where: path });
    seen.add(example.id);
    if (!entry || entry.size !== example.bytes) return refuse('A photo is missing.', { where: path, expected: `${example.bytes} bytes`, received: entry?.size });
    if (await sha256(await entry.bytes()) !== example.hash) refuse('A photo was changed.', { where: path, expected: example.hash });
    const type = TYPES[path.split('.').pop() ?? ''] ?? 'image/jpeg';
    const blob = await entry.blob();
    examples.push({ ...example, project: '', blob: blob.slice(0, blob.size, type) });
    onProgress?.(examples.length, about.examples.length);
  }
  const learnt = files.get(MODEL);
  if (learnt && learnt.size > MOST.model) refuse('The model is far too large.', { received: `${learnt.size} bytes` });
  const model = learnt ? new File([await learnt.blob()], MODEL, { type: 'application/octet-stream' }) : null;
  const { name, created, updated, form } = about;
  return {
    project: {
      version: VERSION, id: typeof about.id === 'string' ? about.id : '', name, created, updated, form, classes,
      settings: /** @type {Settings} */ (known(SETTINGS, about.settings)), runs: about.runs.map(runOf) },
    examples,
    model,
    features: await featuresOf(about.features, files, seen),
  };
};

/** @param {any} given @param {Map<string, Member>} files @param {Set<string>} ids @returns {Promise<Features | null>} */
const featuresOf = async (given, files, ids) => {
  if (given == null) return null;
  check({ form: text(10_000), width: whole(1, 1e6), of: [(/** @type {any} */ v) => ids.has(v)] }, given, 'features');
  const entry = files.get(FEATURES);
  const { form, width, of } = given;
  if (new Set(of).size !== of.length) refuse('Features of a photo are there twice.', { where: PROJECT });
  const size = 4 * width * of.length;
  if (size > MOST.features) refuse('There are far too many features.', { where: PROJECT, expected: `at most ${MOST.features} bytes`, received: `${size} bytes` });
  if (!entry || entry.size !== size) return refuse('Features are missing.', { where: FEATURES, expected: `${size} bytes`, received: entry?.size });
  const rows = new Float32Array((await entry.bytes()).buffer);
  if (!rows.every(Number.isFinite)) refuse('A feature is no number.', { where: FEATURES });
  return { form, of: new Map(of.map((/** @type {string} */ one, /** @type {number} */ i) => [one, rows.slice(i * width, (i + 1) * width)])) };
};
