/** @typedef {{ expected?: unknown, received?: unknown, where?: unknown, next?: string }} Detail */

/**
 * A failure told so that a person can act on it, the twin of Python's FanlightError: a stable `code`
 * (see `fanlight explain CODE`), the `reason` in one sentence, and a `message` that holds everything.
 */
export class FanlightError extends Error {
  /** @param {string} code @param {string} reason @param {Detail} [detail] */
  constructor(code, reason, { expected, received, where, next } = {}) {
    const detail = { where, expected, received, next };
    super(Object.entries(detail).reduce((all, [key, value]) => (value === undefined ? all
      : `${all}\n  ${key}: ${typeof value === 'string' ? value : JSON.stringify(value)}`.slice(0, 999)
    ), `${code}  ${reason}`));
    this.name = 'FanlightError';
    this.code = code;
    this.reason = reason;
    this.expected = expected;
    this.received = received;
    this.where = where;
    this.next = next;
  }
}

/** @param {string} code @param {string} reason @param {Detail} [detail] @returns {never} */
export const fail = (code, reason, detail) => {
  throw new FanlightError(code, reason, detail);
};

/** What was thrown, in words. @param {any} error @returns {string} */
export const said = (error) => error?.message ?? String(error);
