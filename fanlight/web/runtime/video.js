import { FanlightError, said } from './fanlight.js';
/**
 * @import { Model } from './fanlight.js'
 * @import { Prediction } from './types.js'
 * @typedef {{ results: Prediction[], ms: number }} Answer
 * @typedef {object} WatchOptions
 * @property {(answer: Answer) => void} [onAnswer] told of each frame that was answered
 * @property {(error: unknown) => void} [onProblem] told once, of what ended it
 * @property {number} [top] how many predictions
 * @typedef {object} Watching
 * @property {() => void} stop no answer comes after it
 * @property {number} frames how many frames the video has shown
 * @property {number} answers how many of them were answered
 */

/** The longest that warming up waits for the page to be idle, in milliseconds; and its picture's side. */
const IDLE_MS = 500, SIDE = 64;

/** When the page has nothing else to do. @returns {Promise<unknown>} */
const idle = () => new Promise((resolve) => {
  if ('requestIdleCallback' in globalThis) requestIdleCallback(resolve, { timeout: IDLE_MS });
  else setTimeout(resolve, 1);
});

/**
 * Answer a blank picture when the page is idle: the first frame then meets code that is fast.
 * @param {Pick<Model, 'classify'>} model
 */
export const warm = async (model) => {
  await idle();
  await model.classify(new ImageData(SIDE, SIDE), { top: 1 });
};

/**
 * Ask for the camera. Rejects with a FanlightError (E-WEB-019) whose words are for the visitor.
 * @returns {Promise<MediaStream>}
 */
export const openCamera = async () => {
  try {
    return await navigator.mediaDevices.getUserMedia({ video: { facingMode: 'environment' } });
  } catch (error) {
    const { name } = /** @type {Error} */ (error);
    throw new FanlightError('E-WEB-019',
      name === 'NotAllowedError' ? 'The camera was refused.'
        : name === 'NotFoundError' ? 'There is no camera.' : 'The camera cannot be used.', {
        received: said(error),
        next: !navigator.mediaDevices ? 'open this page over https'
          : name === 'NotAllowedError' ? 'allow it in the address bar, or choose a photo'
            : 'choose a photo',
      });
  }
};

/**
 * Answer the newest frame of a video, again and again: while one is being answered, those that come are
 * passed over, so that answers never lag. It rests while the page is hidden or the video paused, and ends
 * by `stop`, when a call fails, or when the camera is gone.
 * @param {HTMLVideoElement} video @param {Pick<Model, 'classify'>} model @param {WatchOptions} [options] @returns {Watching}
 */
export const watch = (video, model, { onAnswer, onProblem, top = 3 } = {}) => {
  const life = new AbortController();
  const { signal } = life;
  /** Whether the video shows a frame that was not looked at. */
  let fresh = false;
  let wake = () => {};
  /** @type {Watching} */
  const watching = {
    frames: 0,
    answers: 0,
    stop: () => {
      life.abort();
      wake();
    },
  };
  const next = () => {
    if (signal.aborted) return;
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(note);
    else requestAnimationFrame(() => (video.paused ? next() : note()));
  };
  const note = () => {
    fresh = true;
    watching.frames++;
    wake();
    next();
  };
  /** @param {unknown} error */
  const end = (error) => {
    if (signal.aborted) return;
    watching.stop();
    onProblem?.(error);
  };
  const look = async () => {
    if (video.readyState < 2) await warm(model);
    while (!signal.aborted) {
      if (!fresh || document.hidden || video.paused) {
        await new Promise((resolve) => {
          wake = () => resolve(undefined);
        });
        continue;
      }
      fresh = false;
      const start = performance.now();
      const results = await model.classify(video, { top });
      if (signal.aborted) return;
      watching.answers++;
      onAnswer?.({ results, ms: performance.now() - start });
    }
  };
  document.addEventListener('visibilitychange', () => wake(), { signal });
  video.addEventListener('play', () => wake(), { signal });
  const stream = video.srcObject;
  for (const track of stream instanceof MediaStream ? stream.getVideoTracks() : []) {
    track.addEventListener('ended', () => end(new FanlightError('E-WEB-019',
      'The camera was unplugged, or another program took it.', {
        received: track.label, next: 'plug it in and start it again, or choose a photo' })), { signal });
  }
  next();
  look().catch(end);
  return watching;
};
