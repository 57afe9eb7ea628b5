/**
 * What may be kept of a project: the same whether it is set in the page or comes in a file.
 * @typedef {((value: any) => boolean) & { says?: string }} Test says: what is allowed, in words
 */

/** @param {string} says @param {(value: any) => boolean} test @returns {Test} */
const rule = (says, test) => Object.assign(test, { says });

/** @param {number} low @param {number} high */
export const number = (low, high) => rule(`a number from ${low} to ${high}`, (v) => Number.isFinite(v) && v >= low && v <= high);
/** @param {number} low @param {number} high */
export const whole = (low, high) => rule(`a whole number from ${low} to ${high}`, (v) => Number.isInteger(v) && v >= low && v <= high);
/** @param {string[]} words */
export const oneOf = (...words) => rule(words.join(', '), (v) => words.includes(v));
export const share = number(0, 1);

/** Of a class. */
export const color = rule('a colour such as #1f6f8b', (v) => typeof v === 'string' && /^#[0-9a-f]{6}$/i.test(v));

/** How is learnt. */
export const SETTINGS = {
  head: oneOf('linear', 'hidden', 'neighbours'), unfreeze: whole(0, 1000), epochs: whole(1, 100_000), batchSize: whole(1, 100_000),
  learningRate: number(0, 1000), schedule: oneOf('constant', 'cosine', 'step'), validationSplit: share, patience: whole(0, 100_000),
  neighbours: whole(1, 100_000), threshold: share, mirror: rule('true or false, or not there', (v) => v === undefined || typeof v === 'boolean'),
  seed: rule('a whole number', (v) => Number.isSafeInteger(v)),
  augment: { copies: whole(0, 100), rotate: number(0, 360), shift: share, zoom: share,
    flip: rule('true or false', (v) => typeof v === 'boolean'), brightness: share },
};

/**
 * The first of some values that may not be, if there is one.
 * @param {Record<string, any>} rules @param {Record<string, any>} values @param {string} [within]
 * @returns {{ where: string, expected: unknown, received: string } | undefined}
 */
export const wrong = (rules, values, within = '') => {
  for (const [name, value] of Object.entries(values)) {
    const where = within + name;
    const test = Object.hasOwn(rules, name) ? rules[name] : undefined;
    const received = String(JSON.stringify(value)).slice(0, 99);
    if (!test) return { where, expected: Object.keys(rules), received: name };
    if (typeof test === 'function') {
      if (!test(value)) return { where, expected: test.says, received };
    } else {
      const found = Object(value) === value ? wrong(test, value, `${where}.`) : { where, expected: Object.keys(test), received };
      if (found) return found;
    }
  }
  return undefined;
};
