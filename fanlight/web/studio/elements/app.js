import { LitElement, html } from 'lit';

/** `<fanlight-studio src="./">`: the whole of Studio. */
export class FanlightStudio extends LitElement {
  /** @override */
  render() {
    return html`<main></main>`;
  }
}

customElements.define('fanlight-studio', FanlightStudio);
