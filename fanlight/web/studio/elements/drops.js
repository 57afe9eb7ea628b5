/** @import { Gathered } from '../intake.js' */

/** What a drag of photos of this page carries: their ids as JSON. */
export const PHOTOS = 'application/x-fanlight-photos';

/** @typedef {{ files: File[], folders: Gathered | null }} Dropped single files, and folders with all that is in them */

/** @type {typeof import('../intake.js').gather | null} */
let gather = null;

/** Have ready what looks into a drop: it has to do so while the drop is handled, and is not needed before. */
export const prepare = async () => {
  gather ??= await import('../intake.js').then((module) => module.gather);
};

/** Whether a drag brings files. @param {DragEvent} event */
export const brings = ({ dataTransfer }) => Boolean(dataTransfer?.types.includes('Files'));

/** To be called while the event is handled: afterwards a browser forgets what was dropped. @param {DataTransfer} data @returns {Dropped} */
export const dropped = (data) => {
  const all = gather?.(data);
  if (!all) return { files: [...data.files], folders: null };
  const files = /** @type {File[]} */ (all.files.map(({ file }) => file));
  all.files = [];
  return { files, folders: all.entries.length ? all : null };
};

/** Pictures of the clipboard. @param {Iterable<File>} files @returns {File[]} */
export const pasted = (files) => [...files].filter(({ type }) => type.startsWith('image/'));
