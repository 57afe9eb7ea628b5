import { css, unsafeCSS } from 'lit';
import { Directive, directive } from 'lit/directive.js';
/** @import { ElementPart } from 'lit' */

const LIGHT = {
  ink: '#221e17', soft: '#655e4f', line: '#e2dccf', edge: '#938a78', paper: '#f8f5ee', card: '#fffdf9', well: '#f1ece1',
  accent: '#a8500a', 'accent-deep': '#8a4006', 'on-accent': '#fff', glow: '#e8912d', wash: '#fbecd8', good: '#2b6e3a',
  'good-wash': '#e5f2e4', bad: '#a3281c', 'bad-wash': '#fbe7e2', shadow: '60 42 14',
};
const DARK = {
  ink: '#f2ede2', soft: '#b9b09c', line: '#39342b', edge: '#857c6a', paper: '#181612', card: '#211e19', well: '#2b2720',
  accent: '#f3a94c', 'accent-deep': '#ffc27a', 'on-accent': '#241a0c', glow: '#e8912d', wash: '#3a2a14', good: '#8fd19a',
  'good-wash': '#1d3022', bad: '#ff9a8a', 'bad-wash': '#3d201b', shadow: '0 0 0',
};

/** A page may set `--fanlight-ink` and the like, as it may for `<fanlight-classifier>`. @param {Record<string, string>} palette */
const rules = (palette) => unsafeCSS(Object.entries(palette)
  .map(([name, color]) => `--${name}: var(--fanlight-${name}, ${color});`).join(' '));

/**
 * The palette and the measures, as custom properties of the whole document: `--ink`, `--soft` (second text),
 * `--line`, `--edge` (the outline of what is typed into), `--paper` < `--card` < `--well` (grounds), `--accent`,
 * `--glow`, `--wash` (a tinted ground), `--good`, `--bad`; `--s1` .. `--s6` (room), `--r1` .. `--r3` (corners).
 */
export const tokens = css`
  :where(:root) {
    color-scheme: light dark;
    ${rules(LIGHT)}
    --s1: 0.25rem; --s2: 0.5rem; --s3: 0.75rem; --s4: 1rem; --s5: 1.5rem; --s6: 2.5rem;
    --r1: 0.5rem; --r2: 0.75rem; --r3: 1.125rem;
    --touch: 2.75rem;
    --font: 1rem/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif;
    --lift: 0 1px 2px rgb(var(--shadow) / 0.06), 0 4px 16px rgb(var(--shadow) / 0.06);
    --float: 0 2px 6px rgb(var(--shadow) / 0.12), 0 12px 40px rgb(var(--shadow) / 0.22);
    --quick: 0.15s ease-out;
  }
  @media (prefers-color-scheme: dark) { :where(:root) { ${rules(DARK)} } }
  @media (prefers-reduced-motion: reduce) { :where(:root) { --quick: 0s; } }
`;
if (tokens.styleSheet && !document.adoptedStyleSheets.includes(tokens.styleSheet)) {
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, tokens.styleSheet];
}

/** Colours of classes, in the order in which they are given out: apart from each other on light and on dark. */
export const COLORS = ['#e8912d', '#3a87b8', '#5d9b4c', '#b0567f', '#7a6bc4', '#c9563c', '#2f9c95', '#a0833a', '#6d7f92', '#b56fc2'];

/**
 * What every element of Studio looks like: `static styles = [shared, css`...`]`.
 * Buttons: `class="primary"` (one of a view), `quiet` (no outline), `icon` (a square), `danger`. Grounds: `card`, `well`,
 * `note` (and `note bad`, `note good`). `chip`, `badge`, `bar` (its `--share` 0 to 1, its `--color`), `hidden-text`.
 */
