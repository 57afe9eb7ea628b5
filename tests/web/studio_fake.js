// A session without a model, for tests of the page: it keeps photos in memory and tells what TransferSession tells.

const COLORS = ['#c2560c', '#1f6f8b', '#5b7f1e', '#8e3b8a'];
const SIDE = 96;

/** A photo as a test has it: a shape on a ground, another one for each number. */
export const picture = async (n, kind = 'sun') => {
  const canvas = new OffscreenCanvas(SIDE, SIDE);
  const context = canvas.getContext('2d');
  const hue = (n * 47) % 360;
  const sky = context.createLinearGradient(0, 0, 0, SIDE);
  sky.addColorStop(0, `hsl(${hue} 45% 78%)`);
  sky.addColorStop(1, `hsl(${(hue + 40) % 360} 50% 52%)`);
  context.fillStyle = sky;
  context.fillRect(0, 0, SIDE, SIDE);
  context.fillStyle = `hsl(${(hue + 180) % 360} 60% 92%)`;
  context.beginPath();
  if (kind === 'sun') context.arc(24 + (n * 13) % 48, 24 + (n * 7) % 30, 10 + n % 12, 0, 7);
  else context.moveTo(8, 88), context.lineTo(20 + (n * 11) % 56, 12 + n % 30), context.lineTo(88, 88);
  context.fill();
  return canvas.convertToBlob({ type: 'image/jpeg' });
};

const hashOf = async (blob) => [...new Uint8Array(await crypto.subtle.digest('SHA-256', await blob.arrayBuffer()))]
  .map((byte) => byte.toString(16).padStart(2, '0')).join('');

export class FakeSession extends EventTarget {
  classes = [];
  examples = [];
  settings = { head: 'linear', unfreeze: 0, epochs: 30, batchSize: 32, learningRate: 0.001, schedule: 'constant', validationSplit: 0.15,
    patience: 0, neighbours: 5, threshold: 0.6, seed: 1, augment: { copies: 0, rotate: 15, shift: 0.1, zoom: 0.1, flip: true, brightness: 0.2 } };
  project = { version: 1, id: 'p1', name: 'My project', created: Date.now(), updated: Date.now(), form: 'f', classes: [], settings: {}, runs: [] };
  heads = [];
  trained = false;
  report = null;
  photos = new Map();
  waits = 0; // milliseconds that each photo takes
  ready = 0;
  asked = 0;
  live = 0; // thumbnails that were asked for
  used = 2e6;
  count = 0;

  store = {
    projects: async () => [this.project, ...this.others],
    remove: async (id) => { this.others = this.others.filter((one) => one.id !== id); },
    update: async (id, changes) => Object.assign(this.others.find((one) => one.id === id), changes),
    examples: async (id) => (id === this.project.id ? this.examples : [{}, {}, {}]),
    usage: async () => ({ used: this.used, quota: 1e8, persisted: this.asked > 0 }),
    persist: async () => { this.asked++; return true; },
  };

  others = [{ ...this.project, id: 'p2', name: 'Leaves', classes: [{ id: 'a', name: 'Oak', color: '#5b7f1e' }] }];

  tell(type, detail) { this.dispatchEvent(new CustomEvent(type, { detail })); }

  async configure(changes) {
    this.settings = { ...this.settings, ...changes };
    this.tell('change');
  }

  async addClass(name, { color } = {}) {
    const made = { id: `c${++this.count}`, name, color: color ?? COLORS[this.classes.length % COLORS.length] };
    this.classes = [...this.classes, made];
    this.tell('change');
    return made;
  }

  edit(id, changes) {
    this.classes = this.classes.map((one) => (one.id === id ? { ...one, ...changes } : one));
    this.tell('change');
  }

  async renameClass(id, name) { this.edit(id, { name }); }

  async recolorClass(id, color) { this.edit(id, { color }); }

