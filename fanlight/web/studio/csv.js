/**
 * Tables as CSV (RFC 4180) that a spreadsheet opens safely.
 * @module
 */

/**
 * What a spreadsheet may take for a formula, in its plain or its full-width form (OWASP, "CSV Injection"). A
 * tab or line break before it does not help.
 */
const FORMULA = /^[\s]*[=+\-@\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]/;

/**
 * One field. Texts that a spreadsheet would compute begin with an apostrophe; numbers stay numbers.
 * @param {string | number | null | undefined} value
 */
const field = (value) => {
  if (typeof value === 'number') return Number.isFinite(value) ? String(value) : '';
  const text = (value ?? '').replaceAll('\0', '');
  const safe = FORMULA.test(text) ? `'${text}` : text;
  return /["\r\n,;\t]|^\s|\s$/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
};

/**
 * Rows of fields as the text of a CSV file. It begins with a byte order mark, by which spreadsheets know UTF-8.
 * @param {(string | number | null | undefined)[][]} rows
 */
export const csv = (rows) => `\ufeff${rows.map((row) => `${row.map(field).join(',')}\r\n`).join('')}`;
