import { FanlightError } from '../runtime/errors.js';

/** What a browser calls it, and what a person can do about it. @type {Record<string, [string, string]>} */
const TROUBLES = {
  NotAllowedError: ['The camera is not allowed here', 'allow it beside the address of this page and try again, or choose photos instead'],
  NotFoundError: ['No camera was found', 'plug one in and try again, or choose photos instead'],
  NotReadableError: ['Another program is using the camera', 'close it there and try again, or choose photos instead'],
};

/** @param {string} reason @param {string} next @param {string} [received] */
const trouble = (reason, next, received) => new FanlightError('E-STUDIO-040', reason, { received, next });

/** Pixels of the longer side of what is asked of a camera: more than any model looks at. */
const SIDE = 640;

/** A camera of this device. Tells `lost` (detail: a FanlightError) where it goes away by itself. */
export class Camera extends EventTarget {
  #stream;

  /** @param {MediaStream} stream */
  constructor(stream) {
    super();
    this.#stream = stream;
    const [track] = stream.getVideoTracks();
    track.addEventListener('ended', () => this.dispatchEvent(new CustomEvent('lost', {
      detail: trouble('The camera was unplugged or switched off', 'plug it in and try again, or choose photos instead'),
    })));
  }

  /**
   * Rejects with a FanlightError E-STUDIO-040: none there, not allowed, in use, or the page is not secure.
   * @param {{ facing?: 'user' | 'environment', device?: string }} [which] @returns {Promise<Camera>}
   */
  static async open({ facing = 'user', device } = {}) {
    const media = navigator.mediaDevices;
    if (!media?.getUserMedia) {
      throw trouble('A page may use the camera only over https or on this machine', 'open it there, or choose photos instead');
    }
    const which = device ? { deviceId: { exact: device } } : { facingMode: facing };
    try {
      const video = { ...which, width: { ideal: SIDE }, height: { ideal: SIDE * 0.75 } };
      return new Camera(await media.getUserMedia({ audio: false, video }));
    } catch (error) {
      const { name, message } = /** @type {DOMException} */ (error);
      const [reason, next] = TROUBLES[name] ?? ['The camera did not start', 'try again, or choose photos instead'];
      throw trouble(reason, next, `${name}: ${message}`);
    }
  }

  /** All cameras; they have names once one was allowed. @returns {Promise<MediaDeviceInfo[]>} */
  static async list() {
    const all = await navigator.mediaDevices?.enumerateDevices().catch(() => []) ?? [];
    return all.filter(({ kind }) => kind === 'videoinput');
  }

  get stream() {
    return this.#stream;
  }

  /** The id of the device. */
  get device() {
    return this.#stream.getVideoTracks()[0]?.getSettings().deviceId;
  }

  /** Whether it looks at whom it shows to: such a picture is expected to be a mirror. */
  get front() {
    return this.#stream.getVideoTracks()[0]?.getSettings().facingMode !== 'environment';
  }

  stop() {
    for (const track of this.#stream.getTracks()) track.stop();
  }
}

/**
 * The picture that a video shows now, as a JPEG.
 * @param {HTMLVideoElement} video which has begun @param {boolean} mirror @returns {Promise<Blob>}
 */
export const still = async (video, mirror) => {
  const scale = Math.min(1, SIDE / Math.max(video.videoWidth, video.videoHeight));
  const width = Math.max(1, Math.round(video.videoWidth * scale));
  const height = Math.max(1, Math.round(video.videoHeight * scale));
  const canvas = new OffscreenCanvas(width, height);
  const context = /** @type {OffscreenCanvasRenderingContext2D} */ (canvas.getContext('2d', { alpha: false }));
  if (mirror) context.setTransform(-1, 0, 0, 1, width, 0);
  context.drawImage(video, 0, 0, width, height);
  return canvas.convertToBlob({ type: 'image/jpeg', quality: 0.92 });
};