  async removeClass(id) {
    this.examples = this.examples.filter((one) => one.class !== id);
    this.classes = this.classes.filter((one) => one.id !== id);
    this.tell('change');
  }

  async add(to, photos, { source = 'file', onProgress, signal } = {}) {
    const added = [];
    const refused = [];
    for (const photo of photos.files?.map(({ file }) => file) ?? photos) {
      signal?.throwIfAborted();
      if (this.waits) await new Promise((resolve) => setTimeout(resolve, this.waits));
      const bitmap = await createImageBitmap(photo).catch(() => null);
      onProgress?.(added.length + refused.length + 1);
      if (!bitmap) {
        refused.push({ name: photo.name, error: { code: 'E-STUDIO-010', reason: 'This is no photo that the browser can read.', next: 'choose a JPEG or PNG' } });
        continue;
      }
      const folder = photo.webkitRelativePath?.split('/').at(-2);
      const own = to ?? (this.classes.find(({ name }) => name === folder) ?? await this.addClass(folder)).id;
      const id = `e${++this.count}`;
      const example = { id, project: 'p1', class: own, name: photo.name ?? `photo ${this.count}`, added: Date.now(), width: bitmap.width, height: bitmap.height,
        bytes: photo.size, hash: await hashOf(photo), source, held: false };
      this.photos.set(id, photo);
      added.push(example);
      this.examples = [...this.examples, example];
      this.tell('change');
    }
    return { added, refused };
  }

  async remove(ids) {
    this.examples = this.examples.filter(({ id }) => !ids.includes(id));
    this.tell('change');
  }

  change(ids, changes) {
    this.examples = this.examples.map((one) => (ids.includes(one.id) ? { ...one, ...changes } : one));
    this.tell('change');
  }

  async move(ids, to) { this.change(ids, { class: to }); }

  async hold(ids, held) { this.change(ids, { held }); }

  async photo(id) { return this.photos.get(id); }

  async thumb(id) {
    this.live++;
    return this.photos.get(id);
  }

  async duplicates() {
    const first = new Map();
    const pairs = [];
    for (const { id, hash } of this.examples) {
      if (first.has(hash)) pairs.push({ a: first.get(hash), b: id, similarity: 1 });
      else first.set(hash, id);
    }
    return pairs;
  }

  async load(id) {
    this.project = this.others.find((one) => one.id === id) ?? this.project;
    this.classes = this.project.classes;
    this.examples = [];
    this.tell('change');
  }

  async create(name) {
    this.others = [this.project, ...this.others];
    this.project = { ...this.project, id: `p${++this.count}`, name, classes: [] };
    this.classes = [];
    this.examples = [];
    this.tell('change');
    return this.project;
  }

  async rename(name) {
    this.project = { ...this.project, name };
    this.tell('change');
  }

  async export(kind) { return new File([kind], `${this.project.name}.zip`); }

  async importProject(file) {
    if (file.size < 4) throw Object.assign(new Error(), { code: 'E-STUDIO-032', reason: 'This file is no project.', next: 'choose a file that Studio saved' });
    return this.project;
  }

  /** Many at once: one picture for each of `kinds` many, shared. @param {string} to */
  async fill(to, many, kind) {
    const some = await Promise.all(Array.from({ length: Math.min(many, 60) }, (_, n) => picture(n, kind)));
    const made = Array.from({ length: many }, (_, n) => {
      const id = `e${++this.count}`;
      this.photos.set(id, some[n % some.length]);
      return { id, project: 'p1', class: to, name: `${kind} ${n + 1}.jpg`, added: n, width: SIDE, height: SIDE, bytes: 4000, hash: `${kind} ${n}`, source: 'file', held: false };
    });
    this.examples = [...this.examples, ...made];
    this.tell('change');
  }
}

const studio = document.querySelector('fanlight-studio');
await customElements.whenDefined('fanlight-studio');
globalThis.session = new FakeSession();
globalThis.picture = picture;
studio.session = globalThis.session;
