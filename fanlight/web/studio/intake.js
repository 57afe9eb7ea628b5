import { FanlightError } from '../runtime/errors.js';
import { Images } from './images.js';
/**
 * @import { NewExample, Origin } from './types.js'
 * @import { Entry } from './zip.js'
 * @import { Ready } from './decode.js'
 * @typedef {Omit<NewExample, 'class'>} Taken a photo that may be kept, of no class yet
 * @typedef {{ photo: Taken, folder: string } | { name: string, error: FanlightError }} Item
 * @typedef {HTMLImageElement | HTMLVideoElement | HTMLCanvasElement | OffscreenCanvas} Shown
 * @typedef {Shown | ImageBitmap | ImageData | VideoFrame} Frame
 * @typedef {Blob | Frame} One
 * @typedef {One | Iterable<One> | FileList | DataTransfer | DataTransferItemList | ClipboardEvent | DragEvent | Gathered} Given
 * @typedef {{ name: string, folder: string, source: Origin, chosen: boolean, get: () => Promise<Ready> }} Job
 * chosen: somebody picked this very file, so that they hear of it if it is no photo
 */

/** Files that are looked at, at once. */
export const MAX_AT_ONCE = 10_000;
const MAX_DEPTH = 20; // of folders
const AHEAD = 3; // photos that are under way while one is kept

const PICTURE = /\.(jpe?g|jfif|png|webp|gif|bmp|avif|heic|heif|tiff?|svg|jxl)$/i;
const OTHER = new RegExp(`\\.(${[
  'txt|md|csv|tsv|json|xml|xmp|ya?ml|html?|css|js|py|pdf|docx?|xlsx?|pptx?', // words and tables
  'mp[34]|m4[av]|mov|avi|mkv|webm|wav', // films and sounds
  'db|ini|bin|h5|npz|onnx|tflite',
].join('|')})$`, 'i');

/** A name without its path, and without what would upset a list. @param {string} path @param {number} [most] characters */
const plainName = (path, most = 120) => {
  const name = (path.split(/[\\/]/).pop() ?? '').replace(/\p{C}/gu, '').trim();
  if (name.length <= most) return name;
  const end = /\.\w{1,5}$/.exec(name)?.[0] ?? '';
  return `${name.slice(0, most - end.length)}${end}`.replace(/\p{Cs}/gu, '');
};

/** The folder that a file lies in; '' where there is none. @param {string} path */
const folderOf = (path) => plainName(path.split('/').at(-2) ?? '', 80);

/** What a photo without a file is called: when it was taken. */
const moment = () => new Date().toISOString().replace('T', ' ').replace(/:/g, '.').slice(0, 23);

/**
 * What is in a drop, a paste or an input, taken out of it at once: the browser empties a drop as soon
 * as its event is over. Give it to `intake`, whenever.
 */
export class Gathered {
  /** @type {{ file: One, path: string }[]} */
  files = [];
  /** Folders of a drop, and files of which only the browser knows where they are. @type {FileSystemEntry[]} */
  entries = [];
  /** @type {Origin | undefined} */
  source;
}

/** @param {Given} given @returns {Gathered} */
export const gather = (given) => {
  if (given instanceof Gathered) return given;
  const out = new Gathered();
  if (given instanceof Event) {
    if (given.type === 'paste') out.source = 'paste';
    given = /** @type {DataTransfer} */ ('clipboardData' in given ? given.clipboardData : given.dataTransfer);
  }
  if (given instanceof DataTransfer) given = given.items;
  if (given instanceof DataTransferItemList) {
    for (const item of given) {
      const entry = item.kind === 'file' ? item.webkitGetAsEntry?.() : null;
      const file = entry?.isDirectory ? null : item.getAsFile();
      if (entry?.isDirectory) out.entries.push(entry);
      else if (file) out.files.push({ file, path: file.name });
    }
    return out;
  }
  const all = Object(given)[Symbol.iterator] && !(given instanceof Blob)
    ? [.../** @type {Iterable<One>} */ (given)] : [/** @type {One} */ (given)];
  for (const file of all) {
    const path = file instanceof File ? file.webkitRelativePath || file.name : '';
    out.files.push({ file, path });
  }
  return out;
};

