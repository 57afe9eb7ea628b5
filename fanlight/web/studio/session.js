import { FanlightError, fail } from '../runtime/errors.js';
import { Features } from './features.js';
import { Heads } from './heads.js';
import { aborted, goingOn, heatOf, heldOut, isAside, labelsOf, parted, same, sidesOf } from './learning.js';
import { Learnt, foreign, stillOf } from './learnt.js';
import { COLORS, classId, clean, create, known, nameFor, paint } from './projects.js';
import { SETTINGS, wrong } from './rules.js';
import { guard } from './shell.js';
/**
 * @import { MemoryStore } from './memory_store.js'
 * @import { TrainableModel } from '../runtime/train.js'
 * @import { Progress, Tensor } from '../runtime/types.js'
 * @import { InlineStudio } from './heads.js'
 * @import { Known } from './learnt.js'
 * @import { Sides } from './learning.js'
 * @import { Store } from './store.js'
 * @import { Added, Answer, ClassInfo, Correction, Example, ExportKind, HeadInfo, NewExample, Origin, Pair, Photo, Project, Report, Run, Settings } from './types.js'
 * @typedef {{ signal?: AbortSignal, onPrepare?: (done: number, count: number) => void,
 *   onEpoch?: (epoch: number, logs: Record<string, number>) => void, onBatch?: (batch: number, logs: Record<string, number>) => void }} Watch
 */

/** Photos that are kept in one step. */
const FLUSH = 16;

/** Not needed before something is learnt: main.js has it come when the page is idle. */
const fitting = () => import('./fitting.js');

/** @param {string} type @param {unknown} [detail] */
const told = (type, detail) => new CustomEvent(type, { detail });

/**
 * Teaching a classifier by examples, on this device: classes, photos of them, training, answers, corrections.
 * Everything is kept in this browser as soon as it is there. Events: `change` (classes, examples, settings or the
 * project), `features` (detail: { done, count }), `training` (detail: { epoch, epochs, logs }), `trained`, `saved`,
 * `problem` (detail: the error of what was done in the background).
 */
export class TransferSession extends EventTarget {
  /** @type {Project} */
  project;
  /** @type {Example[]} */
  examples = [];
  /** @type {Report | null} */
  report = null;
  /** Why what was learnt could not be taken up again, though it is kept. @type {unknown} */
  problem = null;
  #heads;
  #store;
  /** When the last change of the project is kept. @type {Promise<void>} */
  #updated = Promise.resolve();
  /** @type {string | undefined} */
  #busy;
  #closed = false;
  /** Another tab has learnt meanwhile: that is taken up when this one is done. */
  #missed = false;
  /** Counts what this tab has changed. */
  #own = 0;
  #features;
  /** What is measured now: learning waits for it. @type {Promise<unknown>} */
  #measured = Promise.resolve();
  #learnt;

