import { css, html } from 'lit';
import { Images } from '../images.js';
import { Patient } from './patient.js';
import { shared } from './theme.js';
/**
 * @import { PropertyValues } from 'lit'
 * @import { Augment } from '../types.js'
 * @import { Teacher } from './teacher.js'
 */

const SIZE = 112;
const EACH = 3;
const PHOTOS = 2;

/**
 * `<fl-preview>`: photos of the session as altered copies of them will be.
 *
 * - `session`, `augment`, `seed`
 */
export class Preview extends Patient {
  /** @override */
  static properties = { session: { attribute: false }, augment: { attribute: false }, seed: { type: Number }, _count: { state: true } };

  /** @override */
  static styles = [shared, css`
    ul { display: grid; grid-template-columns: repeat(auto-fill, minmax(4.5rem, 1fr)); gap: var(--s2); max-width: 46rem; }
    canvas { width: 100%; aspect-ratio: 1; border-radius: var(--r1); background: var(--well); }
  `];

  #turn = 0;
  #waiting = 0;

  constructor() {
    super();
    /** @type {Teacher | null} */
    this.session = null;
    /** @type {Augment | undefined} */
    this.augment = undefined;
    this.seed = 0;
    this._count = 0;
  }

  /** @override */
  disconnectedCallback() {
    super.disconnectedCallback();
    clearTimeout(this.#waiting);
    this.#turn++;
  }

  /** @override @param {PropertyValues} changed */
  updated(changed) {
    if (!['session', 'augment', 'seed'].some((name) => changed.has(name))) return;
    clearTimeout(this.#waiting); // a slider says many numbers
    this.#waiting = setTimeout(() => this.#draw().catch(() => {}), changed.has('session') ? 0 : 80);
  }

  /** One photo of each class, of the first classes. */
  #photos() {
    const { examples = [], classes = [] } = this.session ?? {};
    const found = classes.map(({ id }) => examples.find((e) => e.class === id && !e.held));
    return found.filter((e) => e !== undefined).slice(0, PHOTOS);
  }

  async #draw() {
    const { session, augment, seed } = this;
    const turn = ++this.#turn;
    const photos = this.#photos();
    this._count = photos.length * EACH;
    if (!session || !augment || !photos.length) return;
    await this.updateComplete;
    for (const [i, { id }] of photos.entries()) {
      const photo = await session.photo(id);
      const copies = await Images.shared.copies(photo, augment, { seed: seed + i, count: EACH, size: SIZE });
      copies.forEach((copy, j) => {
        const canvas = turn === this.#turn ? this.renderRoot.querySelectorAll('canvas')[i * EACH + j] : null;
        canvas?.getContext('2d')?.drawImage(copy, 0, 0, SIZE, SIZE);
        copy.close();
      });
      if (turn !== this.#turn) return;
    }
  }

  /** @override */
  render() {
    if (!this.#photos().length) return html`<p class="soft small">Once there are photos, you see here how they change.</p>`;
    return html`<ul aria-label="Altered copies of your photos">${Array.from({ length: this.#photos().length * EACH }, (_, i) => html`
      <li><canvas width=${SIZE} height=${SIZE} role="img" aria-label="Altered copy ${i + 1}"></canvas></li>`)}</ul>`;
  }
}

customElements.define('fl-preview', Preview);
