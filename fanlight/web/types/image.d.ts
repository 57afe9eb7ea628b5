/**
 * Turn any picture into one that can be sent to a worker and that nobody else will change or close.
 * A Blob stays one: the worker decodes it, so that this thread does not have to.
 * @param {ImageSource} source @returns {Promise<Picture>}
 */
export function portable(source: ImageSource): Promise<Picture>;
/**
 * Read a picture as rows of RGBA bytes, upright, in sRGB, opaque on white. What is larger than the
 * model's bounds is made smaller first, keeping its proportions. Closes the picture.
 * @param {Picture} picture @param {Manifest} manifest whose one input it is
 */
export function pixels(picture: Picture, { inputs: [{ shape }], dims }: Manifest): Promise<{
    data: Uint8ClampedArray<ArrayBufferLike>;
    shape: number[];
}>;
import type { ImageSource } from './types.js';
import type { Picture } from './types.js';
import type { Manifest } from './types.js';
