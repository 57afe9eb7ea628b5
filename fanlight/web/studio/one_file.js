/**
 * The entry of Studio as one HTML file, which works from file:// and fetches nothing: what a folder has as files
 * stands in the page as blocks of data, and is taken out when it is needed.
 */
import { FanlightError, fail, said } from '../runtime/errors.js';
import './main.js';
import { FanlightStudio } from './elements/app.js';
import { Images } from './images.js';
import { placed } from './places.js';
import { TransferSession } from './session.js';
import { Store } from './store.js';
/**
 * @import { InlineBundle } from '../runtime/types.js'
 * @import { InlineStudio } from './heads.js'
 * @import { HeadInfo, StudioFile } from './types.js'
 */

/** Characters of base64 that are decoded at a time: whole groups of four, and a few milliseconds. */
const CHUNK = 1 << 18;

/** The text of a block, which leaves the page: it need not be there twice. @param {string} id @returns {string} */
const take = (id) => {
  const block = document.getElementById(id);
  if (!block) return fail('E-STUDIO-004', 'This file of Studio is not whole.', { where: id, next: 'copy or download it again' });
  block.remove();
  return block.textContent ?? '';
};

const turn = () => new Promise((resolve) => setTimeout(resolve));

/** What a block holds: gzip in base64. @param {string} id @returns {Promise<Blob>} */
const unpacked = async (id) => {
  const text = take(id);
  try {
    const parts = [];
    for (let at = 0; at < text.length; at += CHUNK) {
      const letters = atob(text.slice(at, at + CHUNK));
      const bytes = new Uint8Array(letters.length);
      for (let i = 0; i < bytes.length; i++) bytes[i] = letters.charCodeAt(i);
      parts.push(bytes);
      await turn();
    }
    const stream = new Blob(parts).stream().pipeThrough(new DecompressionStream('gzip'));
    return await new Response(stream).blob();
  } catch (error) {
    return fail('E-STUDIO-004', 'This file of Studio is damaged.', { where: id, received: said(error), next: 'copy or download it again' });
  }
};

/** Equal files stand in the page once. @type {Map<string, Promise<Blob>>} */
const taken = new Map();

/** The files of the folder that was packed into this page, by their paths. @type {Record<string, { sha256: string }>} */
let files = {};

/** @param {string} path @returns {Promise<Blob> | undefined} undefined where there is none */
const file = (path) => {
  if (!Object.hasOwn(files, path)) return undefined;
  const id = `file-${files[path].sha256}`;
  const found = taken.get(id) ?? unpacked(id);
  taken.set(id, found);
  return found;
};

/** @param {string} path @returns {Promise<Blob>} */
const needed = async (path) => file(path) ?? fail('E-STUDIO-004', 'This file of Studio is not whole.', { where: path });

/** @param {string} id */
const script = (id) => {
  /** @type {string | undefined} */
  let url;
  return () => {
    url ??= URL.createObjectURL(new Blob([take(id)], { type: 'text/javascript' }));
    return new Worker(url); // a classic one: Chromium starts no module from file://
  };
};

const worker = script('fanlight-worker');
Images.worker = script('fanlight-imaging');

/** What a classifier learns by, and what it is exported with. */
const BESIDE = ['training.json', 'still.safetensors', 'graph.json'];

/** The classifier of a head. @param {HeadInfo} info @returns {Promise<InlineBundle>} */
const bundle = async ({ url }) => {
  const manifest = JSON.parse(await (await needed(url)).text());
  const folder = url.slice(0, url.lastIndexOf('/') + 1);
  const entries = [...manifest.modules, ...manifest.weights, ...BESIDE.flatMap((name) => manifest.files[name] ?? [])];
  const parts = await Promise.all(entries.map(async ({ path }) => [path, await needed(folder + path)]));
  return { manifest, files: Object.fromEntries(parts), worker };
};

/** @type {InlineStudio | undefined} */
let inline;
const inside = () => {
  const studio = /** @type {StudioFile} */ (JSON.parse(take('fanlight-studio')));
  files = studio.files ?? {};
  return {
    studio,
    bundles: Object.fromEntries(studio.heads.map((info) => [info.id, () => bundle(info)])),
    /** @type {InlineStudio['places']} */
    places: ({ files: own = {} }) => placed(own, file),
  };
};

// Some browsers keep nothing for a page of file://, or in a private window: then all of it lasts as long as the page.
FanlightStudio.open = async (_, options) => {
  inline ??= inside();
  /** @type {unknown} */
  let refused;
  const store = await Store.open().catch((error) => {
    if (error.code !== 'E-STUDIO-030') throw error;
    refused = error;
    return /** @type {const} */ (false);
  });
  const session = await TransferSession.open(inline, { ...options, store });
  if (refused) {
    // When the page has the session, and hears what it tells.
    setTimeout(() => session.dispatchEvent(new CustomEvent('problem', { detail: new FanlightError(
      'E-STUDIO-030', 'This browser keeps nothing for a page like this: what you teach is gone when you close it.', {
        received: said(refused), next: 'save the project as a file before you close the page' }) })));
  }
  return session;
};

// Only now: what the element opens by itself would be a folder.
const element = /** @type {FanlightStudio | null} */ (document.querySelector('fanlight-studio'));
customElements.whenDefined('fanlight-studio').then(() => element?.updateComplete).then(() => {
  if (element) element.src = './';
});
