import { said } from './fanlight.js';
/**
 * @import { FanlightClassifier } from './element.js'
 * @import { Model } from './fanlight.js'
 * @typedef {object} Known
 * @property {Pick<Model, 'info'>} [model] whose loading has ended well
 * @property {number[]} [times] milliseconds of answers
 * @property {unknown[]} [errors] that came lately
 * @property {[string, unknown][]} [more] what the page says of itself
 */

/** What browsers do differently, found out by trying; never by their name. @type {Record<string, () => unknown>} */
const FEATURES = {
  'WebAssembly': () => globalThis.WebAssembly,
  'cross-origin isolated': () => globalThis.crossOriginIsolated,
  'SharedArrayBuffer': () => globalThis.SharedArrayBuffer,
  'WebGPU': () => 'gpu' in navigator,
  'OffscreenCanvas': () => globalThis.OffscreenCanvas,
  'ImageBitmap': () => globalThis.createImageBitmap,
  'video frame callbacks': () => 'requestVideoFrameCallback' in HTMLVideoElement.prototype,
  'idle callbacks': () => globalThis.requestIdleCallback,
  'camera': () => navigator.mediaDevices?.getUserMedia,
  'Cache Storage': () => globalThis.caches,
  'IndexedDB': () => globalThis.indexedDB,
  'WebCrypto': () => globalThis.crypto?.subtle,
  'service worker in charge': () => navigator.serviceWorker?.controller,
};

/** @param {number} n */
const mega = (n) => `${(n / 1e6).toFixed(1)} MB`;
/** @param {number} ms */
const millis = (ms) => `${ms.toFixed(ms < 10 ? 2 : 0)} ms`;

/**
 * An error as one line, without the addresses in it: where a page is published, or lies on a disk, is the
 * visitor's own. The last part stays, for it is a file of the bundle.
 * @param {unknown} error
 */
