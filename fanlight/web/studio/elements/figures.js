import { split } from '../learning.js';
/**
 * @import { ClassInfo, Example, Report, Settings } from '../types.js'
 * @import { Teacher } from './teacher.js'
 */

/** `97 %`; what is not whole is never said to be: 0.999 is `99.9 %`. @param {number} share 0 to 1 */
export const percent = (share) => {
  const whole = Math.round(share * 100);
  const exact = (whole !== 100 || share >= 1) && (whole !== 0 || share <= 0);
  return `${exact ? whole : Math.min(99.9, Math.max(0.1, share * 100)).toFixed(1)} %`;
};

/** `19 of 20`. @param {Report} report */
export const rightOf = ({ accuracy, count }) => `${Math.round(accuracy * count)} of ${count}`;

/** `cat`, `cat and dog`, `cat, dog and owl`. @param {string[]} words */
export const listed = (words) => (
  words.length < 2 ? words.join('') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`);

/**
 * Which photos a report is of: those put aside, else those kept for checking, else those that were learnt from.
 * @param {Teacher} session @param {Settings} [settings] of the training; default: those of now
 */
export const measure = ({ classes, examples, settings: now }, settings = now) => {
  if (examples.some(({ held }) => held)) return 'held';
  return split(examples, classes.map(({ id }) => id), settings).validation.length ? 'validation' : 'all';
};

/** @type {Record<ReturnType<typeof measure>, string>} */
export const MEASURED = {
  held: 'photos you put aside',
  validation: 'photos it did not learn from',
  all: 'photos it learnt from',
};

/** How many photos of each class there are to learn from. @param {ClassInfo[]} classes @param {Example[]} examples */
export const counts = (classes, examples) => {
  const found = new Map(classes.map(({ id }) => [id, 0]));
  for (const { class: id, held } of examples) if (!held) found.set(id, (found.get(id) ?? 0) + 1);
  return found;
};
