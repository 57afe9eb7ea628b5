import { crc32 } from './crc32.js';
/**
 * What the first bytes of a file say of the picture in it, before anything is decoded: its kind, how
 * large it is, and whether it can be kept as it is. A worker runs this, too.
 * @typedef {Uint8Array<ArrayBuffer>} Bytes
 * @typedef {{ kind: string, type: string, width: number, height: number, keep: Bytes[] | null }} Header
 * kind: what people call it; type: its MIME type; width, height: before it is turned upright; keep: the
 * parts of the file that make the same picture without anything beside it (where it was taken, by
 * what, a film behind it); null where it has to be written anew: turned, of other colours than sRGB,
 * see-through, moving, CMYK, or of a kind that not everything reads
 */

const HEIC = 'On an iPhone: Settings, Camera, Formats, Most Compatible; or share the photo as JPEG';
const SAVE = 'save it as JPEG or PNG, then choose it again';

/** Why a file is not taken: what a FanlightError is made of where there is one. */
export class Refusal extends Error {
  /** @param {string} code @param {string} reason @param {{ received?: unknown, expected?: unknown, next?: string }} [detail] */
  constructor(code, reason, detail = {}) {
    super(reason);
    this.code = code;
    this.detail = detail;
  }
}

/** @param {string} reason @param {string} [received] @param {string} [next] @returns {never} */
export const refuse = (reason, received, next = SAVE) => {
  throw new Refusal('E-STUDIO-010', reason, { received, next });
};

/** @param {string} kind @returns {never} */
const cutOff = (kind) => refuse('The photo is cut off: the end of the file is missing.', kind, 'copy or download it again');
/** @param {string} kind @returns {never} */
const damaged = (kind) => refuse('The photo is damaged.', kind, 'copy or download it again');

/** @param {Bytes} bytes @param {number} at @param {number} length */
const text = (bytes, at, length) => String.fromCharCode(...bytes.subarray(at, at + length));
/** @param {Bytes} bytes */
const view = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** @param {Bytes} bytes the whole file @returns {Header} throws a Refusal, code E-STUDIO-010 */
export const readHeader = (bytes) => {
  const header = headerOf(bytes);
  return header.width > 0 && header.height > 0 ? header : damaged(header.kind);
};

/** @param {Bytes} bytes @returns {Header} */
const headerOf = (bytes) => {
  const begin = text(bytes, 0, 12);
  if (begin.startsWith('\xff\xd8')) return jpeg(bytes);
  if (begin.startsWith('\x89PNG\r\n\x1a\n')) return png(bytes);
  if (begin.startsWith('RIFF') && begin.endsWith('WEBP')) return webp(bytes);
  if (/^GIF8[79]a/.test(begin)) return gif(bytes);
  if (begin.startsWith('BM')) return bmp(bytes);
  if (begin.slice(4, 8) === 'ftyp') return boxes(bytes);
  return refuse('This is no photo that can be read.', other(bytes));
};

/** Words for what is not taken. @param {Bytes} bytes */
const other = (bytes) => {
  const begin = text(bytes, 0, 512);
  if (/^(II\*\0|MM\0\*)/.test(begin)) return 'a TIFF, or the raw file of a camera';
  if (begin.startsWith('8BPS')) return 'a Photoshop file';
  if (begin.startsWith('%PDF')) return 'a PDF';
  if (/^PK\x03\x04/.test(begin)) return 'a zip file';
  if (/^\xff\x0a|^\0\0\0\x0cJXL /.test(begin)) return 'a JPEG XL';
  if (/^\0\0\x01\0/.test(begin)) return 'an icon';
  if (/^\s*(<\?xml|<!--|<!DOCTYPE svg|<svg)/i.test(begin.replace(/^\xef\xbb\xbf/, ''))) return 'an SVG: a drawing, not a photo';
  return 'a file of another kind';
};

// --- JPEG: markers, each of a length, then the compressed picture, up to FF D9.