const line = (error) => said(error).replace(/\s*\n\s*/g, ' | ').replace(
  /\b[a-z][a-z+.-]*:\/\/[^\s"'|]+|\bblob:[^\s"'|]+/gi,
  (url) => `…/${url.split(/[?#]/)[0].split('/').slice(3).pop() ?? ''}`);

/** What the cache holds of models, and how much may be kept. */
const storage = async () => {
  const { usage = 0, quota = 0 } = await navigator.storage?.estimate() ?? {};
  const files = await caches.has('fanlight-v1') ? await (await caches.open('fanlight-v1')).keys() : [];
  return `${files.length} files of models kept; ${mega(usage)} of ${mega(quota)} used by this site`;
};

/**
 * All that a report of a fault needs, as text, one thing a line. Nothing in it is of the visitor: no
 * address, no picture, no answer; and it is sent nowhere.
 * @param {Known} known @returns {Promise<string>}
 */
export const diagnose = async ({ model, times = [], errors = [], more = [] }) => {
  const info = model?.info;
  const sorted = [...times].sort((a, b) => a - b);
  const own = /** @type {any} */ (navigator);
  const heap = /** @type {any} */ (performance).memory?.usedJSHeapSize;
  const names = Object.keys(FEATURES);
  /** @type {[string, unknown][]} */
  const rows = [
    ...more,
    ['model', info ? `${info.bundle.name}, built by ${info.bundle.producer}` : 'not loaded'],
    ['files', info?.bundle.files.join(' ')],
    ['size', info && mega(info.bytes)],
    ['tier', info?.choice],
    ['tiers tried', info?.tiersTried && JSON.stringify(info.tiersTried)],
    ['stages', info?.stages && JSON.stringify(info.stages)],
    ['engine', info && `${info.backend}, ${info.simd} SIMD, ${info.threads} thread(s), ${
      info.worker ? 'in a worker' : 'on the main thread'}`],
    ['variants', info && (info.variants.join(', ') || 'none')],
    ['why', info?.why],
    ['trials', info?.tried && JSON.stringify(info.tried)],
    ['answers', times.length ? `${times.length} lately: ${millis(times[times.length - 1])} the last, ${
      millis(sorted[sorted.length >> 1])} the median, ${millis(sorted[sorted.length - 1])} the slowest` : 'none yet'],
    ['from cache', info && (info.cached ? 'yes' : 'no')],
    ['storage', await storage().catch((error) => `not to be had: ${said(error)}`)],
    ['device memory', own.deviceMemory && `${own.deviceMemory} GB or more`],
    ['memory of scripts', heap && mega(heap)],
    ['cores', navigator.hardwareConcurrency],
    ['has', names.filter((name) => FEATURES[name]()).join(', ')],
    ['lacks', names.filter((name) => !FEATURES[name]()).join(', ') || 'nothing'],
    ['page', `${location.protocol.slice(0, -1)}, ${document.hidden ? 'hidden' : 'visible'}, save data ${
      own.connection?.saveData ? 'on' : 'off'}`],
    ['browser says', navigator.userAgent],
    ...errors.map((error) => /** @type {[string, string]} */ (['error', line(error)])),
  ];
  return ['Fanlight report', ...rows.filter(([, value]) => value !== undefined).map(
    ([name, value]) => `${name}: ${value}`)].join('\n');
};

const SHEET = `
:host { display: block; }
pre { max-height: 20rem; overflow: auto; margin: 0.75rem 0 0; padding: 0.75rem 1rem; border-radius: 0.75rem;
  background: color-mix(in srgb, currentColor 7%, transparent); font: 0.8125rem/1.5 ui-monospace, monospace;
  white-space: pre-wrap; overflow-wrap: anywhere; }
button { min-height: 2.75rem; padding: 0.5rem 1rem; border: 1px solid currentColor; border-radius: 0.75rem;
  background: transparent; color: inherit; font: inherit; cursor: pointer; }
:focus-visible { outline: 3px solid currentColor; outline-offset: 3px; }`;

/**
 * `<fanlight-diagnostics>`: what to put into a bug report, with a button that copies it. It tells of the
 * first `<fanlight-classifier>` of the page, or of what `known` is set to.
 */
export class FanlightDiagnostics extends HTMLElement {
  /** What to tell of, where that is no element of the page. @type {Known | undefined} */
  known;

  #root = this.attachShadow({ mode: 'open' });

  connectedCallback() {
    if (!this.#root.firstChild) {
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(SHEET);
      this.#root.adoptedStyleSheets = [sheet];
      this.#root.innerHTML = '<button type="button">Copy for a bug report</button> <span role="status"></span><pre tabindex="0" aria-label="Report"></pre>';
      const button = /** @type {HTMLButtonElement} */ (this.#root.querySelector('button'));
      button.onclick = () => this.copy();
    }
    this.refresh();
  }

  /** Look again, and show it. @returns {Promise<string>} */
  async refresh() {
    const element = /** @type {FanlightClassifier | null} */ (document.querySelector('fanlight-classifier'));
    const { times, errors } = element ?? {};
    const model = await element?.ready?.catch(() => undefined);
    const text = await diagnose(this.known ?? { model, times, errors });
    /** @type {HTMLElement} */ (this.#root.querySelector('pre')).textContent = text;
    return text;
  }

  /** Put the report on the clipboard; where that is refused, it is marked to be copied by hand. */
  async copy() {
    const text = await this.refresh();
    const status = /** @type {HTMLElement} */ (this.#root.querySelector('span'));
    try {
      await navigator.clipboard.writeText(text);
      status.textContent = 'Copied.';
    } catch {
      getSelection()?.selectAllChildren(/** @type {Node} */ (this.#root.querySelector('pre')));
      status.textContent = 'Marked: copy it with your keyboard.';
    }
  }
}

customElements.define('fanlight-diagnostics', FanlightDiagnostics);
