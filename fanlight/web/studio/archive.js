import { Inflate, Zip, ZipDeflate, ZipPassThrough } from 'fflate';
import { FanlightError, fail } from '../runtime/errors.js';
/**
 * Zip files: written a file at a time, and read where their list says so.
 * @typedef {{ name: string, at: number, packed: number, size: number, method: number, crc: number }} Entry
 * @typedef {{ blob(): Promise<Blob>, bytes(): Promise<Uint8Array<ArrayBuffer>> } & Entry} Member
 */

/** A zip without extensions has places of 32 bits, and counts its files by 16. */
const MOST_BYTES = 4 * 2 ** 30 - 2 ** 20, MOST_FILES = 65_000;
/** So many bytes are gathered before the browser is given them to keep. */
const BLOCK = 8 << 20;
/** Bytes of a file that are read at a time. */
const STEP = 1 << 20;
/** Packed bytes that are unpacked before it is looked how many came: 16 MiB at the most. */
const PIECE = 1 << 14;
/** Deflate cannot pack better than about 1,030 to 1. */
const MOST_RATIO = 1200;
/** Of all files together, where that is more than 64 MiB. */
const MOST_WHOLE = 200;
const SMALL = 2 ** 26;
/** What is packed already, and is stored as it is. */
const PACKED = /\.(jpe?g|png|webp|avif|gif|bin|safetensors)$/;
/** 1980: the same files make the same zip. */
const MADE = new Date(1980, 0, 1);

/** Let others have a turn. */
const turn = () => new Promise((resolve) => {
  setTimeout(resolve);
});

/**
 * A zip of files, each of which is asked for when it is written: no more than one is in memory.
 * @param {string} name of the zip
 * @param {Iterable<[string, () => Promise<Blob | Uint8Array> | Blob | Uint8Array]>} files paths in the zip, and contents
 * @param {{ onProgress?: (done: number) => void, signal?: AbortSignal }} [watch] done: files so far
 * @returns {Promise<File>}
 */
export const zipOf = async (name, files, { onProgress, signal } = {}) => {
  /** @type {Blob[]} */
  const blocks = [];
  /** @type {Uint8Array[]} */
  let parts = [];
  let held = 0, total = 0, done = 0;
  const settle = () => {
    blocks.push(new Blob(/** @type {BlobPart[]} */ (parts)));
    parts = [];
    held = 0;
  };
  const zip = new Zip((error, data) => {
    if (error) throw error;
    parts.push(data);
    held += data.length;
    total += data.length;
    if (held >= BLOCK) settle();
  });
  for (const [path, read] of files) {
    signal?.throwIfAborted();
    const content = await read();
    const bytes = content instanceof Blob ? new Uint8Array(await content.arrayBuffer()) : content;
    if (total + bytes.length > MOST_BYTES || done >= MOST_FILES) {
      fail('E-STUDIO-050', 'This is too much for one zip file.', {
        where: path, expected: `at most 4 GB, and ${MOST_FILES} files`, next: 'export fewer photos: split the project in two' });
    }
    const entry = PACKED.test(path) ? new ZipPassThrough(path) : new ZipDeflate(path, { level: 6 });
    entry.mtime = MADE;
    zip.add(entry);
    for (let at = 0; at < bytes.length || !at; at += STEP) {
      entry.push(bytes.subarray(at, at + STEP), at + STEP >= bytes.length);
      if (at) await turn();
    }
    onProgress?.(++done);
    await turn();
  }
  signal?.throwIfAborted();
  zip.end();
  settle();
  return new File(blocks, name, { type: 'application/zip' });
};

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

