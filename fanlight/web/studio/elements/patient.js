import { LitElement } from 'lit';

/** The browser's turn: it answers the visitor and draws before we go on. @returns {Promise<unknown>} */
export const turn = () => /** @type {any} */ (globalThis).scheduler?.yield?.() ?? new Promise((resolve) => setTimeout(resolve));

/**
 * An element that renders for the first time in a task of its own: a page that makes many at once would not answer
 * until the last of them is there.
 */
export class Patient extends LitElement {
  /** @override */
  async scheduleUpdate() {
    if (!this.hasUpdated) await turn();
    super.scheduleUpdate();
  }
}
