/**
 * The keys go on from here, where what had them is gone: a button that another one took the place of.
 * @param {ParentNode} root @param {string} selector
 */
export const regain = (root, selector) => {
  if (document.activeElement && document.activeElement !== document.body) return;
  /** @type {HTMLElement | null} */ (root.querySelector(selector))?.focus({ preventScroll: true });
};
