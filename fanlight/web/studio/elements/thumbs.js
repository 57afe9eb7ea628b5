/** @import { Session } from './session.js' */

/** So many are fetched at once: enough for the disk, and what is scrolled past meanwhile is never asked for. */
const AT_ONCE = 12;

/** Addresses of the thumbnails that are seen, and of no others: each is revoked when it goes out of sight. */
export class Thumbs {
  #tell;
  /** @type {Session | null} */
  #session = null;
  /** @type {Map<string, string>} */
  #urls = new Map();
  /** @type {Set<string>} */
  #wanted = new Set();
  /** @type {Set<string>} */
  #asked = new Set();
  #due = false;
  #paused = false;

  /** @param {() => void} tell told when there are more */
  constructor(tell) {
    this.#tell = tell;
  }

  /** @param {string} id @returns {string | undefined} */
  url(id) {
    return this.#urls.get(id);
  }

  /** From now on these are seen. @param {Session | null} session @param {string[]} ids */
  want(session, ids) {
    if (session !== this.#session) this.#forget(() => true);
    this.#session = session;
    this.#wanted = new Set(ids);
    this.#forget((id) => !this.#wanted.has(id));
    this.#more();
  }

  /** Whether none are fetched for now: what is seen will have gone before it comes. @param {boolean} paused */
  pause(paused) {
    this.#paused = paused;
    this.#more();
  }

  /** @param {(id: string) => boolean} which */
  #forget(which) {
    for (const [id, url] of this.#urls) {
      if (!which(id)) continue;
      URL.revokeObjectURL(url);
      this.#urls.delete(id);
    }
  }

  /** All that come until the next frame are told at once. */
  #soon() {
    if (this.#due) return;
    this.#due = true;
    requestAnimationFrame(() => {
      this.#due = false;
      this.#tell();
    });
  }

  #more() {
    const session = this.#session;
    if (!session || this.#paused) return;
    for (const id of this.#wanted) {
      if (this.#asked.size >= AT_ONCE) return;
      if (this.#urls.has(id) || this.#asked.has(id)) continue;
      this.#asked.add(id);
      session.thumb(id).then((blob) => {
        if (session !== this.#session || !this.#wanted.has(id)) return;
        this.#urls.set(id, URL.createObjectURL(blob));
        this.#soon();
      }, () => {
        this.#wanted.delete(id); // it was removed meanwhile, or cannot be read: its place stays empty
      }).finally(() => {
        this.#asked.delete(id);
        this.#more();
      });
    }
  }
}
