/**
 * What is dropped or chosen, as files with the folder that each came from. Nothing is read here: whether a file is a
 * photo is for the session to find out.
 * @typedef {{ file: File, folder: string }} Found `folder`: the name of the nearest one, '' for none
 */

/** More than any project holds; a folder of a whole disk stops here. */
const MOST = 20_000;
/** Files that systems leave in folders. */
const JUNK = /^(\.|thumbs\.db$|desktop\.ini$)/i;

/** @param {FileSystemDirectoryEntry} folder @returns {Promise<FileSystemEntry[]>} */
const inside = async (folder) => {
  const reader = folder.createReader();
  const all = [];
  for (;;) {
    // A browser gives a part at a time, and nothing once that was all.
    const some = await new Promise((resolve, reject) => { reader.readEntries(resolve, reject); });
    if (!some.length || all.length > MOST) return all;
    all.push(...some);
  }
};

/**
 * Must be called while the event is handled: afterwards a browser forgets what was dropped.
 * @param {DataTransfer} data @returns {Promise<Found[]>}
 */
export const dropped = async (data) => {
  const entries = [...data.items].map((item) => item.webkitGetAsEntry?.()).filter((entry) => entry !== null && entry !== undefined);
  const files = [...data.files];
  if (!entries.length) return chosen(files);
  /** @type {Found[]} */
  const found = [];
  /** @param {FileSystemEntry} entry @param {string} folder */
  const walk = async (entry, folder) => {
    if (found.length >= MOST || JUNK.test(entry.name)) return;
    if (entry.isDirectory) {
      for (const child of await inside(/** @type {FileSystemDirectoryEntry} */ (entry))) await walk(child, entry.name);
    } else {
      const file = await new Promise((resolve, reject) => {
        /** @type {FileSystemFileEntry} */ (entry).file(resolve, reject);
      });
      found.push({ file, folder });
    }
  };
  for (const entry of entries) await walk(entry, '');
  return found;
};

/** @param {Iterable<File>} files of a picker; of one for folders they know where they were @returns {Found[]} */
export const chosen = (files) => [...files].filter(({ name }) => !JUNK.test(name)).slice(0, MOST)
  .map((file) => ({ file, folder: file.webkitRelativePath?.split('/').at(-2) ?? '' }));

/** Whether a drag brings files. @param {DragEvent} event */
export const brings = ({ dataTransfer }) => Boolean(dataTransfer?.types.includes('Files'));

/** By folder, in the order of their coming. @param {Found[]} found @returns {Map<string, File[]>} */
export const byFolder = (found) => {
  /** @type {Map<string, File[]>} */
  const folders = new Map();
  for (const { file, folder } of found) {
    const all = folders.get(folder);
    if (all) all.push(file);
    else folders.set(folder, [file]);
  }
  return folders;
};

/** Pictures of the clipboard, with a name each. @param {Iterable<File>} files @returns {File[]} */
export const pasted = (files) => [...files].filter(({ type }) => type.startsWith('image/'));