/**
 * Check photos and make them ready to be kept, one after the other, in the order in which they come:
 * files, folders with all that is in them, zip files, what was dropped or pasted, canvases, bitmaps,
 * videos (as they look now). What is no photo comes as an error and hinders nothing else; of folders and
 * zip files, what does not even claim to be one is passed over.
 *
 * `folder` names the class that the folder of a photo stands for. Throws only what `signal` is aborted with.
 * @param {Given} given
 * @param {{ source?: Origin, images?: Images, signal?: AbortSignal,
 *   onProgress?: (progress: { done: number, count: number }) => void }} [options]
 * @returns {AsyncGenerator<Item, void, void>}
 */
export const intake = (given, options = {}) => taken(gather(given), options);

/**
 * @param {Gathered} gathered @param {Parameters<typeof intake>[1]} options
 * @returns {AsyncGenerator<Item, void, void>}
 */
async function* taken(gathered, { source = gathered.source, images = Images.shared, onProgress, signal } = {}) {
  const jobs = [];
  let done = 0;
  let found = 0;
  for await (const job of jobsOf(gathered, source, images)) {
    signal?.throwIfAborted();
    if ('error' in job) {
      found++;
      yield job;
    } else if (jobs.push(job) > MAX_AT_ONCE) {
      jobs.pop();
      found++;
      yield refused('', 'E-STUDIO-011', 'There are too many files to take at once.', {
        expected: `at most ${MAX_AT_ONCE}`, next: 'the first of them are taken; add the others after them' });
      break;
    }
  }
  onProgress?.({ done, count: jobs.length });
  /** @type {Promise<Item | null>[]} */
  const flying = [];
  for (let next = 0; next < jobs.length || flying.length;) {
    while (flying.length < AHEAD && next < jobs.length) flying.push(one(jobs[next++]));
    const item = await unless(signal, /** @type {Promise<Item | null>} */ (flying.shift()));
    onProgress?.({ done: ++done, count: jobs.length });
    if (!item) continue;
    found++;
    yield item;
  }
  if (!found) {
    yield refused('', 'E-STUDIO-013', 'There are no photos in what was given.', {
      received: `${jobs.length} other files`, next: 'choose JPEG, PNG, WebP or GIF files, or a folder of them' });
  }
}

/**
 * @param {string} name @param {string} code @param {string} reason @param {{}} detail
 * @returns {{ name: string, error: FanlightError }}
 */
const refused = (name, code, reason, detail) => ({ name, error: new FanlightError(code, reason, detail) });

/** @template T @param {AbortSignal | undefined} signal @param {Promise<T>} promise @returns {Promise<T>} */
const unless = (signal, promise) => new Promise((resolve, reject) => {
  const stop = () => reject(signal?.reason);
  if (signal?.aborted) return stop();
  signal?.addEventListener('abort', stop);
  return promise.then(resolve, reject).finally(() => signal?.removeEventListener('abort', stop));
});

/** A job done; null where it is not worth a word. @param {Job} job @returns {Promise<Item | null>} */
const one = async ({ name, folder, source, chosen, get }) => {
  try {
    return { photo: { name, source, ...await get() }, folder };
  } catch (error) {
    const told = error instanceof FanlightError ? error
      : new FanlightError('E-STUDIO-010', 'The file cannot be read.', {
        received: error instanceof Error ? error.message : String(error), next: 'choose it again' });
    return chosen || PICTURE.test(name) || told.code !== 'E-STUDIO-010' ? { name, error: told } : null;
  }
};

/**
 * All that is to be done, in order.
 * @param {Gathered} gathered @param {Origin | undefined} source @param {Images} images
 * @returns {AsyncGenerator<Job | { name: string, error: FanlightError }, void, void>}
 */
