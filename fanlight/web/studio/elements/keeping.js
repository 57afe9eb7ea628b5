/**
 * @import { Camera } from '../camera.js'
 * @import { Settings } from '../types.js'
 * @import { Session } from './session.js'
 */

/** Milliseconds after which nobody turns a knob any more. */
const CALM = 300;

/** Settings that are not kept yet. @type {WeakMap<Session, { changes: Partial<Settings>, timer: number }>} */
const pending = new WeakMap();

/** The settings of a session, with those that are being chosen. @param {Session} session @returns {Settings} */
export const settingsOf = (session) => ({ ...session.settings, ...pending.get(session)?.changes });

/**
 * Keep what is being chosen now, as before a training.
 * @param {Session} session
 */
export const settle = async (session) => {
  const waiting = pending.get(session);
  if (!waiting) return;
  clearTimeout(waiting.timer);
  try {
    await session.configure(waiting.changes);
  } finally {
    // What was chosen meanwhile waits for its own turn.
    if (pending.get(session) === waiting) pending.delete(session);
  }
};

/**
 * Change settings of a session: they hold at once for `settingsOf`, and are kept once nobody turns a knob any more.
 * @param {Session} session @param {Partial<Settings>} changes
 */
export const keepSettings = (session, changes) => {
  const before = pending.get(session);
  clearTimeout(before?.timer);
  const timer = setTimeout(() => {
    settle(session).catch((error) => session.dispatchEvent(new CustomEvent('problem', { detail: error })));
  }, CALM);
  pending.set(session, { changes: { ...before?.changes, ...changes }, timer });
};

/**
 * Whether a camera's picture is a mirror, in each room: what is tried is seen as what was taught.
 * @param {Session | null} session @param {Camera | null} camera
 */
export const mirrored = (session, camera) => (session && settingsOf(session).mirror) ?? camera?.front ?? true;