/** @param {Bytes} bytes @returns {Header} */
const jpeg = (bytes) => {
  const data = view(bytes);
  /** @type {Bytes[]} */
  const keep = [bytes.subarray(0, 2)];
  let [width, height, channels, turned, colours] = [0, 0, 0, 1, 'sRGB'];
  let scans = 0;
  for (let at = 2; ;) {
    const begin = at;
    // To the next marker: FF and neither 0 nor one of those that stand amid a scan.
    at = bytes.indexOf(0xff, at);
    while (at >= 0 && (bytes[at + 1] === 0 || bytes[at + 1] === 0xff || (bytes[at + 1] & 0xf8) === 0xd0)) {
      at = bytes.indexOf(0xff, at + 1);
    }
    if (at < 0 || at + 1 >= bytes.length) return cutOff('JPEG');
    if (scans) keep.push(bytes.subarray(begin, at));
    const marker = bytes[at + 1];
    if (marker === 0xd9) { // the end
      keep.push(bytes.subarray(at, at + 2));
      if (!scans) return damaged('JPEG');
      const asIs = turned === 1 && colours === 'sRGB' && (channels === 1 || channels === 3);
      return { kind: 'JPEG', type: 'image/jpeg', width, height, keep: asIs ? keep : null };
    }
    const length = at + 4 > bytes.length ? bytes.length : data.getUint16(at + 2);
    if (at + 2 + length > bytes.length) return cutOff('JPEG');
    if (length < 2) return damaged('JPEG');
    const segment = bytes.subarray(at, at + 2 + length);
    at += segment.length;
    if (marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc) {
      if (length < 8) return damaged('JPEG');
      const frame = view(segment);
      // Of several, which no camera writes, the largest.
      height = Math.max(height, frame.getUint16(5));
      width = Math.max(width, frame.getUint16(7));
      channels = segment[9];
    }
    if (marker === 0xda) scans++;
    if (marker === 0xe1 && text(segment, 4, 6) === 'Exif\0\0') turned = orientation(segment.subarray(10));
    const profile = marker === 0xe2 && text(segment, 4, 11) === 'ICC_PROFILE';
    // A profile in several parts has its name in the first.
    if (profile && segment[16] === 1 && !isSrgb(segment)) colours = 'other';
    const beside = (marker >= 0xe1 && marker <= 0xef && marker !== 0xee && !profile) || marker === 0xfe;
    if (!beside) keep.push(segment);
  }
};

/** A profile names itself, in one-byte or two-byte letters. @param {Bytes} segment */
const isSrgb = (segment) => {
  const all = new TextDecoder('latin1').decode(segment).replaceAll('\0', '');
  return all.includes('sRGB');
};

/** The orientation that EXIF says, 1 to 8. @param {Bytes} tiff @returns {number} */
const orientation = (tiff) => {
  const data = view(tiff);
  if (tiff.length < 14) return 1;
  const little = tiff[0] === 0x49;
  const first = data.getUint32(4, little);
  if (first + 2 > tiff.length) return 1;
  const count = data.getUint16(first, little);
  for (let i = 0; i < count; i++) {
    const at = first + 2 + 12 * i;
    if (at + 12 > tiff.length) return 1;
    if (data.getUint16(at, little) === 0x112) return data.getUint16(at + 8, little) || 1;
  }
  return 1;
};

// --- PNG: chunks, up to IEND.

/** @param {Bytes} bytes @returns {Header} */
const png = (bytes) => {
  const data = view(bytes);
  if (bytes.length < 33) return cutOff('PNG');
  if (text(bytes, 12, 4) !== 'IHDR') return damaged('PNG');
  const [width, height] = [data.getUint32(16), data.getUint32(20)];
  const [depth, colour] = [bytes[24], bytes[25]];
  let asIs = depth <= 8 && (colour === 0 || colour === 2 || colour === 3); // no alpha channel
  let [srgb, bent] = [false, false];
  /** @type {Bytes[]} */
  const keep = [bytes.subarray(0, 8)];
  for (let at = 8; ;) {
    if (at + 12 > bytes.length) return cutOff('PNG');
    const length = data.getUint32(at);
    const name = text(bytes, at + 4, 4);
    if (at + 12 + length > bytes.length) return cutOff('PNG');
    const chunk = bytes.subarray(at, at + 12 + length);
    at += chunk.length;
    // Not every browser looks at the sum of a chunk.
    if (data.getUint32(at - 4) !== crc32(chunk.subarray(4, -4))) return damaged('PNG');
    if (name === 'tRNS' || name === 'acTL') asIs = false;
    if (name === 'sRGB') srgb = true;
    if (name === 'gAMA') bent ||= length !== 4 || data.getUint32(at - 8) !== 45455;
    if (name === 'cHRM' || name === 'cICP') bent = true;
    if (name === 'iCCP' && !text(chunk, 8, 80).includes('sRGB')) asIs = false;
    if (/^[A-Z]/.test(name) || name === 'sRGB') keep.push(chunk); // what the picture is made of
    if (name === 'IEND') break;
  }
  return { kind: 'PNG', type: 'image/png', width, height, keep: asIs && (srgb || !bent) ? keep : null };
};

