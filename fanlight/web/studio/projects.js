import { DEFAULTS } from './learning.js';
/**
 * @import { Heads } from './heads.js'
 * @import { MemoryStore } from './memory_store.js'
 * @import { Store } from './store.js'
 * @import { Project, Settings } from './types.js'
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
