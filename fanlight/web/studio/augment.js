import { generator } from './learning.js';

/**
 * Altered copies of photos: what a camera may have seen if it had been held a little otherwise.
 * @import { Augment } from './types.js'
 * @typedef {{ angle: number, dx: number, dy: number, zoom: number, mirrored: boolean, light: number }} Change
 * angle: radians, clockwise; dx, dy: of the side, to the right and down; zoom: 1.1 is 10 % larger;
 * light: 1.1 is 10 % brighter
 * @typedef {{ seed?: number, count?: number, size?: number | [height: number, width: number] }} CopyOptions
 * size: of a copy; count: how many (default: `augment.copies`)
 */

/** @param {Augment} augment @param {() => number} random @returns {Change} */
const drawnFrom = ({ rotate, shift, zoom, flip, brightness }, random) => {
  // Always as many numbers, so that switching one way off leaves the others as they are.
  const [a, b, c, d, e, f] = [random(), random(), random(), random(), random(), random()];
  /** @param {number} value of [0, 1) @param {number} most */
  const within = (value, most) => (2 * value - 1) * most;
  return {
    angle: within(a, rotate) * Math.PI / 180,
    dx: within(b, shift),
    dy: within(c, shift),
    zoom: (1 + zoom) ** within(d, 1), // as often half as large as twice
    mirrored: flip && e < 0.5,
    light: 1 + within(f, brightness),
  };
};

/**
 * Copies of a photo, altered within what `augment` says, the same ones for the same seed. What comes
 * in at the edges is the photo, mirrored there.
 *
 * The photo fills the copy, as it fills the picture that a model sees: it is not cropped. It is drawn at once,
 * on the thread of the caller: a page asks `Images` (images.js), which has a worker for it.
 * @param {Blob | ImageBitmap} photo a bitmap stays open
 * @param {Augment} augment
 * @param {CopyOptions} [options]
 * @returns {Promise<ImageBitmap[]>} close each when it is done with
 */
export const augmented = async (photo, augment, { seed = 0, count = augment.copies, size = 224 } = {}) => {
  const [height, width] = typeof size === 'number' ? [size, size] : size;
  const bitmap = photo instanceof Blob ? await createImageBitmap(photo) : photo;
  try {
    const tile = mirrored(bitmap, width, height);
    const random = generator(seed);
    const copies = [];
    for (let i = 0; i < count; i++) {
      copies.push(await altered(tile, width, height, drawnFrom(augment, random)));
    }
    return copies;
  } finally {
    if (bitmap !== photo) bitmap.close();
  }
};

/** @param {number} width @param {number} height */
const canvasOf = (width, height) => {
  const canvas = globalThis.OffscreenCanvas ? new OffscreenCanvas(width, height)
    : Object.assign(document.createElement('canvas'), { width, height });
  const context = canvas.getContext('2d', { alpha: false, willReadFrequently: true });
  return { canvas, context: /** @type {CanvasRenderingContext2D} */ (context) };
};

/**
 * The photo and its mirror images, two by two: a pattern that goes on for ever without a seam.
 * @param {ImageBitmap} bitmap @param {number} width @param {number} height of one
 */
const mirrored = (bitmap, width, height) => {
  const { canvas, context } = canvasOf(2 * width, 2 * height);
  context.imageSmoothingQuality = 'high';
  context.fillStyle = '#fff';
  context.fillRect(0, 0, 2 * width, 2 * height);
  context.drawImage(bitmap, 0, 0, width, height); // made small once: a photo is large
  context.setTransform(-1, 0, 0, 1, 2 * width, 0);
  context.drawImage(canvas, 0, 0, width, height, 0, 0, width, height);
  context.setTransform(1, 0, 0, -1, 0, 2 * height);
  context.drawImage(canvas, 0, 0, 2 * width, height, 0, 0, 2 * width, height);
  return canvas;
};

/**
 * @param {OffscreenCanvas | HTMLCanvasElement} tile @param {number} width @param {number} height
 * @param {Change} change @returns {Promise<ImageBitmap>}
 */
const altered = async (tile, width, height, { angle, dx, dy, zoom, mirrored: flipped, light }) => {
  const { canvas, context } = canvasOf(width, height);
  context.imageSmoothingQuality = 'high';
  // About the middle, in the order in which a hand would: where it is, how it is held, how near.
  context.translate(width * (0.5 + dx), height * (0.5 + dy));
  context.rotate(angle);
  context.scale(flipped ? -zoom : zoom, zoom);
  context.translate(-width / 2, -height / 2);
  const pattern = /** @type {CanvasPattern} */ (context.createPattern(/** @type {any} */ (tile), 'repeat'));
  context.fillStyle = pattern;
  const far = 4 * Math.hypot(width, height) / Math.min(1, zoom);
  context.fillRect(-far, -far, 2 * far, 2 * far);
  if (light !== 1) brighten(context, width, height, light);
  return createImageBitmap(canvas);
};

/**
 * Each colour times `light`; by hand, for not every browser has filters.
 * @param {CanvasRenderingContext2D} context @param {number} width @param {number} height
 * @param {number} light
 */
const brighten = (context, width, height, light) => {
  const pixels = context.getImageData(0, 0, width, height);
  const bytes = pixels.data; // clamped, and rounded
  for (let i = 0; i < bytes.length; i++) if ((i & 3) !== 3) bytes[i] *= light;
  context.putImageData(pixels, 0, 0);
};
