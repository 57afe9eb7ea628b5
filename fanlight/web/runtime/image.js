import { fail, said } from './errors.js';
/** @import { ImageSource, Manifest, Picture } from './types.js' */

/** @type {OffscreenCanvas | undefined} */
let canvas;

/**
 * Turn any picture into one that can be sent to a worker and that nobody else will change or close.
 * A Blob stays one: the worker decodes it, so that this thread does not have to.
 * @param {ImageSource} source @returns {Promise<Picture>}
 */
export async function portable(source) {
  if (source instanceof Blob || source instanceof ImageData) return source;
  try {
    if (source instanceof HTMLImageElement) await source.decode();
    return await createImageBitmap(source);
  } catch (error) {
    return fail('E-WEB-017', 'There is no picture in what was given.',
      { expected: 'a loaded img, video, canvas, bitmap, ImageData or Blob', received: `${Object(source).constructor?.name}: ${said(error)}` });
  }
}

/**
 * Read a picture as rows of RGBA bytes, upright, in sRGB, opaque on white. What is larger than the
 * model's bounds is made smaller first, keeping its proportions. Closes the picture.
 * @param {Picture} picture @param {Manifest} manifest whose one input it is
 */
export async function pixels(picture, { inputs: [{ shape }], dims }) {
  let bitmap = picture;
  if (picture instanceof Blob) {
    bitmap = await createImageBitmap(picture).catch((error) => fail('E-WEB-016',
      'This file is not an image that the browser can read.', {
        received: `${picture.type || 'unknown type'}, ${picture.size} bytes: ${said(error)}`,
        next: 'choose another file',
      }));
  }
  let { width, height } = /** @type {ImageData} */ (bitmap);
  const [tall, wide] = shape.map((d) => (
    typeof d === 'string' ? dims[d] : { min: d, max: d }));
  const scale = Math.min(1, tall.max / height, wide.max / width);
  /** @param {number} size @param {{ min: number, max: number }} bounds */
  const fit = (size, { min, max }) => Math.min(max, Math.max(min, Math.floor(size * scale)));
  const [h, w] = [fit(height, tall), fit(width, wide)];

  if (bitmap instanceof ImageData) {
    if (h === height && w === width && bitmap.colorSpace === 'srgb'
        && bitmap.data instanceof Uint8ClampedArray) {
      return { data: onWhite(bitmap.data.slice()), shape: [h, w, 4] };
    }
    bitmap = await createImageBitmap(bitmap);
  }
  canvas ??= new OffscreenCanvas(w, h);
  if (canvas.width !== w) canvas.width = w;
  if (canvas.height !== h) canvas.height = h;
  const context = canvas.getContext('2d', { alpha: false, willReadFrequently: true });
  if (!context) return fail('E-WEB-004', 'The browser gave no canvas of this size.', { received: [h, w] });
  context.imageSmoothingQuality = 'high';
  context.fillStyle = '#fff';
  context.fillRect(0, 0, w, h);
  try {
    context.drawImage(/** @type {ImageBitmap} */ (bitmap), 0, 0, w, h);
    return { data: context.getImageData(0, 0, w, h).data, shape: [h, w, 4] };
  } catch (error) {
    return fail('E-WEB-017', 'The browser does not let this page read the input.',
      { received: said(error), next: 'serve the picture with CORS' });
  } finally {
    /** @type {ImageBitmap} */ (bitmap).close();
  }
}

/** Lay RGBA bytes on white, in place. @param {Uint8ClampedArray} data */
function onWhite(data) {
  for (let i = 3; i < data.length; i += 4) {
    const alpha = data[i] / 255;
    if (alpha < 1) for (let c = i - 3; c <= i; c++) data[c] = 255 + (data[c] - 255) * alpha;
    data[i] = 255;
  }
  return data;
}
