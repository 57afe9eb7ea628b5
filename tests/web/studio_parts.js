// The elements of Studio that teach, try, keep and tag, on a page of their own, with a teacher that stands in for a
// session: it knows photos by their mean colour, and a class by the mean of its photos (of half of them at
// first: so it errs until it has learnt).
import { FanlightError } from '../../fanlight/web/runtime/fanlight.js';
import { DEFAULTS } from '../../fanlight/web/studio/learning.js';
import { heatPixels } from '../../fanlight/web/studio/elements/heat.js';
import { csv } from '../../fanlight/web/studio/csv.js';
import { sidecar, sidecarPaths } from '../../fanlight/web/studio/xmp.js';
import { settingsOf } from '../../fanlight/web/studio/elements/keeping.js';
import { percent, listed } from '../../fanlight/web/studio/elements/figures.js';
import { Trash } from '../../fanlight/web/studio/elements/trash.js';
import { ofDrop } from '../../fanlight/web/studio/tagging.js';
import '../../fanlight/web/studio/elements/train.js';
import '../../fanlight/web/studio/elements/try.js';
import '../../fanlight/web/studio/elements/keep.js';
import '../../fanlight/web/studio/elements/tag.js';

const SIDE = 96;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Numbers from 0 to 1, the same each time. */
function dice(seed) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** A photo of some colour with a shape in it. */
export async function photo([r, g, b], seed = 1, side = SIDE) {
  const random = dice(seed);
  const canvas = new OffscreenCanvas(side, side);
  const context = canvas.getContext('2d');
  context.fillStyle = `rgb(${r} ${g} ${b})`;
  context.fillRect(0, 0, side, side);
  for (let i = 0; i < 6; i++) {
    context.fillStyle = `rgb(${r + 60 * random() - 30} ${g + 60 * random() - 30} ${b + 60 * random() - 30})`;
    context.beginPath();
    context.ellipse(side * random(), side * random(), side * 0.3 * random() + 6, side * 0.3 * random() + 6, 0, 0, 7);
    context.fill();
  }
  return canvas.convertToBlob({ type: 'image/png' });
}

async function meanOf(source) {
  const bitmap = await createImageBitmap(source);
  const context = new OffscreenCanvas(8, 8).getContext('2d');
  context.drawImage(bitmap, 0, 0, 8, 8);
  bitmap.close();
  const { data } = context.getImageData(0, 0, 8, 8);
  const sums = [0, 0, 0];
  for (let i = 0; i < data.length; i++) if (i % 4 < 3) sums[i % 4] += data[i] / 64;
  return sums;
}

export class FakeSession extends EventTarget {
  examples = [];
  store = { usage: async () => ({ used: 48_200_000, quota: 2_000_000_000, persisted: this.safe ?? false }), persist: async () => { this.safe = true; return true; } };
  heads = [
    { id: 'linear', head: 'linear', unfreeze: 0, url: 'a/', bytes: 4_200_000 },
    { id: 'hidden', head: 'hidden', unfreeze: 0, url: 'b/', bytes: 4_700_000 },
    { id: 'neighbours', head: 'neighbours', unfreeze: 0, url: 'c/', bytes: 5_300_000 },
    { id: 'tune-1', head: 'linear', unfreeze: 1, url: 'd/', bytes: 4_400_000 },
    { id: 'tune-2', head: 'linear', unfreeze: 2, url: 'e/', bytes: 4_600_000 },
  ];
  trained = false;
  report = null;
  saves = 0;
  calls = [];
  /** Milliseconds of an epoch, and of a correction. */
  slow = 5;
  project = { id: 'p', name: 'Pets', version: 1, created: 0, updated: 0, form: '', classes: [], settings: structuredClone(DEFAULTS), runs: [] };
  #blobs = new Map();
  #means = new Map();
  #centres = new Map();
  #next = 0;

  get classes() { return this.project.classes; }

  get settings() { return this.project.settings; }

  get missing() {
    if (this.classes.length < 2) return 'Add a second class.';
    const empty = this.classes.filter((c) => !this.examples.some((e) => e.class === c.id && !e.held));
    return empty.length ? `Add photos to ${empty.map((c) => c.name).join(', ')}.` : '';
  }

  async configure(changes) {
    this.saves++;
    this.project = { ...this.project, settings: { ...this.settings, ...changes } };
    this.#tell();
  }

  addClass(name, color) {
    const info = { id: `c${this.classes.length}`, name, color };
    this.classes.push(info);
    return info;
  }

