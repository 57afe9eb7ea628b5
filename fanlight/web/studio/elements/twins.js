/** @import { Example, Pair } from '../types.js' */

/**
 * Photos that look alike, as groups: each in the order in which they came, so that the first is the one to keep.
 * @param {Pair[]} pairs @param {Example[]} examples those that are left out are in no group
 * @returns {Example[][]}
 */
export const groups = (pairs, examples) => {
  const byId = new Map(examples.map((one) => [one.id, one]));
  /** @type {Map<string, string>} */
  const above = new Map();
  /** @param {string} id @returns {string} */
  const top = (id) => {
    let at = id;
    for (let next = above.get(at); next !== undefined; next = above.get(at)) at = next;
    if (at !== id) above.set(id, at);
    return at;
  };
  for (const { a, b } of pairs) {
    if (!byId.has(a) || !byId.has(b)) continue;
    const [one, two] = [top(a), top(b)];
    if (one !== two) above.set(two, one);
  }
  /** @type {Map<string, Example[]>} */
  const found = new Map();
  for (const id of new Set(pairs.flatMap(({ a, b }) => [a, b]))) {
    const one = byId.get(id);
    if (!one) continue;
    const key = top(id);
    const group = found.get(key);
    if (group) group.push(one);
    else found.set(key, [one]);
  }
  return [...found.values()].filter(({ length }) => length > 1)
    .map((group) => group.sort((a, b) => a.added - b.added || (a.id < b.id ? -1 : 1)));
};

/** All of a group but the one to keep. @param {Example[][]} all @returns {string[]} */
export const surplus = (all) => all.flatMap((group) => group.slice(1).map(({ id }) => id));
