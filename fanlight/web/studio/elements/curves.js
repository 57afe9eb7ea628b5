import { css, html } from 'lit';
import uPlot from 'uplot';
import sheet from 'uplot/dist/uPlot.min.css';
import { shared, vars } from './theme.js';
import { percent } from './figures.js';
import { Patient } from './patient.js';
/** @import { PropertyValues } from 'lit' */

const HEIGHT = 190;

/** @type {{ id: string, title: string, keys: [string, string], text: (v: number) => string }[]} */
const CHARTS = [
  { id: 'accuracy', title: 'How often it is right', keys: ['accuracy', 'val_accuracy'], text: percent },
  { id: 'loss', title: 'How far off it is', keys: ['loss', 'val_loss'], text: (v) => v.toFixed(3) },
];
const LINES = ['Photos it learns from', 'Photos kept for checking'];

/** The newest number that there is. @param {number[] | undefined} values */
const last = (values) => values?.findLast(Number.isFinite);

/** uPlot's own rules, in the shadow of the element as the policy of our pages wants it. */
const plotSheet = new CSSStyleSheet();
plotSheet.replaceSync(sheet);

/**
 * `<fl-curves>`: how a training goes, epoch by epoch: accuracy and loss, of what is learnt from and of what is kept
 * for checking. The same is beside the curves in words.
 *
 * - `history`: as of a `Run`: { loss, accuracy, val_loss, val_accuracy }, a number per epoch
 * - `epochs`: how many there will be (the width of the curves)
 */
export class Curves extends Patient {
  /** @override */
  static properties = { history: { attribute: false }, epochs: { type: Number }, _at: { state: true } };

  /** @override */
  static styles = [shared, css`
    .charts { display: grid; gap: var(--s4); grid-template-columns: minmax(0, 1fr); }
    @container (min-width: 40rem) { .charts { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); } }
    :host { container-type: inline-size; }
    figure { display: grid; gap: var(--s2); align-content: start; }
    .plot { height: ${HEIGHT}px; overflow: hidden; }
    .uplot, .u-wrap { max-width: 100%; }
    .u-select { background: none; }
    .u-cursor-x { border-color: var(--soft); }
    .key { display: flex; flex-wrap: wrap; gap: 0 var(--s4); }
    .key li { display: inline-flex; align-items: center; gap: var(--s2); }
    .line { width: 1.25rem; height: 0; border-top: 3px solid var(--color); border-radius: 2px; }
    .line.dashed { border-top-style: dashed; }
  `];

