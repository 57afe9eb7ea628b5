import { FanlightError, fail } from '../runtime/errors.js';
import { same } from './learning.js';
import { packed, unpacked } from './tensors.js';
/**
 * @import { TrainableModel } from '../runtime/train.js'
 * @import { Heads } from './heads.js'
 * @import { Sides } from './learning.js'
 * @import { MemoryStore } from './memory_store.js'
 * @import { Store } from './store.js'
 * @import { ClassInfo, HeadInfo, Project, Run } from './types.js'
 * @typedef {object} Known what a classifier knows
 * @property {string} id of its head
 * @property {string[]} classes their ids, in the order of the scores
 * @property {Sides | null} sides which photos it learnt from; null: of an older Studio, which did not say
 */

/** Of an error that is said of a project whose photos and classes are here, but not what was learnt. @param {string} how */
export const foreign = (how) => new FanlightError('E-STUDIO-034', `The project was taught ${how}: its photos and classes are here.`, { next: 'train again' });

/**
 * What was learnt in a project, and the model that holds it. That is opened, and given what is kept, when it is
 * asked for: all that needs no model need not wait for one.
 */
export class Learnt {
  /** @type {Known | undefined} */
  known;
  #heads;
  #store;
  /** @type {Project | undefined} */
  #project;
  /** Which model holds what is known. @type {TrainableModel | undefined} */
  #model;
  /** Models are given what is kept one after the other. @type {Promise<unknown>} */
  #filling = Promise.resolve();

  /** @param {Heads} heads @param {Store | MemoryStore} store */
  constructor(heads, store) {
    this.#heads = heads;
    this.#store = store;
  }

  /** Begin with another project. */
  forget() {
    this.known = this.#project = this.#model = undefined;
  }

  /** The model is being changed: unless `set` comes, it is given again what is kept. */
  spoil() {
    this.#model = undefined;
  }

  /** @param {Project} project @param {TrainableModel} model which holds it @param {Known} known */
  set(project, model, known) {
    this.#project = project;
    this.#model = model;
    this.known = known;
  }

  /** Until no model is being given what is kept. */
  async calm() {
    await this.#filling;
  }

  /**
   * Learn what is kept of a project, if anything is; no model is waited for. Rejects with a FanlightError:
   * E-STUDIO-032 it cannot be read, E-STUDIO-034 it was learnt by what is not here.
   * @param {Project} project
   */
  async read(project) {
    this.forget();
    this.#project = project;
    const bytes = await this.#store.head(project.id, 'head');
    if (!bytes) return;
    const { about } = unpacked(bytes, project.name);
    const { file: { backbone, heads } } = this.#heads;
    if (about.form !== backbone.form) throw foreign('on another backbone');
    if (!heads.some(({ id }) => id === about.head)) throw foreign('in a way that is not here');
    this.known = knownOf(about);
  }

  /**
   * The model that has learnt. Rejects with E-STUDIO-024 where nothing was learnt, or is not kept any more.
   * @returns {Promise<{ model: TrainableModel, info: HeadInfo, known: Known }>}
   */
  async open() {
    const { id } = this.known ?? fail('E-STUDIO-024', 'Nothing was learnt yet.', { next: 'train first' });
    const info = /** @type {HeadInfo} */ (this.#heads.file.heads.find((h) => h.id === id));
    const model = await this.#heads.open(info);
    const filled = this.#filling.then(() => this.#fill(info, model));
    this.#filling = filled.catch(() => {});
    return { model, info, known: await filled };
  }

  /** Give a model what is kept, unless it holds that. @param {HeadInfo} info @param {TrainableModel} model @returns {Promise<Known>} */
  async #fill(info, model) {
    const { known } = this;
    const stale = () => this.known !== known || !known || known.id !== info.id;
    const refuse = () => fail('E-STUDIO-023', 'Something else was learnt or opened meanwhile.', { next: 'ask again' });
    if (stale()) refuse();
    if (this.#model !== model) {
      const { id, name } = /** @type {Project} */ (this.#project);
      const bytes = await this.#store.head(id, 'head');
      if (stale()) refuse();
      const { tensors, about } = bytes ? unpacked(bytes, name) : { tensors: {}, about: { head: '' } };
      if (about.head !== info.id) {
        this.forget();
        fail('E-STUDIO-024', 'What was learnt is not kept any more.', { next: 'train again' });
      }
      await model.reset();
      await model.setClasses(JSON.parse(about.labels), []);
      await model.setWeights(tensors);
      if (stale()) refuse();
      this.#model = model;
      // Another tab may have learnt since it was read.
      if (!same(about.classes, JSON.stringify(known?.classes))) this.known = knownOf(about);
    }
    return /** @type {Known} */ (this.known);
  }

  /**
   * Let go of classes that were removed, and call the others as they are called now: what goes out says what is here.
   * @param {TrainableModel} model which holds it @param {ClassInfo[]} classes those that there are
   * @returns {Promise<boolean>} whether it knows less now
   */
  async trim(model, classes) {
    const known = /** @type {Known} */ (this.known);
    const left = stillOf(known, classes);
    const names = left.map((id) => /** @type {ClassInfo} */ (classes.find((c) => c.id === id)).name);
    const cut = left.length < known.classes.length;
    if (!cut && same(names, model.labels)) return false;
    await model.setClasses(names, left.map((id) => known.classes.indexOf(id)));
    if (!cut) return false;
    await orphaned(model, left.length);
    this.known = { ...known, classes: left };
    return true;
  }

  /** Keep what a model has learnt. @param {Run[]} [runs] those of the project @param {Project} [base] whose they were @returns {Promise<Project>} */
  async keep(runs, base) {
    const { id, classes, sides } = /** @type {Known} */ (this.known);
    const model = /** @type {TrainableModel} */ (this.#model);
    const { id: project } = /** @type {Project} */ (this.#project);
    const bytes = packed(await model.getWeights(), {
      head: id, form: this.#heads.file.backbone.form, classes: JSON.stringify(classes), labels: JSON.stringify(model.labels), sides: JSON.stringify(sides) });
    return this.#store.putHead(project, 'head', bytes, runs ? { runs } : {}, base);
  }
}

/** Which of the classes that it knows there still are. @param {Known} known @param {ClassInfo[]} classes @returns {string[]} ids */
export const stillOf = (known, classes) => known.classes.filter((id) => classes.some((c) => c.id === id));

/** @param {Record<string, string>} about of the file that `keep` made @returns {Known} */
const knownOf = ({ head, classes, sides = 'null' }) => ({ id: head, classes: JSON.parse(classes), sides: JSON.parse(sides) });

/**
 * Nearest neighbours: remembered photos that are of no class any more are not asked.
 * @param {TrainableModel} model @param {number} size how many classes there are
 */
const orphaned = async (model, size) => {
  const weights = await model.getWeights();
  const used = weights['neighbours/used'];
  if (!used) return;
  const labels = weights['answer/kernel'].data;
  const data = Float32Array.from(/** @type {Float32Array} */ (used.data), (is, row) => (
    is && labels.subarray(row * size, (row + 1) * size).some((v) => v > 0) ? 1 : 0));
  const asked = Math.max(1, Math.min(Number(weights['neighbours/k'].data[0]), data.reduce((sum, is) => sum + is, 0)));
  await model.setWeights({ 'neighbours/used': { data }, 'neighbours/k': { data: Float32Array.of(asked) } });
};