  async add(id, blob, more = {}) {
    const example = { id: `e${this.#next++}`, project: 'p', class: id, name: `IMG_${1000 + this.#next}.png`, added: 0, width: SIDE, height: SIDE, bytes: blob.size, hash: `${(this.#next * 7919) % 10007}`, source: 'file', held: false, ...more };
    this.#blobs.set(example.id, blob);
    this.#means.set(example.id, await meanOf(blob));
    this.examples.push(example);
    return example;
  }

  async photo(id) { return this.#blobs.get(id); }

  async thumb(id) { return this.#blobs.get(id); }

  #tell(type = 'change') { this.dispatchEvent(new Event(type)); }

  async remove(ids) {
    this.calls.push(['remove', ids]);
    this.examples = this.examples.filter(({ id }) => !ids.includes(id));
    this.#tell();
  }

  async move(ids, to) {
    for (const example of this.examples) if (ids.includes(example.id)) example.class = to;
    this.#tell();
  }

  async hold(ids, held) {
    this.calls.push(['hold', ids.length, held]);
    for (const example of this.examples) if (ids.includes(example.id)) example.held = held;
    this.#tell();
  }

  #learn(part) {
    for (const { id } of this.classes) {
      const own = this.examples.filter((e) => e.class === id && !e.held);
      const used = own.slice(0, Math.max(1, Math.round(own.length * part)));
      this.#centres.set(id, [0, 1, 2].map((k) => used.reduce((sum, e) => sum + this.#means.get(e.id)[k], 0) / used.length));
    }
  }

  #scores(mean) {
    const near = this.classes.map(({ id }) => Math.exp(-Math.hypot(...this.#centres.get(id).map((c, k) => c - mean[k])) / 22));
    const all = near.reduce((a, b) => a + b, 1e-9);
    return near.map((n) => n / all);
  }

  async train(settings = {}, { onPrepare, onEpoch, signal, resume } = {}) {
    if (this.fails) throw this.fails;
    this.calls.push(['train', Boolean(resume)]);
    if (Object.keys(settings).length) await this.configure(settings);
    const { epochs } = this.settings;
    const history = { loss: [], accuracy: [], val_loss: [], val_accuracy: [] };
    const run = { at: Date.UTC(2026, 4, 17, 9, 30 + 7 * this.project.runs.length), settings: structuredClone(this.settings), epochs: 0, history, report: null, seconds: 3.2, examples: this.examples.length, stopped: 'done' };
    for (let i = 0; i < this.examples.length && !resume; i += 10) {
      onPrepare?.(i, this.examples.length);
      await pause(0);
      signal?.throwIfAborted();
    }
    const random = dice(3);
    const last = this.project.runs.at(-1);
    const before = resume && last?.stopped === 'cancelled' ? last.epochs : 0;
    if (before) for (const [name, values] of Object.entries(last.history)) history[name].push(...values);
    for (let epoch = before; epoch < epochs; epoch++) {
      for (let waited = 0; waited < this.slow && !signal?.aborted; waited += 10) await pause(Math.min(10, this.slow));
      if (signal?.aborted) {
        if (epoch === before) signal.throwIfAborted();
        run.stopped = 'cancelled';
        break;
      }
      const at = (epoch + 1) / epochs;
      const logs = { loss: 0.05 + 0.9 * Math.exp(-4 * at) + 0.02 * random(), accuracy: Math.min(1, 0.5 + 0.5 * (1 - Math.exp(-5 * at))), val_loss: 0.12 + 0.85 * Math.exp(-3.4 * at) + 0.04 * random(), val_accuracy: 0.5 + 0.45 * (1 - Math.exp(-4 * at)) - 0.03 * random() };
      for (const [name, value] of Object.entries(logs)) history[name].push(value);
      run.epochs = epoch + 1;
      onEpoch?.(epoch, logs);
      this.#tell('training');
    }
    this.#learn(run.stopped === 'done' ? 1 : 0.5);
    this.trained = true;
    this.report = run.report = await this.evaluate();
    this.project = { ...this.project, runs: [...this.project.runs.slice(0, before ? -1 : undefined), run] };
    this.#tell('trained');
    return run;
  }

  async evaluate(which = this.examples.some((e) => e.held) ? 'held' : 'all') {
    const some = this.examples.filter((e) => which !== 'held' || e.held);
    const n = this.classes.length;
    const confusion = Array.from({ length: n }, () => Array(n).fill(0));
    const cells = Array.from({ length: n }, () => Array.from({ length: n }, () => []));
    for (const example of some) {
      const scores = this.#scores(this.#means.get(example.id));
      const [i, j] = [this.classes.findIndex(({ id }) => id === example.class), scores.indexOf(Math.max(...scores))];
      confusion[i][j]++;
      cells[i][j].push(example.id);
    }
    const right = confusion.reduce((sum, row, i) => sum + row[i], 0);
    return { count: some.length, loss: 0.2, accuracy: some.length ? right / some.length : 0, confusion, cells,
      perClass: this.classes.map(({ id }, i) => { const all = confusion[i].reduce((a, b) => a + b, 0); return { class: id, count: all, accuracy: all ? confusion[i][i] / all : 0 }; }) };
  }

  async predict(source, { heat } = {}) {
    if (this.lag) await pause(this.lag);
    this.asked = (this.asked ?? 0) + 1;
    let mean;
    try {
      mean = await meanOf(source);
    } catch {
      throw new FanlightError('E-STUDIO-010', 'This file is no photo that this browser can read.', { next: 'open it elsewhere and save it as JPEG' });
    }
    const results = this.#scores(mean).map((score, index) => ({ score, index, label: this.classes[index].name, class: this.classes[index].id })).sort((a, b) => b.score - a.score);
    const sure = results[0].score >= this.settings.threshold;
    const data = Float32Array.from({ length: 25 }, (_, i) => Math.exp(-((i % 5 - 3) ** 2 + (Math.floor(i / 5) - 1) ** 2) / 3));
    return { results, sure, label: sure ? results[0].label : null, heat: heat ? { data, width: 5, height: 5 } : null, ms: 4 };
  }

  async correct(source, to) {
    const held = this.examples.some((e) => e.held);
    const before = held ? await this.evaluate('held') : null;
    const example = await this.add(to, source, { source: 'correction' });
    const old = new Map(this.#centres);
    await pause(this.slow);
    this.#learn(1);
    this.#tell();
    return { example, before, after: held ? await this.evaluate('held') : null, ms: 412, undo: async () => {
      await this.remove([example.id]);
      this.#centres = old;
    } };
  }

  async export(kind, { onProgress, signal } = {}) {
    if (this.fails) throw this.fails;
    for (let i = 0; i <= 4; i++) {
      onProgress?.(i, 4);
      await pause(this.slow);
      signal?.throwIfAborted();
    }
    return new File([new Uint8Array(4321)], { page: 'pets-page.zip', html: 'pets.html', npm: 'pets-npm.zip', tfjs: 'pets-tfjs.zip', safetensors: 'pets.safetensors', project: 'pets-project.zip' }[kind]);
  }

  async importProject(file) {
    if (!file.name.endsWith('.zip') || file.size < 10) throw new FanlightError('E-STUDIO-032', 'This file is no project.', { next: 'choose a zip that was saved here by "Whole project"' });
    return { ...this.project, id: 'q', name: 'Birds' };
  }
}

/** Cats are brown, dogs grey, owls in between: now and then one is taken for another. */
export async function pets(each = 20, names = ['cat', 'dog', 'owl']) {
  const session = new FakeSession();
  const colors = ['#e8912d', '#3a87b8', '#5d9b4c'];
  const grounds = [[176, 120, 70], [120, 128, 140], [150, 136, 96]];
  const random = dice(11);
  for (const [i, name] of names.entries()) {
    const { id } = session.addClass(name, colors[i % 3]);
    for (let k = 0; k < each; k++) {
      await session.add(id, await photo(grounds[i % 3].map((v) => v + 44 * random() - 22), 100 * i + k));
    }
  }
  return session;
}

/** Put one element on the page. */
export function show(name, session) {
  const element = Object.assign(document.createElement(name), { session });
  document.querySelector('main').replaceChildren(element);
  return element.updateComplete.then(() => element);
}

/** A folder of files for tagging: colours of the classes, and some in between. */
export async function folder(many, prefix = 'beach/') {
  const grounds = [[176, 120, 70], [120, 128, 140], [150, 136, 96], [140, 128, 112]];
  const blobs = await Promise.all(grounds.map((ground, i) => photo(ground, 900 + i)));
  return Array.from({ length: many }, (_, i) => {
    const name = `IMG_${String(i).padStart(4, '0')}.png`;
    return { file: new File([blobs[i % 4]], name, { type: 'image/png', lastModified: i }), path: `${prefix}${name}` };
  });
}

Object.assign(globalThis, { parts: { FakeSession, FanlightError, photo, pets, show, folder, pause, heatPixels, csv, sidecar, sidecarPaths, percent, listed, settingsOf, DEFAULTS, Trash, ofDrop } });
