import { said } from '../fanlight.js';
import { device, loading, pause, settings, slowest, timings, whyOneThread } from './measure.js';
import { cells, facts, loads, markdown, report, row, short, shown } from './report.js';
/** @import { Manifest } from '../types.js' @import { Report } from './report.js' */

/** @param {string} id @returns {any} */
const at = (id) => document.getElementById(id);

/**
 * Fill a table: its first cell of each row is the row's heading, figures stand to the right.
 * @param {string} id @param {{ head: string, more?: string, cells: string[], best?: boolean, words?: boolean }[]} rows
 */
function fill(id, rows) {
  const table = at(id);
  table.tBodies[0].replaceChildren(...rows.map(({ head, more, cells: texts, best, words }) => {
    const line = document.createElement('tr');
    if (best) line.className = 'best';
    const heading = document.createElement('th');
    heading.scope = 'row';
    heading.textContent = head;
    if (more) {
      const small = document.createElement('small');
      small.textContent = more;
      heading.append(small);
    }
    line.append(heading);
    for (const text of texts) {
      const cell = line.insertCell();
      cell.textContent = text;
      if (!words) cell.className = 'figure';
    }
    return line;
  }));
  table.hidden = rows.length === 0;
}

/** @param {string} words */
const say = (words) => {
  at('state').textContent = words;
};

/** @param {number} share @param {string} words */
function progress(share, words) {
  at('progress').value = share;
  say(words);
}

/** Put a text where it can be pasted from, or where a person can copy it. @param {string} text */
async function copy(text) {
  const area = at('text');
  area.hidden = true;
  try {
    await navigator.clipboard.writeText(text); // missing on plain http, and it may be refused
    say('Copied.');
  } catch {
    area.value = text;
    area.hidden = false;
    area.focus();
    area.select();
    say('This browser does not let a page copy: the figures are below, selected.');
  }
}

/** @param {Report} found */
function show({ rows, loading: times, kernels, notes }) {
  const ran = rows.filter(({ median_ms: ms }) => ms !== null);
  const least = Math.min(...ran.map(({ median_ms: ms }) => Number(ms)));
  fill('speed', rows.map(({ setting, median_ms: middle, min_ms: min, runs, why, failure }, i) => ({
    head: setting,
    more: failure ? `did not run: ${failure}` : i ? '' : why,
    best: middle === least,
    cells: middle === null ? ['', '', ''] : [shown(middle), shown(Number(min)), String(runs)],
  })));
  fill('loading', loads(times).map(([head, ...texts]) => ({ head, cells: texts, words: true })));
  fill('kernels', kernels.map((k) => ({ head: short(k), more: k.op, cells: cells(k) })));
  say(['Done.', ...notes].join(' '));
}

/** @param {Manifest} manifest @param {AbortSignal} signal @returns {Promise<Report>} */
async function measure(manifest, signal) {
  const facts = device();
  const threads = whyOneThread(manifest, facts);
  let hidden = document.hidden;
  const notice = () => {
    hidden ||= document.hidden;
  };
  document.addEventListener('visibilitychange', notice);
  try {
    progress(0, 'Loading');
    const times = await loading(manifest, signal);
    const list = settings(manifest, threads ? 1 : facts.cores ?? 1);
    const found = await timings(manifest, list, {
      signal,
      done: (share, words) => progress(0.1 + 0.8 * share, `Measuring: ${words}`),
    });
    const rows = found.map(row);
    const best = rows.reduce((least, { median_ms: ms }, i) => (
      ms !== null && ms < (rows[least].median_ms ?? Infinity) ? i : least), 0);
    progress(0.95, 'Timing each kernel');
    const kernels = await slowest(manifest, list[best], signal);
    const notes = hidden ? ['The page was in the background for a while: measure again in front.'] : [];
    return report(manifest, { device: facts, threads, loading: times, rows, kernels, notes });
  } finally {
    document.removeEventListener('visibilitychange', notice);
  }
}

/** @type {AbortController | undefined} */
let running;
/** @type {Report | undefined} */
let latest;

/** @param {Manifest} manifest */
async function start(manifest) {
  if (running) {
    running.abort(new Error('stopped'));
    return;
  }
  running = new AbortController();
  at('start').textContent = 'Stop';
  at('progress').hidden = false;
  at('text').hidden = true;
  for (const id of ['markdown', 'json']) at(id).hidden = true;
  try {
    await pause(50); // lets the page paint first
    latest = await measure(manifest, running.signal);
    show(latest);
    dispatchEvent(new CustomEvent('fanlight-ready'));
    for (const id of ['markdown', 'json']) at(id).hidden = false;
  } catch (error) {
    say(running.signal.aborted ? 'Stopped.' : said(error));
    dispatchEvent(new CustomEvent('fanlight-error', { detail: error }));
  } finally {
    running = undefined;
    at('progress').hidden = true;
    at('start').textContent = 'Measure again';
  }
}

try {
  const response = await fetch('../manifest.json', { cache: 'no-cache' });
  if (!response.ok) throw new Error(`manifest.json: HTTP ${response.status}`);
  /** @type {Manifest} */
  const manifest = await response.json();
  const found = device();
  const list = facts(found, whyOneThread(manifest, found));
  fill('device', list.map(([head, ...texts]) => ({ head, cells: texts, words: true })));
  say('Ready. It takes under a minute; keep this page in front.');
  at('start').disabled = false;
  at('start').onclick = () => start(manifest);
  at('markdown').onclick = () => latest && copy(markdown(latest));
  at('json').onclick = () => latest && copy(`${JSON.stringify(latest, null, 1)}\n`);
} catch (error) {
  say(said(error));
}