// --- WebP

/** @param {Bytes} bytes @returns {Header} */
const webp = (bytes) => {
  const data = view(bytes);
  if (bytes.length < 30) return cutOff('WebP');
  const end = 8 + data.getUint32(4, true);
  if (end > bytes.length) return cutOff('WebP');
  const name = text(bytes, 12, 4);
  let [width, height, asIs] = [0, 0, true];
  if (name === 'VP8 ') {
    if (text(bytes, 23, 3) !== '\x9d\x01\x2a') return damaged('WebP');
    [width, height] = [data.getUint16(26, true) & 0x3fff, data.getUint16(28, true) & 0x3fff];
  } else if (name === 'VP8L') {
    const bits = data.getUint32(21, true);
    [width, height, asIs] = [(bits & 0x3fff) + 1, ((bits >> 14) & 0x3fff) + 1, !(bits & 0x10000000)];
  } else if (name === 'VP8X') {
    [width, height] = [(data.getUint32(24, true) & 0xffffff) + 1, (data.getUint32(26, true) >>> 8) + 1];
    asIs = !(bytes[20] & 0x3e); // nothing beside it, not see-through, not moving
  } else {
    return damaged('WebP');
  }
  return { kind: 'WebP', type: 'image/webp', width, height, keep: asIs ? [bytes.subarray(0, end)] : null };
};

// --- GIF, whose first frame may be larger than it says of itself

/** @param {Bytes} bytes @returns {Header} */
const gif = (bytes) => {
  const data = view(bytes);
  if (bytes.length < 14) return cutOff('GIF');
  let [width, height] = [data.getUint16(6, true), data.getUint16(8, true)];
  let at = 13 + (bytes[10] & 0x80 ? 3 << ((bytes[10] & 7) + 1) : 0);
  while (bytes[at] === 0x21) {
    for (at += 2; bytes[at]; at += bytes[at] + 1);
    at++;
  }
  if (at + 10 > bytes.length) return cutOff('GIF');
  if (bytes[at] !== 0x2c) return damaged('GIF');
  width = Math.max(width, data.getUint16(at + 1, true) + data.getUint16(at + 5, true));
  height = Math.max(height, data.getUint16(at + 3, true) + data.getUint16(at + 7, true));
  return { kind: 'GIF', type: 'image/gif', width, height, keep: null };
};

// --- BMP

/** @param {Bytes} bytes @returns {Header} */
const bmp = (bytes) => {
  const data = view(bytes);
  if (bytes.length < 30) return cutOff('BMP');
  const old = data.getUint32(14, true) === 12;
  const width = old ? data.getUint16(18, true) : data.getInt32(18, true);
  const height = old ? data.getUint16(20, true) : Math.abs(data.getInt32(22, true));
  return { kind: 'BMP', type: 'image/bmp', width, height, keep: null };
};

// --- AVIF and HEIC: boxes in boxes, of which only those are looked for that tell a size

/** @param {Bytes} bytes @returns {Header} */
const boxes = (bytes) => {
  const data = view(bytes);
  const listed = text(bytes, 8, Math.min(data.getUint32(0), 200, bytes.length) - 8);
  const brands = Array.from(listed.matchAll(/[^]{4}/g), ([brand]) => brand);
  const avif = brands.includes('avif') || brands.includes('avis');
  if (!avif && !brands.some((brand) => /^(hei[cxms]|hev[cx]|mif1|msf1)$/.test(brand))) {
    return refuse('This is no photo that can be read.', 'a film, or a file of another kind');
  }
  const kind = avif ? 'AVIF' : 'HEIC';
  let [width, height] = [0, 0];
  for (let at = bytes.indexOf(0x69); at >= 0 && at + 16 <= bytes.length; at = bytes.indexOf(0x69, at + 1)) {
    if (text(bytes, at, 4) !== 'ispe') continue;
    // There are several: of tiles, of a preview, of the whole. The largest is what will be decoded.
    width = Math.max(width, data.getUint32(at + 8));
    height = Math.max(height, data.getUint32(at + 12));
  }
  return { kind, type: avif ? 'image/avif' : 'image/heic', width, height, keep: null };
};

/** What to do about a picture of a kind that the browser refused to decode. @param {string} kind */
export const advice = (kind) => (kind === 'HEIC' ? HEIC : SAVE);
