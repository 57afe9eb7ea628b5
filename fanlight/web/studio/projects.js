import { fail } from '../runtime/errors.js';
import { DEFAULTS } from './learning.js';
import { color as isColor, wrong } from './rules.js';
/**
 * @import { Heads } from './heads.js'
 * @import { MemoryStore } from './memory_store.js'
 * @import { Store } from './store.js'
 * @import { ClassInfo, Project, Settings } from './types.js'
 */

/** An id that no class of any project has. */
export const classId = () => `c${crypto.getRandomValues(new Uint32Array(2)).join('')}`;

/** Of classes, in the order in which they are made. */
export const COLORS = ['#c2560c', '#1f6f8b', '#5b7f1e', '#8e3b8a', '#b08900', '#2f5fb3', '#a8324a', '#3c7d62', '#7a5c3e', '#5f5aa2'];

/** @param {Store | MemoryStore} store @param {Heads} heads @param {string} name @returns {Promise<Project>} */
export const create = (store, heads, name) => store.create(name, {
  form: heads.file.backbone.form,
  settings: structuredClone(DEFAULTS),
  classes: [1, 2].map((n) => ({ id: classId(), name: `Class ${n}`, color: COLORS[n - 1] })),
});

/** Settings of a head that there is. @param {Heads} heads @param {Settings} settings */
export const known = (heads, settings) => (
  heads.file.heads.some((h) => h.head === settings.head && h.unfreeze === (settings.head === 'linear' ? settings.unfreeze : 0))
    ? settings : { ...settings, head: /** @type {const} */ ('linear'), unfreeze: 0 });

const NAME_MOST = 80;

/** A name as it is kept: cut, where it is too long. @param {string} given */
export const clean = (given) => spaced(given).slice(0, NAME_MOST).trim();

/** One form of each letter, as folders of another system may not have it, and single spaces. @param {string} given */
const spaced = (given) => String(given).normalize('NFC').replace(/\s+/g, ' ').trim();

/** A name that no other class has. @param {string} given @param {ClassInfo[]} classes @param {string} [own] */
export const nameFor = (given, classes, own) => {
  const name = spaced(given);
  if (!name || name.length > NAME_MOST) {
    fail('E-STUDIO-020', name ? 'This name is too long.' : 'A class needs a name.', { expected: `1 to ${NAME_MOST} characters`, received: name.slice(0, 99) });
  }
  if (classes.some((c) => c.id !== own && c.name === name)) {
    fail('E-STUDIO-020', 'There is a class of this name already.', { received: name, next: 'choose another name' });
  }
  return name;
};

/** @param {string} color what a class has */
export const paint = (color) => {
  const found = wrong({ color: isColor }, { color });
  if (found) fail('E-STUDIO-003', 'This is no colour.', found);
};
