/** @typedef {{ expected?: unknown, received?: unknown, where?: unknown, next?: string }} Detail */
/**
 * A failure told so that a person can act on it, the twin of Python's FanlightError: a stable `code`
 * (see `fanlight explain CODE`), the `reason` in one sentence, and a `message` that holds everything.
 */
export class FanlightError extends Error {
    /** @param {string} code @param {string} reason @param {Detail} [detail] */
    constructor(code: string, reason: string, { expected, received, where, next }?: Detail);
    code: string;
    reason: string;
    expected: unknown;
    received: unknown;
    where: unknown;
    next: string | undefined;
}
export function fail(code: string, reason: string, detail?: Detail): never;
export function said(error: any): string;
export type Detail = {
    expected?: unknown;
    received?: unknown;
    where?: unknown;
    next?: string;
};