  /** @param {Heads} heads @param {Store | MemoryStore} store @param {Project} project */
  constructor(heads, store, project) {
    super();
    this.#heads = heads;
    this.#store = store;
    this.project = project;
    this.#learnt = new Learnt(heads, store);
    /** @param {unknown} error */
    const problem = (error) => {
      if (!this.#closed) this.dispatchEvent(told('problem', error));
    };
    this.#features = new Features(heads, store, {
      examples: () => this.examples,
      gone: (ids) => {
        const all = new Set(ids);
        if (all.size) this.examples = this.examples.filter((e) => !all.has(e.id));
      },
      computed: () => this.dispatchEvent(told('features', { done: this.examples.length - this.waiting, count: this.examples.length })),
      problem,
    });
    Object.assign(store, {
      onchange: (/** @type {any} */ change) => this.#changedElsewhere(change).catch(problem),
      onproblem: problem,
    });
  }

  /**
   * Open a session on Studio's folder, or on one bundle built with `train=`, a `task=` and `dims={"classes": ...}`.
   * @param {string | URL | InlineStudio} source
   * @param {{ project?: string, store?: boolean | Store, onProgress?: (progress: Progress) => void, signal?: AbortSignal,
   *   threads?: 'auto' | number }} [options] project: its id, or the name of one that is made if there is none;
   *   default: the one changed last. store: false keeps nothing
   * @returns {Promise<TransferSession>}
   */
  static async open(source, { project, store = true, onProgress, signal, ...rest } = {}) {
    const heads = await Heads.at(source, { ...rest, onProgress, signal });
    const kept = store === false ? await import('./memory_store.js').then(({ MemoryStore }) => new MemoryStore())
      : store === true ? await import('./store.js').then(({ Store }) => Store.open()) : store;
    const all = (await kept.projects()).filter(({ version }) => version <= 1);
    const found = project === undefined ? all[0] : all.find(({ id, name }) => id === project || name === project);
    const session = new TransferSession(heads, kept, found ?? await create(kept, heads, project ?? 'My project'));
    await session.#takeUp();
    return session;
  }

  get classes() { return this.project.classes; }
  get settings() { return this.project.settings; }
  get heads() { return this.#heads.file.heads; }
  get backbone() { return this.#heads.file.backbone; }
  get store() { return this.#store; }

  /** The classifier that is open: its `info` says how it computes, and why. @returns {Promise<TrainableModel | undefined>} */
  opened() { return this.#heads.opened(); }

  /** Classes that there are, and that were learnt, by their ids. */
  get #known() { return this.#learnt.known ? stillOf(this.#learnt.known, this.classes) : []; }

  /** Whether there is a classifier: it tells apart those of the classes of now that it was taught. */
  get trained() { return this.#known.length > 1; }

  /** What the classifier does not know yet, in words; '' if it was taught all classes. */
  get untaught() {
    const known = this.#known;
    const fresh = this.classes.filter(({ id }) => !known.includes(id));
    if (!this.trained || !fresh.length) return '';
    return `Trained on ${known.length} of ${this.classes.length} classes. Train again to teach ${fresh.map(({ name }) => name).join(', ')}.`;
  }

  /** Photos whose features are not computed yet. */
  get waiting() { return this.#features.waiting; }

  // --- classes -----------------------------------------------------------------------------------

  /** @param {string} name @param {{ color?: string }} [how] @returns {Promise<ClassInfo>} */
  async addClass(name, { color } = {}) {
    if (color !== undefined) paint(color);
    const most = this.#heads.file.mostClasses;
    /** @type {ClassInfo | undefined} */
    let made;
    await this.#update(({ classes }) => {
      if (most && classes.length >= most) fail('E-STUDIO-020', 'There is no room for another class.', { expected: `at most ${most}`, received: classes.length + 1 });
      const used = new Set(classes.map((c) => c.color));
      made = { id: classId(), name: nameFor(name, this.classes), color: color ?? COLORS.find((c) => !used.has(c)) ?? COLORS[classes.length % COLORS.length] };
      return { classes: [...classes, made] };
    });
    return /** @type {ClassInfo} */ (/** @type {unknown} */ (made));
  }

  /** @param {string} id @param {string} name */
  async renameClass(id, name) {
    const own = this.#class(id);
    await this.#update(({ classes }) => {
      const fresh = nameFor(name, this.classes, own.id);
      return { classes: classes.map((c) => (c.id === own.id ? { ...c, name: fresh } : c)) };
    });
  }

  /** @param {string} id @param {string} color */
  async recolorClass(id, color) {
    paint(color);
    const own = this.#class(id);
    await this.#update(({ classes }) => ({ classes: classes.map((c) => (c.id === own.id ? { ...c, color } : c)) }));
  }

  /** A class and its photos. @param {string} id */
  async removeClass(id) {
    const own = this.#class(id);
    await this.remove(this.examples.filter((e) => e.class === own.id).map((e) => e.id));
    await this.#update(({ classes }) => ({ classes: classes.filter((c) => c.id !== own.id) }));
  }

  /** By id or name. @param {string} key @returns {ClassInfo} */
  #class(key) {
    return this.classes.find((c) => c.id === key) ?? this.classes.find((c) => c.name === key)
      ?? fail('E-STUDIO-022', 'There is no such class.', { expected: this.classes.map((c) => c.name), received: key });
  }

  // --- photos ------------------------------------------------------------------------------------

  /**
   * Photos of a class: files, folders, a zip, a drop, canvases. Those that cannot be read are told, and the others kept.
   * @param {string | null} key the class; null: the folders that the photos are in name their classes
   * @param {any} photos what `intake` takes
   * @param {{ source?: Origin, onProgress?: (done: number, count: number) => void, signal?: AbortSignal }} [how] @returns {Promise<Added>}
   */
  async add(key, photos, { source, onProgress, signal } = {}) {
    this.#live();
    const own = key === null ? undefined : this.#class(key);
    const { id: project } = this.project;
    const here = () => {
      this.#live();
      if (this.project.id !== project) fail('E-STUDIO-023', 'Another project was opened while photos came in.', { next: 'add the rest of them again' });
    };
    const found = /** @type {Added} */ ({ added: [], refused: [] });
    let waiting = /** @type {NewExample[]} */ ([]);
    const flush = async () => {
      const batch = waiting;
      waiting = [];
      if (!batch.length) return;
      here();
      const added = await this.#store.add(project, batch);
      this.#own++;
      found.added.push(...added);
      here();
      this.examples = [...this.examples, ...added];
      this.dispatchEvent(told('change'));
      this.#features.compute();
    };
    let flushed = performance.now();
    /** @param {{ done: number, count: number }} at */
    const count = (at) => onProgress?.(at.done, at.count);
    const { intake } = await import('./intake.js');
    try {
      for await (const item of intake(photos, { source, signal, onProgress: count })) {
        if ('error' in item) {
          found.refused.push(item);
          continue;
        }
        const { photo, folder } = item;
        here();
        const of = own ?? await this.#folder(folder, new Set(waiting.map((one) => one.class)));
        waiting.push({ ...photo, class: of.id });
        if (waiting.length >= FLUSH || performance.now() - flushed > 300) {
          await flush();
          flushed = performance.now();
        }
      }
    } catch (error) {
      await flush().catch(() => {}); // what came before is kept, if it can be
      throw error;
    }
    await flush();
    return found;
  }

  /** The class that a folder names. @param {string} folder @param {Set<string>} taken ids of classes whose photos are on their way @returns {Promise<ClassInfo>} */
  async #folder(folder, taken) {
    const name = clean(folder.split('/').filter(Boolean).at(-1) ?? '') || 'Photos';
    const known = this.classes.find((c) => c.name.toLowerCase() === name.toLowerCase());
    if (known) return known;
    // The classes that a new project waits with are taken first.
    const blank = this.classes.find((c) => /^Class \d+$/.test(c.name) && !taken.has(c.id) && !this.examples.some((e) => e.class === c.id));
    if (!blank) return this.addClass(name);
    await this.renameClass(blank.id, name);
    return this.#class(blank.id);
  }

  /** @param {string[]} ids */
  async remove(ids) {
    await this.#store.delete(ids);
    this.#own++;
    const gone = new Set(ids);
    this.examples = this.examples.filter((e) => !gone.has(e.id));
    for (const id of ids) this.#features.rows.delete(id);
    this.dispatchEvent(told('change'));
  }

  /** @param {string[]} ids @param {string} key the class that they are of */
  async move(ids, key) {
    this.#replace(await this.#store.change(ids, { class: this.#class(key).id }));
  }

  /** Keep examples aside, to measure honestly with, or let them be learnt from. @param {string[]} ids @param {boolean} held */
  async hold(ids, held) {
    this.#replace(await this.#store.change(ids, { held }));
  }

  /** @param {Example[]} changed */
  #replace(changed) {
    this.#own++;
    const now = new Map(changed.map((e) => [e.id, e]));
    this.examples = this.examples.map((e) => now.get(e.id) ?? e);
    this.dispatchEvent(told('change'));
  }

  /** @param {string} id @returns {Promise<Blob>} */
  photo(id) { return this.#store.photo(id); }

  /** @param {string} id @returns {Promise<Blob>} */
  thumb(id) { return this.#store.thumb(id); }

  /**
   * Photos that are the same, or nearly. @param {{ threshold?: number, signal?: AbortSignal }} [how] @returns {Promise<Pair[]>}
   */
  async duplicates(how) {
    await this.#features.calm();
    const { near } = await import('./duplicates.js');
    return near(this.#features.rows, how);
  }

  // --- learning ----------------------------------------------------------------------------------

  /** Change how is learnt; what cannot be is refused with E-STUDIO-003, and nothing is changed. @param {Partial<Settings>} changes */
  async configure(changes) {
    const found = wrong(SETTINGS, changes);
    if (found) fail('E-STUDIO-003', 'This setting cannot be.', found);
    await this.#update(({ settings: before }) => {
      const settings = { ...before, ...changes, augment: { ...before.augment, ...changes.augment } };
      this.#heads.which(settings);
      return { settings };
    });
  }

  /** What is missing before it can learn, in words; '' if nothing is. */
  get missing() {
    if (this.classes.length < 2) return 'Add a second class.';
    const held = heldOut(this.examples);
    const empty = this.classes.filter((c) => !this.examples.some((e) => e.class === c.id && !held(e)));
    return empty.length ? `Add photos to ${empty.map((c) => c.name).join(', ')}.` : '';
  }

  /**
   * Learn from all examples that are not held out.
   * @param {Partial<Settings>} [changes] @param {Watch & { resume?: boolean }} [watch] resume: go on with the training that
   *   was cancelled, by the epochs that are left; its run is made whole
   * @returns {Promise<Run>} a training that is cancelled keeps what it has learnt, too
   */
  async train(changes = {}, { signal, onPrepare, onEpoch, onBatch, resume = false } = {}) {
    this.#live();
    if (Object.keys(changes).length) await this.configure(changes);
    if (this.missing) fail('E-STUDIO-021', 'There is not enough to learn from.', { next: this.missing });
    return this.#alone('train', async () => {
      const begun = performance.now();
      const { settings } = this;
      const info = this.#heads.which(settings);
      await this.#features.take(this.project.id, info);
      // To go on, it may have to be opened again, and to let classes go.
      const was = resume && this.trained && this.#learnt.known?.id === info.id ? (await this.#taught()).known : undefined;
      await this.#ready(info, signal, onPrepare);
      const model = await this.#heads.open(info, { signal });
      await this.#learnt.calm();
      // Those of now: classes may have come and gone while photos were looked at.
      if (this.missing) fail('E-STUDIO-021', 'There is not enough to learn from.', { next: this.missing });
      const labels = labelsOf(this.project);
      const classes = this.classes.map((c) => c.id);
      const going = was && same(was.classes, classes);
      const sides = (going ? was.sides : null) ?? sidesOf(this.examples, classes, settings);
      const parts = parted(this.examples, classes, sides);
      /** @type {Run} */
      const run = { at: Date.now(), settings: structuredClone(settings), epochs: 0, history: {}, report: null, seconds: 0,
        examples: parts.train.length, stopped: 'done' };
      const before = going ? goingOn(run, this.project.runs.at(-1)) : 0;
      this.#learnt.spoil(); // if it comes to nothing, what was learnt before is taken up again
      if (!going) await model.reset();
      await model.setClasses(labels, going ? [...classes.keys()] : []);
      if (settings.head === 'neighbours') await this.#remember(model, parts.train, classes);
      else await this.#fit(model, run, parts, classes, { signal, onPrepare, onEpoch, onBatch });
      this.#learnt.set(this.project, model, { id: info.id, classes, sides });
      const [measured, on] = this.#measuring(parts.validation);
      run.measured = on;
      run.report = await this.#reported(model, measured.length ? measured : parts.train, classes);
      run.seconds += (performance.now() - begun) / 1000;
      this.problem = null;
      this.report = run.report;
      await this.#keep([...this.project.runs.slice(0, before ? -1 : undefined), run].slice(-50));
      this.dispatchEvent(told('trained', run));
      return run;
    });
  }

  /** What measures honestly, and which it is: what is held out, else what validates. @param {Example[]} validation @returns {[Example[], NonNullable<Run['measured']>]} */
  #measuring(validation) {
    const held = this.examples.filter((e) => e.held && this.#features.rows.has(e.id));
    return held.length ? [held, 'held'] : [validation, validation.length ? 'validation' : 'all'];
  }

  /** Wait until all features are there. @param {HeadInfo} info @param {AbortSignal} [signal] @param {Watch['onPrepare']} [told] */
  async #ready(info, signal, told) {
    await this.#heads.open(info, { signal });
    const tell = () => told?.(this.examples.length - this.waiting, this.examples.length);
    this.addEventListener('features', tell);
    try {
      // Another head may still be looking at them, whose model was closed for this one: that comes to nothing.
      await Promise.race([this.#features.calm(), aborted(signal)]);
      while (this.waiting) {
        const before = this.waiting;
        await Promise.race([this.#features.compute(), aborted(signal)]);
        signal?.throwIfAborted();
        if (this.waiting && this.waiting >= before) fail('E-STUDIO-010', 'Some photos cannot be read any more.', { next: 'remove them' });
      }
    } finally {
      this.removeEventListener('features', tell);
    }
  }

  /**
   * @param {TrainableModel} model @param {Run} run @param {{ train: Example[], validation: Example[] }} parts
   * @param {string[]} classes @param {Watch} watch
   */
  async #fit(model, run, { train, validation }, classes, { signal, onPrepare, onEpoch, onBatch }) {
    const { altered, fitted } = await fitting();
    const { settings } = run;
    const width = widthOf(model);
    let x = this.#features.gathered(train, width);
    let y = train.map((e) => classes.indexOf(e.class));
    const validationData = validation.length ? /** @type {[Float32Array, number[]]} */ ([
      this.#features.gathered(validation, width), validation.map((e) => classes.indexOf(e.class))]) : undefined;
    if (settings.augment.copies > 0) {
      const more = await altered(model, train, settings, { read: (id) => this.#store.photo(id), size: this.backbone.size, signal, onPrepare });
      const both = new Float32Array(x.length + more.x.length);
      both.set(x);
      both.set(more.x, x.length);
      x = both;
      y = [...y, ...more.y.map((i) => y[i])];
    }
    await fitted(model, run, x, y, validationData, { signal, onBatch, onEpoch: (epoch, logs) => {
      onEpoch?.(epoch, logs);
      this.dispatchEvent(told('training', { epoch, epochs: settings.epochs, logs }));
    } });
  }

  /** @param {TrainableModel} model @param {Example[]} examples @param {string[]} classes */
  async #remember(model, examples, classes) {
    const { remembered } = await fitting();
    const { 'neighbours/used': { data } } = await model.getWeights();
    const width = widthOf(model);
    await model.setWeights(remembered(this.#features.gathered(examples, width), examples, classes, {
      capacity: data.length, width, neighbours: this.settings.neighbours, seed: this.settings.seed }));
  }

  /** @param {TrainableModel} model @param {Example[]} examples @param {string[]} classes @returns {Promise<Report>} */
  async #reported(model, examples, classes) {
    const { reportOf } = await fitting();
    const own = examples.filter((e) => classes.includes(e.class) && this.#features.rows.has(e.id)); // removed ones are not asked
    if (!own.length) return reportOf(new Float32Array(), [], classes);
    const scores = /** @type {Float32Array} */ (await model.predict(this.#features.gathered(own, widthOf(model)), { features: true }));
    return reportOf(scores, own, classes);
  }

  /**
   * The model that has learnt, of the classes that there are now; nothing else may go on meanwhile.
   * @returns {Promise<{ model: TrainableModel, info: HeadInfo, known: Known }>}
   */
  async #taught() {
    this.#enough();
    const { model, info } = await this.#learnt.open();
    this.#enough();
    if (await this.#learnt.trim(model, this.classes)) await this.#keep();
    return { model, info, known: /** @type {Known} */ (this.#learnt.known) };
  }

  /** One class alone is told from nothing. */
  #enough() {
    if (this.#learnt.known && !this.trained) fail('E-STUDIO-024', 'Classes that were learnt are gone.', { next: 'train again' });
  }

  /** Which photos what is known was learnt from. @param {Known} known @returns {Sides} */
  #sides({ sides, classes }) {
    return sides ?? sidesOf(this.examples, classes, this.settings);
  }

  /**
   * How well it does on examples.
   * @param {'held' | 'validation' | 'all' | string[]} [which] @returns {Promise<Report>}
   */
  async evaluate(which = 'validation') {
    this.#live();
    if (this.#busy) fail('E-STUDIO-023', `${this.#busy} has not ended.`, { where: 'evaluate', next: `await ${this.#busy}` });
    const report = this.#measured.then(() => this.#evaluated(which));
    this.#measured = report.catch(() => {});
    return report;
  }

  /** @param {'held' | 'validation' | 'all' | string[]} which */
  async #evaluated(which) {
    const { model, info, known } = await this.#taught();
    const { classes } = known;
    await this.#features.take(this.project.id, info);
    await this.#ready(info);
    const ids = Array.isArray(which) ? new Set(which) : undefined;
    const chosen = ids ? this.examples.filter((e) => ids.has(e.id))
      : which === 'all' ? this.examples : which === 'held' ? this.examples.filter((e) => e.held)
      : parted(this.examples, classes, this.#sides(known)).validation;
    return this.#reported(model, chosen, classes);
  }

  /** @param {Photo} photo @param {{ heat?: boolean }} [how] @returns {Promise<Answer>} */
  async predict(photo, { heat = false } = {}) {
    this.#live();
    if (['train', 'load', 'import'].includes(this.#busy ?? '')) fail('E-STUDIO-023', `${this.#busy} has not ended.`, { where: 'predict', next: 'ask again when it has' });
    this.#enough();
    const { model, known: { classes } } = await this.#learnt.open();
    const begun = performance.now();
    const out = await model.run({ image: /** @type {any} */ (photo) });
    const ms = performance.now() - begun;
    this.#enough();
    // What was removed meanwhile is not spoken of: the others share what is left.
    const here = classes.map((id) => this.classes.find((c) => c.id === id));
    const all = here.reduce((sum, own, i) => sum + (own ? Number(out.scores.data[i]) : 0), 0);
    const cut = here.includes(undefined);
    const results = here.flatMap((own, index) => {
      const score = Number(out.scores.data[index]);
      return own ? [{ label: own.name, class: own.id, index, score: cut ? score / (all || 1) : score }] : [];
    }).sort((a, b) => b.score - a.score);
    const sure = results[0].score >= this.settings.threshold;
    return { results, label: sure ? results[0].label : null, sure, heat: heat ? heatOf(out.heat, results[0].index) : null, ms };
  }

  /**
   * "That is wrong, it is ...": the photo, or an example, is learnt with its right class at once. From what is held
   * out, or validates, nothing is learnt: it gets its class. Before and after are measured on the same photos.
   * @param {Photo | string} given @param {string} key the class
   * @returns {Promise<Correction>}
   */
  correct(given, key) {
    return this.#alone('correct', () => this.#corrected(given, key));
  }

  /** @param {Photo | string} given @param {string} key @returns {Promise<Correction>} */
  async #corrected(given, key) {
    const own = this.#class(key);
    const { model, info, known: was } = await this.#taught();
    const { classes } = was;
    if (!classes.includes(own.id)) fail('E-STUDIO-024', 'This class was not learnt yet.', { where: own.name, next: 'train again' });
    const sides = this.#sides(was);
    const old = typeof given === 'string' ? this.examples.find((e) => e.id === given) : undefined;
    let example = old;
    if (typeof given === 'string') await this.move([given], own.id);
    else {
      const { added, refused } = await this.add(own.id, [given], { source: 'correction' });
      if (!added.length) throw refused[0]?.error ?? new FanlightError('E-STUDIO-013', 'There is no photo in what was given.');
      example = added[0];
    }
    const { id, hash } = example ?? fail('E-STUDIO-022', 'There is no such photo.', { received: given });
    // It may be put aside already, as this example or as a copy of it: nothing is learnt from it then.
    const copies = this.examples.filter((e) => e.id !== id && e.hash && e.hash === hash);
    const learnt = !(old ? isAside(old, sides) || copies.some((e) => e.held) : copies.some((e) => isAside(e, sides)));
    const known = { ...was, sides: { ...sides, fixed: { ...sides.fixed, [id]: !learnt } } };
    await this.#features.take(this.project.id, info);
    await this.#ready(info);
    const begun = performance.now();
    const weights = await model.getWeights();
    const { train, validation } = parted(this.examples, classes, known.sides);
    const [measured, which] = this.#measuring(validation);
    const report = async () => (measured.length ? this.#reported(model, measured, classes) : null);
    const before = await report();
    if (learnt) {
      await this.#again(model, info, train, classes, id).catch((error) => {
        this.#learnt.spoil();
        throw error;
      });
    }
    this.#learnt.set(this.project, model, known);
    const after = await report();
    const ms = performance.now() - begun;
    const { id: project, runs } = this.project;
    const last = runs.at(-1);
    // What the last training came to is now this.
    if (after && last) this.report = after;
    await this.#keep(after && last ? [...runs.slice(0, -1), { ...last, report: after, measured: which }] : undefined);
    /** @returns {Promise<boolean>} whether it has forgotten the photo: not where it has learnt anew since */
    const undo = () => this.#alone('undo', async () => {
      if (this.project.id !== project) fail('E-STUDIO-023', 'Another project is open.', { next: 'open the first one again' });
      if (old) await this.move([id], old.class);
      else await this.remove([id]);
      if (this.#learnt.known !== known) return false;
      const { model: now } = await this.#learnt.open(); // a training that came to nothing was in between
      await now.setWeights(weights);
      this.#learnt.set(this.project, now, was);
      this.report = last?.report ?? null;
      await this.#keep(last && this.project.runs.map((run) => (run.at === last.at ? last : run)));
      return true;
    });
    const now = /** @type {Example} */ (this.examples.find((e) => e.id === id));
    return { example: now, before, after, measured: which === 'all' ? null : which, learnt, ms, undo };
  }

  /** Learn on, for the sake of one example. @param {TrainableModel} model @param {HeadInfo} info @param {Example[]} train @param {string[]} classes @param {string} id */
  async #again(model, info, train, classes, id) {
    if (info.head === 'neighbours') await this.#remember(model, train, classes);
    else {
      const { relearnt } = await fitting();
      await relearnt(model, this.#features.gathered(train, widthOf(model)), train.map((e) => classes.indexOf(e.class)),
        train.findIndex((e) => e.id === id), this.settings);
    }
  }

  // --- keeping -----------------------------------------------------------------------------------

  /** Keep what was learnt. @param {Run[]} [runs] */
  async #keep(runs) {
    try {
      this.project = await this.#learnt.keep(runs, this.project);
      this.#own++;
      this.#missed = false; // the last one to learn is the one that is kept
      this.dispatchEvent(told('saved'));
    } catch (error) { // it goes on without; the page says so
      this.dispatchEvent(told('problem', error));
    }
  }

  /** Take up what was learnt before, if that is there. Photos and classes do not wait for the model. */
  async #restore() {
    this.report = null;
    this.problem = null;
    await this.#learnt.read(this.project).catch((error) => {
      this.problem = error;
    });
    const { known } = this.#learnt;
    if (!known) return;
    this.report = this.project.runs.at(-1)?.report ?? null;
    guarded(this.#learnt.open(), (error) => {
      const other = this.#heads.current ?? known.id;
      if (this.#closed || this.#learnt.known !== known || other !== known.id) return; // nobody wants it any more
      this.problem = error;
      this.dispatchEvent(told('problem', error));
    });
  }

  /** Begin with what is kept of the project. */
  async #takeUp() {
    this.#learnt.forget();
    this.#features.clear();
    this.examples = await this.#store.examples(this.project.id);
    if (this.project.form !== this.backbone.form) await this.#update(() => ({ form: this.backbone.form }));
    await this.#restore();
    await this.#features.take(this.project.id, this.#heads.which(known(this.#heads, this.settings)));
    if (this.waiting) this.#features.compute();
    this.dispatchEvent(told('change'));
    // Whoever opens a session asks for it: nobody listens yet.
    if (this.problem) this.dispatchEvent(told('problem', this.problem));
  }

  /** All is kept as it comes: this waits until nothing is on its way. */
  async save() {
    await this.#features.calm();
    this.project = await this.#store.update(this.project.id, {});
    this.dispatchEvent(told('saved'));
  }

  /** Go on with another project. @param {string} id */
  async load(id) {
    this.#live();
    await this.#alone('load', async () => {
      this.project = await this.#store.project(id);
      await this.#takeUp();
    });
  }

  /**
   * A file of what was learnt, or of the whole project: see ExportKind.
   * @param {ExportKind} kind @param {{ title?: string, onProgress?: (done: number, count: number) => void, signal?: AbortSignal }} [how]
   * @returns {Promise<File>}
   */
  async export(kind, { title = this.project.name, onProgress, signal } = {}) {
    this.#live();
    return this.#alone('export', async () => {
      const { exportAs } = await import('./export.js');
      const { featuresOf, goneOf } = await import('./sharing.js');
      const taught = this.trained || kind !== 'project' ? await this.#taught() : undefined;
      const places = taught ? this.#heads.places(taught.info, signal) : {};
      return exportAs(kind, {
        title, model: taught?.model ?? null, ...places, project: this.project, examples: this.examples,
        photo: (id) => this.#store.photo(id), onProgress, signal,
        onGone: (count) => this.dispatchEvent(told('problem', goneOf(count, this.examples.length))),
        features: this.#features.of ? featuresOf(this.examples, this.#features.rows, this.#features.form(this.#features.of)) : null,
      });
    });
  }

  /**
   * Take a project out of a file and go on with it. @param {Blob} file
   * @param {{ onProgress?: (done: number, count: number) => void, signal?: AbortSignal }} [how] @returns {Promise<Project>}
   */
  async importProject(file, how) {
    this.#live();
    const { imported } = await import('./sharing.js');
    const { project, learnt, foreign: elsewhere } = await this.#alone('import', () => imported(this.#store, file, this.backbone.form, how));
    await this.load(project.id);
    const learning = this.project.runs.at(-1)?.settings ?? this.settings;
    const settings = known(this.#heads, learning);
    const other = elsewhere || settings !== learning;
    if (elsewhere || (learnt && other)) this.dispatchEvent(told('problem', foreign(elsewhere ? 'on another backbone' : 'in a way that is not here')));
    if (!learnt || other) return this.project;
    const ids = learnt.labels.map((label) => this.classes.find(({ name }) => name === label)?.id);
    if (ids.every(Boolean)) await this.#alone('import', () => this.#adopt(learnt, settings, /** @type {string[]} */ (ids)));
    return this.project;
  }

  /**
   * What was learnt elsewhere. @param {{ tensors: Record<string, Tensor>, labels: string[] }} learnt
   * @param {Settings} settings @param {string[]} classes
   */
  async #adopt({ tensors, labels }, settings, classes) {
    const info = this.#heads.which(settings);
    const model = await this.#heads.open(info);
    await this.#learnt.calm();
    await model.reset();
    await model.setClasses(labels, []);
    const own = Object.keys(await model.getWeights());
    if (!own.every((path) => tensors[path])) return; // of another head: it is trained again
    await model.setWeights(Object.fromEntries(own.map((path) => [path, tensors[path]])));
    this.#learnt.set(this.project, model, { id: info.id, classes, sides: sidesOf(this.examples, classes, settings) });
    this.report = this.project.runs.at(-1)?.report ?? null;
    await this.#keep();
    this.dispatchEvent(told('change'));
  }

  /** A new project, which is gone on with. @param {string} name */
  async create(name) {
    const made = await create(this.#store, this.#heads, name);
    await this.load(made.id);
    return made;
  }

  /** @param {string} name */
  async rename(name) {
    await this.#update((project) => ({ name: clean(name) || project.name }));
  }

  /** One change after the other, each made of what the project is then. @param {(project: Project) => Partial<Project>} make */
  #update(make) {
    this.#live();
    const done = this.#updated.then(async () => {
      const base = this.project;
      try {
        this.project = await this.#store.update(base.id, make(base), base);
        this.#own++;
      } catch (/** @type {any} */ error) {
        // What is shown now is what another tab has made of it: it may be changed again.
        if (error.code === 'E-STUDIO-033' && base === this.project) this.project = await this.#store.project(base.id).catch(() => base);
        throw error;
      } finally {
        this.dispatchEvent(told('change'));
      }
    });
    this.#updated = done.catch(() => {});
    return done;
  }

  /** @param {{ project: string, kind: string }} change */
  async #changedElsewhere({ project, kind }) {
    if (project !== this.project.id || this.#closed) return;
    if (kind === 'removed') {
      this.dispatchEvent(told('problem', new FanlightError('E-STUDIO-033', 'Another tab has removed this project.', { next: 'choose another one' })));
      return;
    }
    if (kind === 'features') return;
    for (let own = -1; own !== this.#own;) { // what this tab changes meanwhile is not in what was read
      own = this.#own;
      const [now, examples] = await Promise.all([this.#store.project(project), this.#store.examples(project)]);
      if (project !== this.project.id || this.#closed) return; // another one was opened meanwhile
      if (own === this.#own) Object.assign(this, { project: now, examples });
    }
    if (kind === 'head') {
      if (this.#busy) this.#missed = true;
      else await this.#alone('load', () => this.#restore());
    }
    if (this.waiting) this.#features.compute();
    this.dispatchEvent(told('change'));
  }

  // --- and the rest ------------------------------------------------------------------------------

  /** Refuse what comes after the end. */
  #live() {
    if (this.#closed) fail('E-STUDIO-023', 'The session is closed.', { next: 'open another one' });
  }

  /** @template T @param {string} what @param {() => Promise<T>} act @returns {Promise<T>} */
  async #alone(what, act) {
    this.#live();
    if (this.#busy) fail('E-STUDIO-023', `${this.#busy} has not ended.`, { where: what, next: `await ${this.#busy}, or cancel it by its signal` });
    this.#busy = what;
    try {
      await this.#measured;
      const work = act();
      guard(work);
      return await work;
    } finally {
      this.#busy = undefined;
      if (this.#missed && !this.#closed) {
        this.#missed = false;
        guarded(this.#alone('load', () => this.#restore()), (error) => this.dispatchEvent(told('problem', error)));
      }
    }
  }

  /** What goes on, if something does. */
  get busy() { return this.#busy; }

  /** Give memory back; what is kept stays. */
  dispose() {
    this.#closed = true;
    this.#features.close();
    this.#heads.dispose();
    Object.assign(this.#store, { onchange: null, onproblem: null });
    this.#store.close();
  }
}

/** Something in the background: who began it is told if it fails. @param {Promise<unknown>} work @param {(error: unknown) => void} failed */
const guarded = (work, failed) => {
  work.catch(failed);
};

/** Numbers of a photo's features. @param {TrainableModel} model */
const widthOf = (model) => /** @type {number} */ (model.featureSize);
