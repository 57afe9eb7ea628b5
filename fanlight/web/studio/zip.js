import { Inflate } from 'fflate';
import { crc32 } from './crc32.js';
import { MAX_BYTES } from './decode.js';
import { Refusal } from './header.js';
/**
 * What is in a zip file, read from where it says so (the list at its end), so that all of it is checked
 * before any of it is unpacked, and no more than one file is in memory. A worker runs this, too.
 * @typedef {{ name: string, at: number, packed: number, size: number, method: number, crc: number }} Entry
 * name: with its folders; at: where it begins in the zip; packed, size: bytes before and after unpacking
 */

/** Files of a zip, and bytes that it may unpack to. */
export const MAX_FILES = 10_000;
const MAX_ALL = 4 * 2 ** 30;
const MAX_RATIO = 200; // photos are packed already
const FREE = 64 * 2 ** 20; // so much may come out of anything
const CHUNK = 65_536;

/** @param {string} reason @param {unknown} [received] @param {string} [next] @returns {never} */
const refuse = (reason, received, next = 'pack the photos again: a folder for each class, in one zip') => {
  throw new Refusal('E-STUDIO-012', reason, { received, next });
};

/** @param {Blob} blob @param {number} from @param {number} to */
const bytesOf = async (blob, from, to) => new Uint8Array(await blob.slice(from, to).arrayBuffer());

/**
 * The files of a zip that are worth a look: no folders, nothing hidden.
 * @param {Blob} zip @returns {Promise<Entry[]>} rejects with a Refusal, code E-STUDIO-012
 */
export const listZip = async (zip) => {
  // The end: 22 bytes, and a comment that may be as long as 65,535.
  const tail = await bytesOf(zip, Math.max(0, zip.size - 65_557), zip.size);
  const end = new DataView(tail.buffer);
  let at = tail.length - 22;
  while (at >= 0 && end.getUint32(at, true) !== 0x06054b50) at--;
  const again = 'copy or download it again';
  if (at < 0) {
    return refuse('The zip file is damaged or cut off.', `${zip.size} bytes without a list of files at the end`, again);
  }
  const count = end.getUint16(at + 10, true);
  const [length, from] = [end.getUint32(at + 12, true), end.getUint32(at + 16, true)];
  if (end.getUint16(at + 4, true) || end.getUint16(at + 8, true) !== count) {
    return refuse('The zip file is one of several parts.');
  }
  if (count === 0xffff || from === 0xffffffff) {
    return refuse('The zip file is too large.', 'a zip64', 'pack the photos into several zip files');
  }
  if (count > MAX_FILES) return refuse('There are too many files in the zip file.', count, `pack at most ${MAX_FILES} into one`);
  if (from + length > zip.size) return refuse('The zip file is damaged or cut off.', undefined, again);

  const list = await bytesOf(zip, from, from + length);
  const entries = entriesOf(list, count);
  const packed = entries.reduce((sum, entry) => sum + entry.packed, 0);
  const size = entries.reduce((sum, entry) => sum + entry.size, 0);
  if (size > MAX_ALL || (size > FREE && size > MAX_RATIO * zip.size)) {
    return refuse('The zip file unpacks to far too much.', `${zip.size} bytes that become ${size}`);
  }
  // Files that lie upon each other are a way to unpack a few bytes many times over.
  let last = 0;
  for (const entry of [...entries].sort((a, b) => a.at - b.at)) {
    if (entry.at < last || entry.at + 30 + entry.packed > from) return refuse('The files in the zip file overlap.', entry.name);
    last = entry.at + 30 + entry.packed;
  }
  if (packed > zip.size) return refuse('The files in the zip file overlap.');
  return entries.filter(({ name }) => !/\/$|(^|\/)(\.|__MACOSX\/|Thumbs\.db$|desktop\.ini$)/i.test(name));
};

/** @param {Uint8Array<ArrayBuffer>} list @param {number} count @returns {Entry[]} */
const entriesOf = (list, count) => {
  const data = new DataView(list.buffer);
  const utf8 = new TextDecoder();
  /** @type {Entry[]} */
  const entries = [];
  for (let at = 0; entries.length < count;) {
    if (at + 46 > list.length || data.getUint32(at, true) !== 0x02014b50) return refuse('The zip file is damaged.');
    const [flags, method] = [data.getUint16(at + 8, true), data.getUint16(at + 10, true)];
    const [crc, packed, size] = [16, 20, 24].map((i) => data.getUint32(at + i, true));
    const [named, extra, comment] = [28, 30, 32].map((i) => data.getUint16(at + i, true));
    if (at + 46 + named > list.length) return refuse('The zip file is damaged.');
    const name = utf8.decode(list.subarray(at + 46, at + 46 + named)).replaceAll('\\', '/');
    if (/^\/|^[a-z]:|(^|\/)\.\.(\/|$)|\0/i.test(name)) return refuse('The zip file leads out of itself.', name);
    if (flags & 1) return refuse('The zip file is locked by a password.', name, 'unpack it first, then choose the folder');
    entries.push({ name, at: data.getUint32(at + 42, true), packed, size, method, crc });
    at += 46 + named + extra + comment;
  }
  return entries;
};

/**
 * One file of a zip, checked by its sum.
 * @param {Blob} zip @param {Entry} entry @param {number} [limit] bytes that it may unpack to
 * @returns {Promise<Uint8Array<ArrayBuffer>>} rejects with a Refusal, code E-STUDIO-011 or E-STUDIO-012
 */
export const unzipped = async (zip, { name, at, packed, size, method, crc }, limit = MAX_BYTES) => {
  if (size > limit) {
    throw new Refusal('E-STUDIO-011', 'The file is too large for a photo.', {
      expected: `at most ${limit / 2 ** 20} MB`, received: `${Math.ceil(size / 2 ** 20)} MB`, next: 'leave it out' });
  }
  const head = await bytesOf(zip, at, at + 30);
  const data = new DataView(head.buffer);
  if (head.length < 30 || data.getUint32(0, true) !== 0x04034b50) return refuse('The zip file is damaged.', name);
  const from = at + 30 + data.getUint16(26, true) + data.getUint16(28, true);
  const inside = await bytesOf(zip, from, from + packed);
  if (inside.length !== packed) return refuse('The zip file is damaged or cut off.', name);
  if (method !== 0 && method !== 8) return refuse('The zip file is packed in a way that is not known here.', `method ${method}`);
  const out = method === 0 ? inside : inflated(inside, size, name);
  if (out.length !== size || crc32(out) !== crc) return refuse('A file in the zip file is damaged.', name);
  return out;
};

/** @param {Uint8Array<ArrayBuffer>} inside @param {number} size @param {string} name */
const inflated = (inside, size, name) => {
  const out = new Uint8Array(size);
  let filled = 0;
  const inflate = new Inflate((part) => {
    if (filled + part.length > size) refuse('A file in the zip file unpacks to more than it says.', name);
    out.set(part, filled);
    filled += part.length;
  });
  try {
    for (let at = 0; at < inside.length; at += CHUNK) {
      inflate.push(inside.subarray(at, at + CHUNK), at + CHUNK >= inside.length);
    }
  } catch (error) {
    if (error instanceof Refusal) throw error;
    return refuse('A file in the zip file is damaged.', name);
  }
  return out.subarray(0, filled);
};
