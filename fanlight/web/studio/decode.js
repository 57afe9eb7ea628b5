import { Refusal, advice, readHeader, refuse } from './header.js';
import { sha256 } from './sha256.js';
/**
 * A photo as it is kept: upright, in sRGB, opaque, not larger than the models need, without what
 * cameras write beside it.
 * @typedef {{ blob: Blob, thumb: Blob, width: number, height: number, hash: string }} Ready
 */

/** The longer side of a photo that is kept, and of its small picture, in pixels. */
export const SIDE = 1280;
export const THUMB_SIDE = 160;
/** Larger ones are not taken: bytes of a file, pixels of a picture. */
export const MAX_BYTES = 64 * 2 ** 20;
export const MAX_PIXELS = 100e6;

/**
 * Check a photo and make it ready to be kept. A bitmap is closed.
 * @param {Blob | ImageBitmap} source @returns {Promise<Ready>} rejects with a Refusal:
 * E-STUDIO-010 for what is no photo, E-STUDIO-011 for what is too large
 */
export const ready = async (source) => {
  const { bitmap, kept } = source instanceof Blob ? await opened(source) : { bitmap: source, kept: null };
  try {
    const { canvas, width, height } = drawn(bitmap, bitmap.width, bitmap.height, SIDE);
    const [blob, thumb] = [
      kept ?? await encoded(canvas, 0.9),
      await encoded(drawn(canvas, width, height, THUMB_SIDE).canvas, 0.8),
    ];
    const hash = await sha256(new Uint8Array(await blob.arrayBuffer()));
    return { blob, thumb, width, height, hash };
  } finally {
    bitmap.close();
  }
};

/** @param {Blob} blob @returns {Promise<{ bitmap: ImageBitmap, kept: Blob | null }>} */
const opened = async (blob) => {
  if (!blob.size) refuse('The file is empty.', '0 bytes', 'copy or download it again');
  if (blob.size > MAX_BYTES) {
    throw new Refusal('E-STUDIO-011', 'The file is too large for a photo.', {
      expected: `at most ${MAX_BYTES / 2 ** 20} MB`, received: `${Math.ceil(blob.size / 2 ** 20)} MB`,
      next: 'make it smaller, then choose it again' });
  }
  const buffer = await blob.arrayBuffer().catch((error) => (
    refuse('The file cannot be read.', error.message, 'is it still where it was? Choose it again')));
  const bytes = new Uint8Array(buffer);
  const { kind, type, width, height, keep } = readHeader(bytes);
  if (width * height > MAX_PIXELS) {
    throw new Refusal('E-STUDIO-011', 'The photo has too many pixels.', {
      expected: `at most ${MAX_PIXELS / 1e6} megapixels`, received: `${width} x ${height}`,
      next: 'make it smaller: the model sees a few hundred pixels of each side only' });
  }
  const bitmap = await createImageBitmap(new Blob([bytes], { type }), { imageOrientation: 'from-image' })
    .catch((error) => refuse(`This ${kind} cannot be read by this browser.`,
      `${kind}, ${width} x ${height}: ${error.message}`, advice(kind)));
  const small = Math.max(bitmap.width, bitmap.height) <= SIDE;
  return { bitmap, kept: keep && small ? new Blob([joined(keep)], { type }) : null };
};

/** In one piece: Firefox decodes no picture from a Blob of several. @param {Uint8Array<ArrayBuffer>[]} parts */
const joined = (parts) => {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
};

/**
 * @param {CanvasImageSource} image @param {number} width @param {number} height of the image
 * @param {number} side the longer one, at most
 * @returns {{ canvas: OffscreenCanvas | HTMLCanvasElement, width: number, height: number }}
 */
const drawn = (image, width, height, side) => {
  const scale = Math.min(1, side / Math.max(width, height));
  const [w, h] = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
  const canvas = globalThis.OffscreenCanvas ? new OffscreenCanvas(w, h)
    : Object.assign(document.createElement('canvas'), { width: w, height: h });
  const context = /** @type {CanvasRenderingContext2D | null} */ (canvas.getContext('2d', { alpha: false }));
  if (!context) return refuse('The browser gave no canvas.', `${w} x ${h}`, 'close other tabs, then try again');
  context.imageSmoothingQuality = 'high';
  context.fillStyle = '#fff'; // what is see-through lies on white
  context.fillRect(0, 0, w, h);
  context.drawImage(image, 0, 0, w, h);
  return { canvas, width: w, height: h };
};

/** @param {OffscreenCanvas | HTMLCanvasElement} canvas @param {number} quality @returns {Promise<Blob>} */
const encoded = async (canvas, quality) => {
  const type = 'image/jpeg';
  const blob = 'convertToBlob' in canvas ? await canvas.convertToBlob({ type, quality })
    : await new Promise((resolve) => canvas.toBlob(resolve, type, quality));
  return blob ?? refuse('The browser could not write the photo.', undefined, 'close other tabs, then try again');
};
