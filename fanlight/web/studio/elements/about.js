import { LitElement, css, html, nothing } from 'lit';
import '../../runtime/diagnostics.js';
import './dialog.js';
import { shared } from './theme.js';
import { bytes, count } from './words.js';
/**
 * @import { FanlightDiagnostics, Known } from '../../runtime/diagnostics.js'
 * @import { FlDialog } from './dialog.js'
 * @import { Session } from './session.js'
 */

/** How far the kept projects are from being cleared away. @param {Session} session @returns {Promise<string>} */
const kept = async ({ store }) => {
  if (!store || store.keeps === false) return 'nowhere: gone with the page';
  const { used, quota, persisted } = await store.usage();
  return `in this browser, ${persisted ? 'for good' : 'until it needs the room'}; ${bytes(used)} of ${bytes(quota)}`;
};

/**
 * What a report of a fault tells of a session: numbers and forms; no name, no photo.
 * @param {Session} session @returns {Promise<[string, unknown][]>}
 */
const told = async (session) => {
  const { backbone, classes, examples, heads, project, settings, trained, waiting } = session;
  const last = project.runs.at(-1);
  return [
    ['backbone', backbone && `${backbone.name}, ${backbone.size.join(' x ')}, form ${backbone.form}`],
    ['heads', heads.map(({ id, bytes: size }) => `${id} ${bytes(size)}`).join(', ')],
    ['settings', JSON.stringify(settings)],
    ['project', `${count(classes.length, 'class', 'classes')}, ${count(examples.length, 'photo')}, ${waiting ?? 0} of them not looked at yet`],
    ['learnt', !trained ? 'nothing yet' : last && `${count(project.runs.length, 'time')}, the last on ${count(last.examples, 'photo')} in ${
      last.seconds.toFixed(1)} s, ${last.stopped}`],
    ['kept', await kept(session).catch((error) => `not to be had: ${error?.message ?? error}`)],
  ];
};

/**
 * An error of Studio without what is the visitor's own: where, and what was expected, may be names of classes or files.
 * @param {any} error
 */
const plainly = (error) => (!error?.code?.startsWith('E-STUDIO') ? error
  : `${error.code}  ${error.reason}${error.code === 'E-STUDIO-030' ? `\n  received: ${error.received}` : ''}`);

/**
 * `<fl-about heading="About Studio">`: which model sees, what was chosen and why, and a report to copy into a bug report.
 * `show(errors)`.
 */
export class FlAbout extends LitElement {
  /** @override */
  static properties = { session: { attribute: false }, heading: {}, known: { state: true } };

  /** @override */
  static styles = [shared, css`
    .stack { gap: var(--s4); }
    fanlight-diagnostics { color: var(--ink); }
  `];

  constructor() {
    super();
    /** @type {Session | null} */
    this.session = null;
    this.heading = '';
    /** @type {Known | null} */
    this.known = null;
  }

  /** @param {unknown[]} [errors] that came lately */
  async show(errors = []) {
    const { session } = this;
    this.known = { model: await session?.opened?.(), errors: errors.map(plainly), more: session ? await told(session) : [] };
    await this.updateComplete;
    await /** @type {FlDialog | null} */ (this.renderRoot.querySelector('fl-dialog'))?.show();
    await /** @type {FanlightDiagnostics | null} */ (this.renderRoot.querySelector('fanlight-diagnostics'))?.refresh();
  }

  /** @override */
  render() {
    const { known, session } = this;
    const { backbone } = session ?? {};
    const info = known?.model?.info;
    return html`
      <fl-dialog heading=${this.heading}>
        <div class="stack">
          <p>${backbone ? html`It sees with <b>${backbone.name}</b>${info ? `, computed by ${info.backend} with ${count(info.threads, 'thread')}: ${info.why}` : nothing}. ` : nothing}
            Photos and what is learnt from them stay on this device.</p>
          <p class="soft">Something goes wrong? Copy this report and send it to whoever runs this page. No photo and no name is in it, and it is sent nowhere by itself.</p>
          <fanlight-diagnostics .known=${known ?? {}}></fanlight-diagnostics>
        </div>
      </fl-dialog>`;
  }
}

customElements.define('fl-about', FlAbout);