/** @param {Uint8Array} bytes @param {number} crc of what came before */
const crcOf = (bytes, crc) => {
  crc = ~crc;
  for (let i = 0; i < bytes.length; i++) crc = TABLE[(crc ^ bytes[i]) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
};

/** @param {Blob} blob @param {number} from @param {number} to */
const bytesOf = async (blob, from, to) => new Uint8Array(await blob.slice(from, to).arrayBuffer());

/** @typedef {(reason: string, detail?: object) => never} Refuse */

/** @param {Refuse} refuse @param {unknown} received @returns {never} */
const damagedFor = (refuse, received) => refuse('The zip file is damaged or cut off.', { received, next: 'copy or download it again' });

/**
 * The files in a zip by their names, of which nothing is unpacked before it is asked for.
 * @param {Blob} zip @param {Refuse} refuse
 * @param {{ bytes: number }} most bytes that all of them may have, unpacked
 * @returns {Promise<Map<string, Member>>}
 */
export const members = async (zip, refuse, most) => {
  const damaged = (/** @type {unknown} */ received) => damagedFor(refuse, received);
  // The end: 22 bytes, and a comment of at most 65,535.
  const tail = await bytesOf(zip, Math.max(0, zip.size - 65_557), zip.size);
  const end = new DataView(tail.buffer);
  let at = tail.length - 22;
  while (at >= 0 && end.getUint32(at, true) !== 0x06054b50) at--;
  if (at < 0) return damaged(`${zip.size} bytes without a list of files at the end`);
  const count = end.getUint16(at + 10, true);
  const [length, from] = [end.getUint32(at + 12, true), end.getUint32(at + 16, true)];
  if (count === 0xffff || from + length > zip.size) return damaged(`${count} files, listed from ${from} on`);
  const listed = await bytesOf(zip, from, from + length);
  const list = new DataView(listed.buffer);
  /** @type {Map<string, Member>} */
  const found = new Map();
  let place = 0, total = 0, last = 0;
  /** @type {Entry[]} */
  const entries = [];
  for (let i = 0; i < count; i++) {
    if (place + 46 > length || list.getUint32(place, true) !== 0x02014b50) return damaged(`file ${i} of ${count}`);
    const [flags, method] = [list.getUint16(place + 8, true), list.getUint16(place + 10, true)];
    const [crc, packed, size] = [16, 20, 24].map((o) => list.getUint32(place + o, true));
    const [named, extra, comment] = [28, 30, 32].map((o) => list.getUint16(place + o, true));
    const offset = list.getUint32(place + 42, true);
    const name = new TextDecoder().decode(listed.subarray(place + 46, place + 46 + named));
    place += 46 + named + extra + comment;
    if (name.startsWith('/') || /[\\:\0]|(^|\/)\.\.(\/|$)/.test(name) || found.has(name)) {
      return refuse('A file in the zip has a name that no project has.', { received: name.slice(0, 99) });
    }
    if (flags & 1 || (method !== 0 && method !== 8)) {
      return refuse('A file in the zip is locked, or packed in an unusual way.', { where: name, received: `method ${method}` });
    }
    if (size > packed * MOST_RATIO + 4096 || (!method && size !== packed)) {
      return refuse('A file in the zip unpacks to far too much.', { where: name, received: `${packed} bytes that become ${size}` });
    }
    total += size;
    // Photos do not shrink: a file that becomes hundreds of times larger as a whole is none of ours.
    if (total > most.bytes || (total > SMALL && total > MOST_WHOLE * zip.size)) {
      return refuse('The zip file unpacks to far too much.', { expected: `at most ${most.bytes} bytes`, received: `${zip.size} bytes that become more than ${total}` });
    }
    const entry = { name, at: offset, packed, size, method, crc };
    entries.push(entry);
    if (!name.endsWith('/')) found.set(name, { ...entry, blob: () => unpacked(zip, entry, refuse), bytes: () => whole(zip, entry, refuse) });
  }
  // Files that lie upon each other unpack a few bytes many times over.
  for (const { name, at: begin, packed } of entries.sort((a, b) => a.at - b.at)) {
    if (begin < last || begin + 30 + packed > from) return refuse('Files in the zip overlap.', { where: name });
    last = begin + 30 + packed;
  }
  return found;
};

/** Where a file's bytes begin. @param {Blob} zip @param {Entry} entry @param {Refuse} refuse */
const begins = async (zip, { name, at }, refuse) => {
  const head = new DataView((await bytesOf(zip, at, at + 30)).buffer);
  if (head.byteLength < 30 || head.getUint32(0, true) !== 0x04034b50) return damagedFor(refuse, name);
  return at + 30 + head.getUint16(26, true) + head.getUint16(28, true);
};

/** Memory for a file. @param {Entry} entry @param {Refuse} refuse */
const roomFor = ({ name, size }, refuse) => {
  try {
    return new Uint8Array(size);
  } catch {
    return refuse('A file in the zip is too large for the memory here.', { where: name, received: `${size} bytes` });
  }
};

/** A file, checked. @param {Blob} zip @param {Entry} entry @param {Refuse} refuse */
const whole = async (zip, entry, refuse) => {
  /** @type {(received: unknown) => never} */
  const damaged = (received) => damagedFor(refuse, received);
  const start = await begins(zip, entry, refuse);
  const { packed, size, method, name } = entry;
  const out = roomFor(entry, refuse);
  let filled = 0, crc = 0, rested = 0;
  /** @param {Uint8Array} data */
  const take = (data) => {
    if (filled + data.length > size) damaged(`${name} has more bytes than it says`);
    out.set(data, filled);
    filled += data.length;
    crc = crcOf(data, crc);
  };
  const inflate = method ? new Inflate(take) : undefined;
  try {
    for (let at = 0; at < packed; at += STEP) {
      const part = await bytesOf(zip, start + at, start + Math.min(packed, at + STEP));
      if (!inflate) take(part);
      for (let i = 0; inflate && i < part.length; i += PIECE) {
        inflate.push(part.subarray(i, i + PIECE), at + i + PIECE >= packed);
        if (filled - rested < BLOCK) continue;
        rested = filled;
        await turn();
      }
    }
  } catch (error) {
    if (error instanceof FanlightError) throw error;
    damaged(name);
  }
  if (filled !== size || crc !== entry.crc) damaged(`${name} has other bytes than it says`);
  return out;
};

/** A file, checked; where it is stored it stays in the zip. @param {Blob} zip @param {Entry} entry @param {Refuse} refuse */
const unpacked = async (zip, entry, refuse) => {
  const bytes = await whole(zip, entry, refuse);
  if (entry.method) return new Blob([bytes]);
  const start = await begins(zip, entry, refuse);
  return zip.slice(start, start + entry.size);
};
