import { FanlightError, fail } from '../runtime/errors.js';
import { intake } from './intake.js';
import { classId } from './projects.js';
import { unpacked } from './project_zip.js';
import { unpacked as tensorsOf } from './tensors.js';
/**
 * @import { Tensor } from '../runtime/types.js'
 * @import { MemoryStore } from './memory_store.js'
 * @import { Store } from './store.js'
 * @import { Example, NewExample, Project, Run } from './types.js'
 * @typedef {{ tensors: Record<string, Tensor>, labels: string[] }} Learnt
 * @typedef {{ onProgress?: (done: number, count: number) => void, signal?: AbortSignal }} Watch
 */

/** Photos that are kept in one step. */
const STEP = 32;

/**
 * A project out of a file, kept in this browser under an id of its own: all of it or nothing.
 * @param {Store | MemoryStore} store @param {Blob} file @param {string} form of the backbone that is here
 * @param {Watch} [watch] @returns {Promise<{ project: Project, learnt: Learnt | null, foreign: boolean }>}
 *   foreign: it was taught on another backbone
 */
export const imported = async (store, file, form, { onProgress, signal } = {}) => {
  const { project: given, examples, model, features } = await unpacked(file, { signal });
  const { name, settings, runs } = given;
  // Ids of its own: nothing that is meant for the project it came from may reach it.
  const own = new Map(given.classes.map(({ id }) => [id, classId()]));
  const classes = given.classes.map((one) => ({ ...one, id: /** @type {string} */ (own.get(one.id)) }));
  const draft = await store.create(name, { classes, settings, form }, { draft: true });
  /** @type {Map<string, string>} */
  const ids = new Map();
  try {
    for (let at = 0; at < examples.length; at += STEP) {
      signal?.throwIfAborted();
      const part = examples.slice(at, at + STEP);
      // Whatever they are called, they are photos: one that is a zip is not opened, but refused.
      const files = part.map(({ blob }) => new File([blob], 'photo.jpg', { type: blob.type }));
      /** @type {(NewExample & { features?: Float32Array, form?: string })[]} */
      const ready = [];
      let i = 0;
      for await (const item of intake(files, { signal })) {
        if ('error' in item) throw item.error;
        const { class: of, held, source, id, name: called } = part[i++];
        const row = features?.of.get(id);
        ready.push({ ...item.photo, name: called, class: /** @type {string} */ (own.get(of)), held, source, ...(row && features ? { features: row, form: features.form } : {}) });
      }
      const added = await store.add(draft.id, ready);
      added.forEach(({ id }, k) => ids.set(part[k].id, id));
      onProgress?.(at + part.length, examples.length);
    }
    await store.update(draft.id, { runs: runs.map((run) => renumbered(run, ids, own)) });
    // What was learnt on another backbone is of no use here; photos and classes are.
    const learnt = model && given.form === form ? learntOf(new Uint8Array(await model.arrayBuffer()), name) : null;
    return { project: await store.finish(draft.id), learnt, foreign: !!model && given.form !== form };
  } catch (error) {
    await store.remove(draft.id).catch(() => {});
    throw error;
  }
};

/** A run whose report names photos and classes by the ids that they have now. @param {Run} run @param {Map<string, string>} ids @param {Map<string, string>} own @returns {Run} */
const renumbered = ({ report, ...run }, ids, own) => ({
  ...run,
  report: report && { ...report, perClass: report.perClass.map((one) => ({ ...one, class: own.get(one.class) ?? one.class })), cells: report.cells.map((row) => row.map((cell) => cell.flatMap((id) => ids.get(id) ?? []))) },
});

/** The weights of a file that `save` gave, and the names of its classes. @param {Uint8Array} bytes @param {string} where @returns {Learnt} */
const learntOf = (bytes, where) => {
  const { tensors, about } = tensorsOf(bytes, where);
  let labels;
  try {
    ({ labels } = JSON.parse(about.config));
  } catch {
    labels = undefined;
  }
  if (!(Array.isArray(labels) && labels.every((name) => typeof name === 'string'))) {
    fail('E-STUDIO-032', 'What was learnt names no classes.', { where });
  }
  return { tensors, labels };
};

/** What is said of photos that the file of a project lacks. @param {number} gone @param {number} all */
export const goneOf = (gone, all) => new FanlightError('E-STUDIO-030', `${gone} of ${all} photos are gone from this browser: the file has the rest of the project.`, {
  next: 'add these photos again where you have them' });

/** Features by example, as a file has them. @param {Example[]} examples @param {Map<string, Float32Array>} rows @param {string} form */
export const featuresOf = (examples, rows, form) => {
  const of = new Map(examples.flatMap(({ id }) => {
    const row = rows.get(id);
    return row ? [/** @type {[string, Float32Array]} */ ([id, row])] : [];
  }));
  return of.size ? { form, of } : null;
};
