import { LitElement, css, html } from 'lit';
import { shared } from './theme.js';
/**
 * @import { PropertyValues } from 'lit'
 * @import { Answer } from '../types.js'
 */

/** Pixels of the longer side that the few places of a map are spread over: the browser does the rest. */
const SIDE = 224;
/** The hue of what counts, one that photos seldom have, and how opaque the most of it is. */
const HUE = [255, 20, 120];
const MOST = 0.72;

/**
 * A map of a few places as pixels: one hue, the more opaque the more a place counts, in between bilinear.
 * @param {{ data: Float32Array, width: number, height: number }} heat 0 to 1, rows from top to bottom
 * @param {number} width @param {number} height of the picture
 */
export const heatPixels = (heat, width, height) => {
  const pixels = new Uint8ClampedArray(4 * width * height);
  /** @param {number} at @param {number} size of the picture @param {number} few places along it @returns {[number, number, number]} */
  const between = (at, size, few) => {
    const place = Math.max(0, Math.min(few - 1, (at + 0.5) * few / size - 0.5)); // centres of places
    const low = Math.floor(place);
    return [low, Math.min(few - 1, low + 1), place - low];
  };
  const columns = Array.from({ length: width }, (_, x) => between(x, width, heat.width));
  for (let y = 0; y < height; y++) {
    const [top, bottom, v] = between(y, height, heat.height);
    for (let x = 0; x < width; x++) {
      const [left, right, u] = columns[x];
      const row = (/** @type {number} */ r) => heat.data[r * heat.width + left] * (1 - u) + heat.data[r * heat.width + right] * u;
      const value = Math.max(0, Math.min(1, row(top) * (1 - v) + row(bottom) * v));
      pixels.set([...HUE, value ** 1.5 * MOST * 255], 4 * (y * width + x));
    }
  }
  return new ImageData(pixels, width, height);
};

/**
 * `<fl-heat>`: what the model looked at, to lie over the picture.
 *
 * - `heat`: of an `Answer`; null shows nothing
 */
export class Heat extends LitElement {
  /** @override */
  static properties = { heat: { attribute: false } };

  /** @override */
  static styles = [shared, css`
    :host { pointer-events: none; }
    canvas { width: 100%; height: 100%; }
  `];

  constructor() {
    super();
    /** @type {Answer['heat']} */
    this.heat = null;
  }

  /** @override @param {PropertyValues} changed */
  updated(changed) {
    if (!changed.has('heat')) return;
    const canvas = /** @type {HTMLCanvasElement} */ (this.renderRoot.querySelector('canvas'));
    const context = canvas.getContext('2d');
    if (!this.heat) {
      context?.clearRect(0, 0, canvas.width, canvas.height);
      return;
    }
    const scale = SIDE / Math.max(this.heat.width, this.heat.height);
    const [width, height] = [Math.round(this.heat.width * scale), Math.round(this.heat.height * scale)];
    if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
    context?.putImageData(heatPixels(this.heat, width, height), 0, 0);
  }

  /** @override */
  render() {
    return html`<canvas width="1" height="1" role="img" aria-label="Where it looks: the stronger the colour, the more that place counts"></canvas>`;
  }
}

customElements.define('fl-heat', Heat);
