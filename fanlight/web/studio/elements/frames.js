import { watch } from '../../runtime/video.js';

/** Pixels of the side of a frame that is looked at: more than models see, few enough to be quick. */
const SIDE = 320;

/**
 * What a model sees of a picture: its middle, square, mirrored as it is shown.
 * @param {HTMLVideoElement} video which has begun @param {boolean} mirror
 */
export const frameOf = (video, mirror) => {
  const canvas = new OffscreenCanvas(SIDE, SIDE);
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext('2d', { alpha: false }));
  const side = Math.min(video.videoWidth, video.videoHeight);
  if (mirror) context.setTransform(-1, 0, 0, 1, SIDE, 0);
  context.imageSmoothingQuality = 'high';
  context.drawImage(video, (video.videoWidth - side) / 2, (video.videoHeight - side) / 2, side, side, 0, 0, SIDE, SIDE);
  return canvas;
};

/**
 * Looks at a video for as long as what it is part of is seen: the newest frame each time, as the runtime's `watch` paces
 * them. Out of sight the one that was to be looked at waits, and so do all others.
 */
export class Frames {
  #on = true;
  #shown = true;
  #watching;
  #wake = () => {};
  #seen = new IntersectionObserver((entries) => {
    this.#shown = /** @type {IntersectionObserverEntry} */ (entries.at(-1)).isIntersecting;
    if (this.#shown) this.#wake();
  });

  /**
   * @param {HTMLVideoElement} video @param {Element} shown what is in sight as long as anybody looks
   * @param {() => Promise<void>} look at the frame that it shows now
   */
  constructor(video, shown, look) {
    this.#seen.observe(shown);
    const classify = async () => {
      while (this.#on && !this.#shown) await new Promise((resolve) => { this.#wake = () => resolve(undefined); });
      if (this.#on && video.videoWidth) await look();
      return [];
    };
    // That the camera is lost is told by whoever has opened it.
    this.#watching = watch(video, { classify }, { onProblem: reportError });
  }

  stop() {
    this.#on = false;
    this.#watching.stop();
    this.#seen.disconnect();
    this.#wake();
  }
}