  /** @type {Map<string, { plot: uPlot, box: HTMLElement }>} */
  #plots = new Map();
  #sizes = new ResizeObserver(() => this.#resize());
  #dark = matchMedia('(prefers-color-scheme: dark)');
  #repaint = () => {
    this.#drop();
    this.requestUpdate();
  };

  constructor() {
    super();
    /** @type {Record<string, number[]>} */
    this.history = {};
    this.epochs = 0;
    /** The epoch under the pointer. @type {number | null} */
    this._at = null;
  }

  /** @override */
  createRenderRoot() {
    const root = super.createRenderRoot();
    if (root instanceof ShadowRoot) root.adoptedStyleSheets = [plotSheet, ...root.adoptedStyleSheets];
    return root;
  }

  /** @override */
  connectedCallback() {
    super.connectedCallback();
    this.#sizes.observe(this);
    this.#dark.addEventListener('change', this.#repaint);
    this.requestUpdate();
  }

  /** @override */
  disconnectedCallback() {
    super.disconnectedCallback();
    this.#sizes.disconnect();
    this.#dark.removeEventListener('change', this.#repaint);
    this.#drop();
  }

  #drop() {
    for (const { plot } of this.#plots.values()) plot.destroy();
    this.#plots.clear();
  }

  #resize() {
    for (const { plot, box } of this.#plots.values()) {
      const width = Math.floor(box.clientWidth);
      if (width > 0 && width !== plot.width) plot.setSize({ width, height: HEIGHT });
    }
  }

  /** @param {string} name */
  #color(name) {
    return getComputedStyle(this).getPropertyValue(`--${name}`).trim() || '#888';
  }

  /** Epochs from 1 on, and a row of numbers for each line. @param {[string, string]} keys @returns {uPlot.AlignedData} */
  #data(keys) {
    const length = Math.max(0, ...keys.map((key) => this.history[key]?.length ?? 0));
    const x = Array.from({ length }, (_, i) => i + 1);
    return [x, ...keys.map((key) => x.map((_, i) => this.history[key]?.[i] ?? null))];
  }

  /** @param {typeof CHARTS[number]} chart @param {HTMLElement} box */
  #make({ id, keys, text }, box) {
    const axis = {
      stroke: this.#color('soft'), grid: { stroke: this.#color('line'), width: 1 }, ticks: { show: false },
      font: '12px system-ui, sans-serif',
    };
    const ink = [this.#color('soft'), this.#color('accent')];
    const plot = new uPlot({
      width: Math.max(120, Math.floor(box.clientWidth)),
      height: HEIGHT,
      padding: [10, 10, 0, 0],
      legend: { show: false },
      cursor: { drag: { setScale: false, x: false, y: false }, sync: { key: 'fl-curves' }, y: false },
      scales: {
        x: { time: false, range: () => [1, Math.max(2, this.epochs, this.history[keys[0]]?.length ?? 0)] },
        y: { range: (_, _min, max) => (id === 'accuracy' ? [0, 1] : [0, Number.isFinite(max) && max > 0 ? max * 1.08 : 1]) },
      },
      axes: [
        { ...axis, space: 48, size: 26, gap: 4, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500],
          values: (_, splits) => splits.map(String) }, // its own way wakes Intl
        { ...axis, size: 48, gap: 4, space: 36,
          values: (_, splits) => splits.map((v) => (id === 'accuracy' ? percent(v) : String(Math.round(v * 1e4) / 1e4))) },
      ],
      series: [
        {},
        ...LINES.map((label, i) => ({
          label, stroke: ink[i], width: i ? 2.5 : 2, dash: i ? undefined : [5, 4], spanGaps: true,
          value: (/** @type {uPlot} */ _, /** @type {number} */ v) => text(v), points: { show: this.epochs < 12, size: 6 },
        })),
      ],
      hooks: { setCursor: [({ cursor }) => { this._at = cursor.idx ?? null; }] },
    }, this.#data(keys), box);
    this.#plots.set(id, { plot, box });
  }

  /** @override @param {PropertyValues} changed */
  updated(changed) {
    if (!this.isConnected) return;
    for (const chart of CHARTS) {
      const box = /** @type {HTMLElement} */ (this.renderRoot.querySelector(`#${chart.id}`));
      const { plot } = this.#plots.get(chart.id) ?? {};
      if (!plot) this.#make(chart, box);
      else if (changed.has('history') || changed.has('epochs')) plot.setData(this.#data(chart.keys));
    }
  }

  /** What the curves show, in words. @param {typeof CHARTS[number]} chart */
  #words({ keys, text }) {
    const done = this.history[keys[0]]?.length ?? 0;
    if (!done) return 'Nothing learnt yet.';
    const [own, other] = keys.map((key) => last(this.history[key]));
    const rounds = `after ${done} of ${Math.max(done, this.epochs)} rounds`;
    return `${own === undefined ? '' : `${text(own)} on photos it learns from`}${
      other === undefined ? '' : `, ${text(other)} on photos kept for checking`}, ${rounds}.`;
  }

  /** The numbers of a line: under the pointer, or the newest. @param {string} key @param {(v: number) => string} text */
  #number(key, text) {
    const value = this._at === null ? last(this.history[key]) : this.history[key]?.[this._at];
    return Number.isFinite(value) ? text(/** @type {number} */ (value)) : '–';
  }

  /** @override */
  render() {
    const checked = Boolean(this.history.val_loss?.length);
    return html`<div class="charts">${CHARTS.map((chart) => html`
      <figure>
        <figcaption><h3>${chart.title}</h3></figcaption>
        <div class="plot" id=${chart.id} role="img" aria-label="${chart.title}: ${this.#words(chart)}"></div>
        <ul class="key small">${LINES.slice(0, checked ? 2 : 1).map((line, i) => html`
          <li><span class="line ${i ? '' : 'dashed'}" ${vars({ '--color': i ? 'var(--accent)' : 'var(--soft)' })}></span>
            <span class="soft">${line}</span> <strong class="number">${this.#number(chart.keys[i], chart.text)}</strong></li>`)}
        </ul>
      </figure>`)}</div>`;
  }
}

customElements.define('fl-curves', Curves);
