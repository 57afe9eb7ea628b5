export function diagnose({ model, times, errors, more }: Known): Promise<string>;
/**
 * `<fanlight-diagnostics>`: what to put into a bug report, with a button that copies it. It tells of the
 * first `<fanlight-classifier>` of the page, or of what `known` is set to.
 */
export class FanlightDiagnostics extends HTMLElement {
    /** What to tell of, where that is no element of the page. @type {Known | undefined} */
    known: Known | undefined;
    connectedCallback(): void;
    /** Look again, and show it. @returns {Promise<string>} */
    refresh(): Promise<string>;
    /** Put the report on the clipboard; where that is refused, it is marked to be copied by hand. */
    copy(): Promise<void>;
    #private;
}
export type Known = {
    /**
     * whose loading has ended well
     */
    model?: Pick<Model, "info"> | undefined;
    /**
     * milliseconds of answers
     */
    times?: number[] | undefined;
    /**
     * that came lately
     */
    errors?: unknown[] | undefined;
    /**
     * what the page says of itself
     */
    more?: [string, unknown][] | undefined;
};
import type { Model } from './fanlight.js';
