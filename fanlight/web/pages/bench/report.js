import { median } from './measure.js';
/**
 * @import { Manifest } from '../types.js'
 * @import { Timing, device, loading, slowest } from './measure.js'
 * @typedef {{ setting: string, median_ms: number | null, min_ms: number | null, rounds: number, runs: number,
 *   why: string, failure: string }} Row
 * @typedef {ReturnType<typeof device>} Device
 * @typedef {Awaited<ReturnType<typeof loading>>} Loading
 * @typedef {Awaited<ReturnType<typeof slowest>>} Kernels
 * @typedef {{ model: string, producer: string, precision: string, date: string, device: Device, threads: string,
 *   loading: Loading, rows: Row[], kernels: Kernels, notes: string[] }} Report
 */

/** @param {number} ms */
export const shown = (ms) => ms.toFixed(ms < 10 ? 2 : 1);
/** @param {number} bytes */
export const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;

/** @param {Timing} timing @returns {Row} */
export function row({ name, why, runs, samples, failure }) {
  const some = !failure && samples.length > 0;
  return {
    setting: name,
    median_ms: some ? Number(median(samples).toFixed(3)) : null,
    min_ms: some ? Number(Math.min(...samples).toFixed(3)) : null,
    rounds: samples.length,
    runs,
    why,
    failure,
  };
}

/** What a person reads of a device: [what, how]. @param {Device} facts @param {string} threads @returns {string[][]} */
export function facts(facts, threads) {
  const { browser, cores, memory_gb: memory, isolated, clock_ms: clock } = facts;
  return [
    ['Browser', browser],
    ['Cores', cores ? String(cores) : 'not told'],
    ...(memory ? [['Memory', `${memory} GB or more`]] : []),
    ['SIMD', facts.relaxed_simd ? 'yes, relaxed too' : facts.simd ? 'yes, not relaxed' : 'no'],
    ['Isolated', isolated ? 'yes' : 'no'],
    ['Threads', threads || `up to ${cores}`],
    ['Clock', clock ? `ticks every ${clock} ms` : 'not told'],
    ['Screen', facts.screen],
  ];
}

/** @param {Loading} found @returns {string[][]} */
export const loads = ({ cold_ms: cold, cached_ms: cached, bytes }) => [
  ['Module and weights', megabytes(bytes)],
  ['Load and first answer', cold === null ? 'no network' : `${shown(cold)} ms`],
  ['From the cache', cached === null ? 'not kept by this browser' : `${shown(cached)} ms`],
];

/** The end of a layer's path, which tells layers apart. @param {Kernels[number]} kernel */
export const short = ({ source, name }) => (source || name).split('/').slice(-2).join('/');

/** @param {Kernels[number]} kernel */
export const cells = ({ ms, share, gflops }) => [
  ms.toFixed(3), `${(100 * share).toFixed(0)} %`, gflops ? gflops.toFixed(1) : ''];

/** A text in a cell of a Markdown table. @param {unknown} value */
const cell = (value) => String(value).replaceAll('|', '\\|').replaceAll('\n', ' ');
/** @param {string[]} heads @param {unknown[][]} rows */
const table = (heads, rows) => [heads, heads.map(() => '---'), ...rows]
  .map((line) => `| ${line.map(cell).join(' | ')} |`).join('\n');

/** @param {Report} report */
export function markdown(report) {
  const { model, precision, producer, date, device, threads, loading, rows, kernels, notes } = report;
  return `${[
    `### Speed of ${model} (${precision}), ${producer}, ${date}`,
    table(['setting', 'median ms', 'fastest ms', 'rounds', 'runs', 'note'], rows.map((r) => [
      r.setting, r.median_ms === null ? '' : shown(r.median_ms), r.min_ms === null ? '' : shown(r.min_ms),
      r.rounds, r.runs, r.failure || r.why])),
    table(['loading', ''], loads(loading)),
    table(['kernel', 'op', 'ms', 'share', 'GFLOP/s'], kernels.map((k) => [short(k), k.op, ...cells(k)])),
    table(['device', ''], facts(device, threads)),
    ...notes,
  ].join('\n\n')}\n`;
}

/** @param {Manifest} manifest @param {Omit<Report, 'model' | 'producer' | 'precision' | 'date'>} found @returns {Report} */
export const report = ({ name, producer, precision }, found) => (
  { model: name, producer, precision, date: new Date().toISOString().slice(0, 10), ...found });
