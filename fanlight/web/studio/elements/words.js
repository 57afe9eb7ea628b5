/** @import { FanlightError } from '../../runtime/fanlight.js' */

/** Above this share of the storage that the browser grants, it is said. */
export const FULL = 0.85;

/** `1,234`; the first toLocaleString of a page takes a tenth of a second. @param {number} n a whole number */
export const grouped = (n) => String(n).replace(/\B(?=(\d{3})+$)/g, ',');

/** `1 photo`, `1,234 photos`. @param {number} n @param {string} one @param {string} [many] */
export const count = (n, one, many = `${one}s`) => `${grouped(n)} ${n === 1 ? one : many}`;

/** `3.2 MB`. @param {number} n */
export const bytes = (n) => {
  if (n < 1e6) return `${Math.max(n ? 1 : 0, Math.round(n / 1e3))} kB`;
  return n < 1e9 ? `${(n / 1e6).toFixed(1)} MB` : `${(n / 1e9).toFixed(1)} GB`;
};

/** `a moment`, `12 seconds`, `3 minutes`. @param {number} s */
export const seconds = (s) => {
  if (!(s >= 1)) return 'a moment';
  return s < 91 ? count(Math.ceil(s), 'second') : count(Math.round(s / 60), 'minute');
};

/**
 * What went wrong and what to do now, in one or two sentences and without the code.
 * @param {any} error a FanlightError, or anything that was thrown
 */
export const plain = (error) => {
  const reason = /** @type {FanlightError} */ (error)?.reason ?? error?.message ?? String(error);
  const next = /** @type {FanlightError} */ (error)?.next;
  const sentence = (/** @type {string} */ text) => (
    `${text[0]?.toUpperCase() ?? ''}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}`);
  return next ? `${sentence(reason)} ${sentence(next)}` : sentence(reason);
};

/** Whether somebody stopped it: nothing to tell. @param {any} error */
export const aborted = (error) => error?.name === 'AbortError';

/**
 * A line at the foot of the page that goes by itself, with at most one thing to do: what has just happened, and "Undo".
 * It is read aloud, too.
 * @param {EventTarget} from an element of the page
 * @param {string} text
 * @param {{ label?: string, act?: () => unknown, still?: () => boolean, bad?: boolean }} [options] `act` is called where `label`
 *   is pressed; `still`: whether it would still do something
 */
export const tell = (from, text, options = {}) => from.dispatchEvent(
  new CustomEvent('fl-tell', { bubbles: true, composed: true, detail: { text, ...options } }),
);

/** Whether nothing has the keys. */
export const lost = () => (document.activeElement ?? document.body) === document.body;

/** What an element could not do. @param {EventTarget} from @param {unknown} error */
export const problem = (from, error) => {
  if (!aborted(error)) tell(from, plain(error), { bad: true });
};