async function* jobsOf({ files, entries }, source, images) {
  for (const { file, path } of files) {
    const name = plainName(path) || moment();
    if (file instanceof Blob) yield* fromFile(file, path, name, !path.includes('/'), source ?? 'file', images);
    else yield { name, folder: '', source: source ?? 'camera', chosen: true, get: () => frame(file, images) };
  }
  for await (const { file, path } of walked(entries)) {
    yield* fromFile(file, path, plainName(path), false, source ?? 'file', images);
  }
}

/**
 * @param {Blob} file @param {string} path @param {string} name @param {boolean} chosen
 * @param {Origin} source @param {Images} images
 * @returns {AsyncGenerator<Job | { name: string, error: FanlightError }, void, void>}
 */
async function* fromFile(file, path, name, chosen, source, images) {
  if (!chosen && (OTHER.test(name) || name.startsWith('.') || name === 'Thumbs.db')) return;
  if (await isZip(file, name)) {
    yield* fromZip(file, name, images);
    return;
  }
  yield { name, folder: folderOf(path), source, chosen, get: () => images.photo(file) };
}

/** @param {Blob} file @param {string} name */
const isZip = async (file, name) => {
  if (PICTURE.test(name)) return false; // thousands need not be opened twice
  const begin = new Uint8Array(await file.slice(0, 4).arrayBuffer().catch(() => new ArrayBuffer(0)));
  return begin[0] === 0x50 && begin[1] === 0x4b && (begin[2] === 3 || begin[2] === 5);
};

/**
 * @param {Blob} zip @param {string} name @param {Images} images
 * @returns {AsyncGenerator<Job | { name: string, error: FanlightError }, void, void>}
 */
async function* fromZip(zip, name, images) {
  /** @type {Entry[]} */
  let entries;
  try {
    entries = await images.list(zip);
  } catch (error) {
    yield { name, error: /** @type {FanlightError} */ (error) };
    return;
  }
  for (const entry of entries) {
    const inside = plainName(entry.name);
    if (/\.zip$/i.test(inside)) {
      yield refused(inside, 'E-STUDIO-012', 'A zip file in a zip file is not opened.', { where: name, next: 'unpack it first' });
    } else if (!OTHER.test(inside)) {
      yield { name: inside, folder: folderOf(entry.name), source: 'zip', chosen: false, get: () => images.entry(zip, entry) };
    }
  }
}

/**
 * The files in folders, and in folders of those.
 * @param {FileSystemEntry[]} entries
 * @returns {AsyncGenerator<{ file: File, path: string }, void, void>}
 */
async function* walked(entries, depth = 0) {
  for (const entry of entries) {
    if (entry.isFile) {
      const file = await new Promise((resolve) => (
        /** @type {FileSystemFileEntry} */ (entry).file(resolve, () => resolve(null))));
      // What has gone meanwhile is told as what cannot be read.
      yield { file: file ?? new File([], entry.name), path: entry.fullPath.replace(/^\//, '') };
    } else if (depth < MAX_DEPTH) {
      const reader = /** @type {FileSystemDirectoryEntry} */ (entry).createReader();
      for (;;) { // a hundred at a time, until there are no more
        /** @type {FileSystemEntry[]} */
        const some = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
        if (!some.length) break;
        yield* walked(some, depth + 1);
      }
    }
  }
}

/** A picture of what is not a file. @param {Frame} source @param {Images} images @returns {Promise<Ready>} */
const frame = async (source, images) => {
  let bitmap;
  try {
    if (source instanceof HTMLImageElement) await source.decode();
    bitmap = await createImageBitmap(source);
  } catch (error) {
    throw new FanlightError('E-STUDIO-010', 'There is no picture in what was given.', {
      expected: 'a loaded img, video, canvas, bitmap, ImageData or Blob',
      received: `${Object(source).constructor?.name}: ${error instanceof Error ? error.message : error}` });
  }
  return images.photo(bitmap);
};