export const shared = css`
  :host { display: block; color: var(--ink); font: var(--font); }
  :host([hidden]), [hidden] { display: none !important; }
  *, *::before, *::after { box-sizing: border-box; }
  h1, h2, h3, p, ul, ol, figure, dl, dd, fieldset { margin: 0; padding: 0; border: 0; }
  ul, ol { list-style: none; }
  h2 { font-size: 1.25rem; line-height: 1.25; letter-spacing: -0.01em; }
  h3 { font-size: 1rem; line-height: 1.3; }
  a { color: var(--accent); }
  img, video, canvas { display: block; max-width: 100%; }
  svg { width: 1.375rem; height: 1.375rem; flex: none; fill: none; stroke: currentColor; stroke-width: 1.75;
    stroke-linecap: round; stroke-linejoin: round; }
  .soft { color: var(--soft); }
  .small { font-size: 0.875rem; line-height: 1.4; }
  .number { font-variant-numeric: tabular-nums; }
  .row { display: flex; flex-wrap: wrap; align-items: center; gap: var(--s2); }
  .grow { flex: 1; min-width: 0; }
  .stack { display: grid; grid-template-columns: minmax(0, 1fr); gap: var(--s3); }
  .break, p { overflow-wrap: anywhere; }
  .hidden-text { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }

  :focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
  :focus:not(:focus-visible) { outline: none; }

  button, .button, select, input, textarea { font: inherit; color: inherit; }
  button, .button {
    display: inline-flex; align-items: center; justify-content: center; gap: var(--s2);
    min-height: var(--touch); padding: 0.375rem var(--s4);
    border: 1px solid var(--edge); border-radius: var(--r2);
    background: var(--card); line-height: 1.2; text-align: center; text-decoration: none; cursor: pointer;
    transition: background-color var(--quick), border-color var(--quick), transform var(--quick);
    touch-action: manipulation; -webkit-tap-highlight-color: transparent;
  }
  button:hover, .button:hover { background: var(--well); }
  button:active, .button:active { transform: translateY(1px); }
  button.primary, .button.primary { border-color: transparent; background: var(--accent); color: var(--on-accent); font-weight: 600; }
  button.primary:hover, .button.primary:hover { background: var(--accent-deep); }
  button.big, .button.big { min-height: 3.25rem; font-size: 1.0625rem; }
  button.quiet { border-color: transparent; background: transparent; }
  button.quiet:hover { background: var(--well); }
  button.icon { width: var(--touch); padding: 0; }
  button.danger { color: var(--bad); }
  button[aria-pressed='true'] { border-color: var(--accent); background: var(--wash); color: var(--accent); font-weight: 600; }
  button:disabled, button[aria-disabled='true'] {
    border-color: transparent; background: var(--well); color: var(--soft); cursor: not-allowed; transform: none; font-weight: 500;
  }

  input:not([type]), input[type='text'], input[type='number'], input[type='search'], select, textarea {
    min-height: var(--touch); min-width: 0; padding: 0.375rem var(--s3);
    border: 1px solid var(--edge); border-radius: var(--r2); background: var(--card);
  }
  input[aria-invalid='true'] { border-color: var(--bad); }
  input[type='checkbox'], input[type='radio'] { width: 1.25rem; height: 1.25rem; margin: 0; accent-color: var(--accent); }
  input[type='range'] { width: 100%; min-height: var(--touch); margin: 0; accent-color: var(--accent); }
  /* Firefox's own are grey on white, on dark ground, too. */
  @supports selector(input::-moz-range-track) {
    @media (forced-colors: none) {
      input[type='range'] { background: transparent; }
      input::-moz-range-track { height: 0.375rem; border-radius: 1rem; background: color-mix(in srgb, var(--edge) 45%, transparent); }
      input::-moz-range-progress { height: 0.375rem; border-radius: 1rem; background: var(--accent); }
      input::-moz-range-thumb { width: 1.125rem; height: 1.125rem; border: 0; border-radius: 50%; background: var(--accent); }
      input:disabled::-moz-range-progress, input:disabled::-moz-range-thumb { background: var(--edge); }
    }
  }
  label { display: inline-flex; align-items: center; gap: var(--s2); }

  .card { padding: var(--s4); border: 1px solid var(--line); border-radius: var(--r3); background: var(--card); box-shadow: var(--lift); }
  .well { padding: var(--s3) var(--s4); border-radius: var(--r2); background: var(--well); }
  .note { padding: var(--s2) var(--s3); border-radius: var(--r2); background: var(--wash); overflow-wrap: anywhere; }
  .note.bad { background: var(--bad-wash); color: var(--bad); }
  .note.good { background: var(--good-wash); color: var(--good); }
  .chip { display: inline-flex; align-items: center; gap: var(--s2); min-height: var(--touch); padding: 0 var(--s3);
    border: 1px solid var(--line); border-radius: 10rem; background: var(--card); }
  .badge { display: inline-flex; align-items: center; gap: var(--s1); padding: 0 var(--s2); border-radius: 10rem;
    background: var(--well); font-size: 0.8125rem; line-height: 1.5rem; font-variant-numeric: tabular-nums; white-space: nowrap; }
  .dot { width: 0.875rem; height: 0.875rem; flex: none; border-radius: 50%; background: var(--color, var(--glow)); }
  .bar { height: 0.5rem; overflow: hidden; border-radius: 1rem; background: var(--well); }
  .bar::before { content: ''; display: block; height: 100%; border-radius: inherit; background: var(--color, var(--glow));
    transform: scaleX(var(--share, 0)); transform-origin: 0 50%; transition: transform var(--quick); }
  @media (forced-colors: active) { .bar, .dot { border: 1px solid; } .bar::before, .dot { forced-color-adjust: none; } button[aria-pressed='true'] { outline: 2px solid Highlight; outline-offset: -4px; } }
  @media (prefers-reduced-motion: reduce) { *, *::before, *::after { animation: none !important; scroll-behavior: auto !important; } }
`;

class Vars extends Directive {
  /** @param {Record<string, string | number>} _values */
  render(_values) {}

  /** @override @param {ElementPart} part @param {[Record<string, string | number>]} values */
  update({ element }, [values]) {
    const { style } = /** @type {HTMLElement} */ (element);
    for (const [name, value] of Object.entries(values)) style.setProperty(name, `${value}`);
  }
}

/**
 * Sets CSS properties of an element: `<div ${vars({ '--share': 0.5, '--color': color })}>`. A `style` attribute, and with
 * it Lit's `styleMap`, is refused by the policy of our pages.
 */
export const vars = directive(Vars);
