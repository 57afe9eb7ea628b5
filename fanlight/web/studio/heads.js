import { fail, said } from '../runtime/errors.js';
import { placesIn } from './places.js';
/**
 * @import { TrainableModel } from '../runtime/train.js'
 * @import { InlineBundle, LoadOptions, Progress } from '../runtime/types.js'
 * @import { Read } from './export.js'
 * @import { HeadInfo, Settings, StudioFile } from './types.js'
 * @typedef {{ studio: StudioFile, bundles: Record<string, InlineBundle | (() => Promise<InlineBundle>)>,
 *   places?: (info: HeadInfo) => { beside: Read, page: Read } }} InlineStudio
 */

/** studio.json of this version is understood. */
const VERSION = 1;

/** @param {string} url @param {AbortSignal} [signal] @returns {Promise<any>} undefined where there is none */
const json = async (url, signal) => {
  const response = await fetch(url, { signal });
  if (response.status === 404) return undefined;
  if (!response.ok) fail('E-STUDIO-004', 'A file of Studio did not come.', { where: url, received: `HTTP ${response.status}` });
  return response.json();
};

/** What computes: not needed before photos are looked at, and main.js has it come when the page is idle. */
const runtime = () => import('../runtime/train.js').catch((error) => fail('E-STUDIO-004', 'A file of Studio did not come.', {
  where: 'train.js', received: said(error), next: 'reload the page when the network is back' }));

/** The classifiers that Studio learns with, one of them open at a time. */
export class Heads {
  #base;
  #inline;
  /** @type {LoadOptions} */
  #options;
  /** @type {{ id: string, model: Promise<TrainableModel> } | undefined} */
  #open;
  #closed = false;

  /** @param {StudioFile} file @param {string} base @param {LoadOptions} options @param {InlineStudio} [inline] */
  constructor(file, base, options, inline) {
    this.file = file;
    this.#base = base;
    this.#inline = inline;
    this.#options = options;
  }

  /**
   * What stands at an address: Studio's folder, one bundle that learns, or what a page holds in itself.
   * @param {string | URL | InlineStudio} source @param {LoadOptions} options @returns {Promise<Heads>}
   */
  static async at(source, options) {
    if (typeof source === 'object' && 'studio' in source) return new Heads(checked(source.studio), '', options, source);
    const base = new URL(source, document.baseURI);
    if (!base.pathname.endsWith('/')) base.pathname += '/';
    const { href } = base;
    try {
      const file = await json(`${href}studio.json`, options.signal);
      if (file) return new Heads(checked(file), href, options);
      const manifest = await json(`${href}manifest.json`, options.signal);
      if (!manifest) fail('E-STUDIO-004', 'There is neither Studio nor a bundle here.', {
        where: href, expected: 'studio.json or manifest.json', next: 'fanlight studio -o DIR, or fl.build(..., train=..., task=...)' });
      return new Heads(single(manifest), href, options);
    } catch (error) {
      if (options.signal?.aborted || /** @type {any} */ (error).code) throw error;
      return fail('E-STUDIO-004', 'A file of Studio cannot be read.', { where: href, received: said(error) });
    }
  }

  /** @param {Pick<Settings, 'head' | 'unfreeze'>} settings @returns {HeadInfo} */
  which({ head, unfreeze }) {
    const { heads } = this.file;
    const found = heads.find((h) => h.head === head && h.unfreeze === (head === 'linear' ? unfreeze : 0));
    return found ?? (heads.length === 1 ? heads[0] : fail('E-STUDIO-003', 'There is no such head.', {
      expected: heads.map((h) => `${h.head}, ${h.unfreeze} layers`), received: `${head}, ${unfreeze} layers` }));
  }

  /** Any one that takes these features. @param {string} features */
  taking(features) {
    const { heads } = this.file;
    return heads.find((h) => h.features === features && h.id === this.#open?.id) ?? heads.find((h) => h.features === features);
  }

  /** Which one is open. */
  get current() {
    return this.#open?.id;
  }

  /** The classifier that is open; undefined where none is, or it did not come. @returns {Promise<TrainableModel | undefined>} */
  async opened() {
    return this.#open?.model.catch(() => undefined);
  }

  /**
   * The classifier of a head; the one that was open before is closed.
   * @param {HeadInfo} info @param {{ onProgress?: (progress: Progress) => void, signal?: AbortSignal }} [how]
   * @returns {Promise<TrainableModel>}
   */
  async open(info, how = {}) {
    if (this.#closed) fail('E-STUDIO-023', 'The session is closed.', { next: 'open another one' });
    if (this.#open?.id === info.id) return this.#open.model;
    const before = this.#open;
    const held = this.#inline?.bundles[info.id];
    // Heads have files in common. The store of the runtime is of one bundle: opening another would empty it of them.
    // The browser's own cache keeps what it loads, and the service worker all.
    const all = { ...this.#options, ...how, ...(info.files ? { cache: false } : {}) };
    const source = typeof held === 'function' ? held() : held ?? new URL(info.url, this.#base);
    const own = { id: info.id, model: Promise.all([runtime(), source]).then(([{ load }, from]) => load(from, all)) };
    this.#open = own;
    own.model.catch(() => {
      if (this.#open === own) this.#open = undefined; // the network may be back the next time
    });
    before?.model.then((model) => model.dispose(), () => {});
    return own.model;
  }

  /**
   * Where the files stand that an export takes along. @param {HeadInfo} info @param {AbortSignal} [signal]
   * @returns {{ beside?: Read, page?: Read }}
   */
  places(info, signal) {
    if (this.#inline) return this.#inline.places?.(info) ?? {};
    return info.id === 'own' ? {} : placesIn(this.file, this.#base, info, signal);
  }

  /** Close the one that is open; none is opened any more. */
  dispose() {
    this.#closed = true;
    this.#open?.model.then((model) => model.dispose(), () => {});
    this.#open = undefined;
  }
}

/** @param {any} file @returns {StudioFile} */
const checked = (file) => {
  if (file?.version > VERSION) {
    fail('E-STUDIO-031', 'studio.json is of a newer Studio.', { expected: VERSION, received: file.version, next: 'reload the page' });
  }
  const right = file?.version === VERSION && typeof file.backbone?.form === 'string' && Array.isArray(file.heads)
    && file.heads.length && file.heads.every((/** @type {any} */ h) => (
      typeof h?.id === 'string' && typeof h.url === 'string' && typeof h.features === 'string' && Number.isInteger(h.unfreeze)));
  return right ? file : fail('E-STUDIO-004', 'studio.json is wrong.', { next: 'write it again with fanlight studio' });
};

/** One bundle that a developer built, as a Studio of one head. @param {any} manifest @returns {StudioFile} */
const single = ({ name, weights, modules, dims }) => ({
  version: VERSION,
  title: name,
  backbone: { name, size: [0, 0], form: weights.map((/** @type {any} */ w) => w.sha256.slice(0, 16)).join('') },
  mostClasses: dims?.classes?.max ?? 0,
  heads: [{ id: 'own', head: 'linear', unfreeze: 0, features: 'own', url: './',
    bytes: [...weights, modules[0]].reduce((sum, { bytes }) => sum + bytes, 0) }],
});
