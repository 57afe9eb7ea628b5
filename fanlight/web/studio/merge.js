/**
 * @import { ClassInfo, Project } from './types.js'
 * @typedef {Partial<Project>} Changes
 */

/** @param {unknown} a @param {unknown} b */
const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

/**
 * What a tab wants to change, laid on what another tab has changed meanwhile. `base` is what this tab
 * saw when it decided, `now` what is kept, `mine` what this tab wants. Where only one of the two has
 * changed something, that is taken; classes are merged one by one, settings by name, runs as a list
 * that both have added to. `clash` names what both have changed, each in another way.
 * @param {Project} base @param {Project} now @param {Changes} mine
 * @returns {{ project: Project, clash: string[] }}
 */
export const merged = (base, now, mine) => {
  /** @type {string[]} */
  const clash = [];
  /** @param {string} name @param {any} was @param {any} is @param {any} wanted */
  const one = (name, was, is, wanted) => {
    if (same(was, wanted) || same(is, wanted)) return is;
    if (!same(was, is)) clash.push(name);
    return wanted;
  };
  const project = structuredClone(now);
  if (mine.name !== undefined) project.name = one('name', base.name, now.name, mine.name);
  if (mine.form !== undefined) project.form = one('form', base.form, now.form, mine.form);
  if (mine.settings !== undefined) {
    const [was, is, wanted] = [base.settings, now.settings, mine.settings].map((all) => (
      /** @type {Record<string, unknown>} */ ({ .../** @type {any} */ (all) })));
    // Settings are last come, last kept: nothing is lost by it that a click does not bring back.
    for (const name of Object.keys(wanted)) if (!same(was[name], wanted[name])) is[name] = wanted[name];
    project.settings = /** @type {Project['settings']} */ (/** @type {unknown} */ (is));
  }
  if (mine.runs !== undefined) {
    const known = new Set(base.runs.map(({ at }) => at));
    const wanted = new Set(mine.runs.map(({ at }) => at));
    const others = now.runs.filter(({ at }) => !known.has(at) && !wanted.has(at));
    const gone = new Set(base.runs.map(({ at }) => at).filter((at) => !now.runs.some((r) => r.at === at)));
    project.runs = [...mine.runs.filter(({ at }) => !gone.has(at)), ...others].sort((a, b) => a.at - b.at);
  }
  if (mine.classes !== undefined) project.classes = classes(base.classes, now.classes, mine.classes, one);
  return { project, clash };
};

/**
 * @param {ClassInfo[]} base @param {ClassInfo[]} now @param {ClassInfo[]} mine
 * @param {(name: string, was: any, is: any, wanted: any) => any} one @returns {ClassInfo[]}
 */
const classes = (base, now, mine, one) => {
  if (same(base, now)) return structuredClone(mine);
  const [was, is, wanted] = [base, now, mine].map((all) => new Map(all.map((info) => [info.id, info])));
  /** @type {ClassInfo[]} */
  const out = [];
  for (const info of mine) {
    const old = was.get(info.id);
    const kept = is.get(info.id);
    if (!kept && old) continue; // the other tab has removed it, and its photos with it
    out.push(!kept || !old ? { ...info } : {
      id: info.id,
      name: one(`the name of ${kept.name}`, old.name, kept.name, info.name),
      color: info.color === old.color ? kept.color : info.color,
    });
  }
  for (const info of now) if (!was.has(info.id) && !wanted.has(info.id)) out.push({ ...info });
  // Both tabs may have made a class of one name; photos are in either, so both stay.
  const taken = new Set();
  for (const info of out) {
    let name = info.name;
    for (let n = 2; taken.has(name.toLowerCase()); n++) name = `${info.name.slice(0, 76)} ${n}`;
    info.name = name;
    taken.add(name.toLowerCase());
  }
  return out;
};
