import { Model, fail, load, said } from './fanlight.js';
import { describe } from './tiers.js';
/**
 * @import { LoadOptions, Picture, Prediction, Stage, Tensor, TierList, Value } from './types.js'
 */

/** By how much the best of some scores leads. @param {ArrayLike<number>} scores */
const margin = (scores) => {
  let [first, second] = [-Infinity, -Infinity];
  for (let i = 0; i < scores.length; i++) {
    const score = scores[i];
    if (score > first) [first, second] = [score, first];
    else if (score > second) second = score;
  }
  return first - second;
};

/** @param {Record<string, any>} from @param {{ name: string }[]} specs @returns {Record<string, Value>} */
const pick = (from, specs) => Object.fromEntries(specs.map(({ name }) => [name, from[name]]));

/**
 * Open what answers in stages, each asked only where the one before is not sure: a cascade of models, or
 * a model with early exits. The first is loaded now, each other one when it is first needed; where that
 * fails, the answer of the one before stands, and `info.stages.problem` tells why.
 * @param {TierList} list @param {string} base @param {LoadOptions} options @returns {Promise<Model>}
 */
export const openStages = async (list, base, { signal, ...rest }) => {
  const { kind, stages } = list;
  const life = new AbortController();
  const stop = () => life.abort(signal?.reason);
  signal?.addEventListener('abort', stop);
  /** @type {(Promise<Model> | undefined)[]} */
  const opened = [];
  /** @param {number} i */
  const open = (i) => {
    opened[i] ??= load(new URL(stages[i].url, base), { ...rest, signal: life.signal }).catch((error) => {
      opened[i] = undefined; // to be tried again
      throw error;
    });
    return /** @type {Promise<Model>} */ (opened[i]);
  };
  const first = await open(0).finally(() => signal?.removeEventListener('abort', stop));
  const told = { answers: 0, asked: stages.map(() => 0), share: 0, problem: '' };

  /**
   * Ask stage after stage, until one is sure.
   * @template T @param {(model: Model) => Promise<T>} ask @param {(result: T) => number} lead
   */
  const climb = async (ask, lead) => {
    told.answers++;
    /** @type {T | undefined} */
    let result;
    for (let i = 0; i < stages.length; i++) {
      try {
        const model = await open(i);
        result = await ask(model);
        told.asked[i]++;
      } catch (error) {
        if (!i || life.signal.aborted) throw error;
        told.problem = said(error);
        break;
      }
      if (lead(result) >= (/** @type {Stage} */ (stages[i]).threshold ?? -Infinity)) break;
    }
    told.share = (told.asked[1] ?? 0) / told.answers;
    return /** @type {T} */ (result);
  };

  /** @param {Record<string, any>} inputs @returns {Promise<Record<string, Tensor>>} */
  const run = (inputs) => {
    /** @type {Record<string, any>} What the stages have computed. */
    const known = { ...inputs };
    return climb(
      async (model) => {
        const out = await model.run(pick(known, model.inputs));
        return Object.assign(known, out) && out;
      },
      ({ scores }) => margin(scores.data),
    );
  };
  /** All outputs for a picture, which the first stage decodes in its worker. @param {Picture} picture */
  const see = async (picture) => {
    try {
      return await run({ [first.inputs[0].name]: picture });
    } finally {
      if (picture instanceof ImageBitmap) picture.close();
    }
  };
  /** @param {Picture} picture @param {number} top @returns {Promise<Prediction[]>} */
  const classify = async (picture, top) => {
    if (kind === 'exits') {
      const { scores: { data } } = await see(picture);
      return Array.from(data.keys()).sort((a, b) => data[b] - data[a]).slice(0, top).map((index) => (
        { label: first.labels?.[index] ?? String(index), index, score: data[index] }));
    }
    try {
      const results = await climb((model) => model.classify(picture, { top: Math.max(2, top) }),
        (found) => margin(found.map(({ score }) => score)));
      return results.slice(0, top);
    } finally {
      if (picture instanceof ImageBitmap) picture.close();
    }
  };
  const calls = /** @type {Record<string, (...args: any[]) => Promise<any>>} */ ({
    run, see, classify, profile: (inputs) => first.profile(inputs) });

  describe(first, { stages: told }, () => {
    const { answers, asked } = told;
    const counts = asked.map((count, i) => `${stages[i].id} ${count}`).join(', ');
    return `${answers} answers in stages: ${counts}${told.problem && ` (${told.problem})`}`;
  });
  return new Model(first, async (tag, args) => {
    life.signal.throwIfAborted();
    return calls[tag]?.(...args) ?? fail('E-WEB-015', 'A folder of stages does not do that.', { received: tag });
  }, (reason) => {
    life.abort(reason);
    for (const model of opened) model?.then((it) => it.dispose(), () => {});
  });
};
