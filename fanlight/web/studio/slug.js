/** Names that Windows gives no file. */
const TAKEN = /^(con|prn|aux|nul|com\d|lpt\d)$/i;

/**
 * A name that any file system takes, made of any text.
 * @param {string} text @param {string} fallback where nothing is left of it
 */
export const slug = (text, fallback) => {
  const plain = text.normalize('NFKD').replace(/[^A-Za-z0-9_-]+/g, '-').replace(/^-+|-+$/g, '').slice(0, 60).replace(/-+$/, '').toLowerCase();
  return plain && !TAKEN.test(plain) ? plain : fallback;
};
