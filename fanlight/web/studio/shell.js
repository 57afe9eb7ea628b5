/** What the page that Studio stands in has of the shell: register.js. A page without it goes on as it is. */

/** The page's own register.js: the one that its head begins. */
const registered = () => (
  document.querySelector('script[src$="register.js"]') ? import('../pages/register.js').catch(() => undefined) : Promise.resolve(undefined));

/**
 * No newer version of the page begins while this goes on: a reload would lose it.
 * @param {Promise<unknown>} work
 */
export const guard = async (work) => {
  const shell = await registered();
  await shell?.busy(work).catch(() => {}); // whoever asked for the work is told how it ended
};

/** Fetch and keep all that a visit without network needs, unless the visitor wants to save data. */
export const keepForOffline = async () => {
  const { saveData } = /** @type {any} */ (navigator).connection ?? {};
  if (!saveData) await (await registered())?.keepAll();
};
