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
 * Looks at a video for as long as what it is part of is seen: the newest frame each time, those that come meanwhile are left out.
 */
export class Frames {
  #video;
  #look;
  #on = true;
  #busy = false;
  #waiting = false;
  #shown = true;
  #seen = new IntersectionObserver((entries) => {
    this.#shown = /** @type {IntersectionObserverEntry} */ (entries.at(-1)).isIntersecting;
    this.#next();
  });
  #wake = () => this.#next();

  /**
   * @param {HTMLVideoElement} video @param {Element} shown what is in sight as long as anybody looks
   * @param {() => Promise<void>} look at the frame that it shows now
   */
  constructor(video, shown, look) {
    this.#video = video;
    this.#look = look;
    this.#seen.observe(shown);
    document.addEventListener('visibilitychange', this.#wake);
    this.#next();
  }

  #next() {
    if (!this.#on || this.#busy || this.#waiting || document.hidden || !this.#shown) return;
    this.#waiting = true;
    const come = () => {
      this.#waiting = false;
      this.#take();
    };
    if ('requestVideoFrameCallback' in this.#video) this.#video.requestVideoFrameCallback(come);
    else requestAnimationFrame(come);
  }

  async #take() {
    if (!this.#on || document.hidden || !this.#shown) return;
    this.#busy = true;
    try {
      if (this.#video.videoWidth) await this.#look();
    } finally {
      this.#busy = false;
      this.#next();
    }
  }

  stop() {
    this.#on = false;
    this.#seen.disconnect();
    document.removeEventListener('visibilitychange', this.#wake);
  }
}
