import { LitElement, css, html } from 'lit';
import { shared } from './theme.js';

/** `<fanlight-studio src="./">`: the whole of Studio. */
export class FanlightStudio extends LitElement {
  /** @override */
  static styles = [shared, css`
    main { display: grid; gap: var(--s4); grid-template-columns: minmax(0, 1fr); }
  `];

  /** @override */
  render() {
    return html`<main></main>`;
  }
}

customElements.define('fanlight-studio', FanlightStudio);
