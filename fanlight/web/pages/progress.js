/** How far back the speed is measured, in ms: a line that is slow at first is not slow for ever. */
const SPAN = 3000;

/** @param {number} seconds */
const about = (seconds) => (seconds < 90 ? `about ${Math.ceil(seconds)} s left`
  : `about ${Math.round(seconds / 60)} min left`);

/**
 * Words for a download, such as "3.1 of 9.4 MB, about 4 s left". The time is left out until it can be
 * told (half a second), and when it is less than a second.
 * @param {() => number} [now] the time in ms
 * @returns {(progress: { loaded: number, total: number }) => string} in bytes
 */
export const tellProgress = (now = () => performance.now()) => {
  /** @type {[number, number][]} */
  const seen = [];
  return ({ loaded, total }) => {
    const time = now();
    seen.push([time, loaded]);
    // The first one that counts is at least as old as the span.
    while (seen.length > 2 && seen[1][0] <= time - SPAN) seen.shift();
    const [since, before] = seen[0];
    const [unit, name] = total < 1e6 ? [1e3, 'kB'] : [1e6, 'MB'];
    /** @param {number} bytes */
    const told = (bytes) => (unit === 1e6 ? (bytes / unit).toFixed(1) : String(Math.round(bytes / unit)));
    const text = `${told(loaded)} of ${told(total)} ${name}`;
    const left = (total - loaded) * (time - since) / (loaded - before) / 1000;
    return time - since >= 500 && left >= 1 && left < 36e3 ? `${text}, ${about(left)}` : text;
  };
};
