// A visitor walks through Studio in Firefox: collect, train, ask, correct, come back, take it along.
// Arguments: what to do, as JSON (see `Walk`). Prints lines of JSON: { stop: true } when the server may
// be stopped (then it reads a line), and at last what was found. Nothing waits without an end, and what
// fails tells what the page said and what is on the screen.
import { once } from 'node:events';
import { readFile, readdir } from 'node:fs/promises';
import puppeteer from 'puppeteer-core';

/**
 * @typedef {object} Walk
 * @property {string} firefox its path
 * @property {string} url of the page
 * @property {string[]} photos paths of KIND-N.png: red and blue of N from 0 to 9, of which those from 7 on
 *   are new; green-0, which is neither
 * @property {string} downloads a folder
 * @property {boolean} offline whether to come back a third time, without the server
 */
/** @type {Walk} */
const { firefox, url, photos, downloads, offline } = JSON.parse(process.argv[2]);
/** Milliseconds that one thing may take on a busy machine. */
const PATIENCE = 30_000;
/** And one step, and all of them. */
const STEP = 60_000, WALK = 150_000;

/** @type {string[]} */
const said = [];
/** @type {Record<string, any>} */
const found = { said };
let step = 'begin';

/** @template T @param {Promise<T>} promise @param {string} what @returns {Promise<T>} */
const within = (promise, what, patience = PATIENCE) => {
  /** @type {ReturnType<typeof setTimeout>} */
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`it never came: ${what}`)), patience);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
};

/**
 * What the page has for this walk: `every(selector)`, all elements, in shadow trees, too ("a >>> b": those in
 * the shadow tree of a, which no selector reaches from outside); `shown`; and what is on the screen.
 */
const tools = () => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector),
    ...[...root.querySelectorAll('*')].flatMap((e) => (e.shadowRoot ? all(selector, e.shadowRoot) : []))];
  globalThis.every = (path) => path.split(' >>> ').reduce(
    (roots, selector) => roots.flatMap((root) => all(selector, root.shadowRoot ?? root)), [document]);
  // The one that is in sight and says so, by its text or its label.
  globalThis.shown = (path, text) => globalThis.every(path).find((e) => e.checkVisibility()
    && (!text || [e.getAttribute('aria-label'), e.textContent.trim()].includes(text)));
  const parts = (root) => [...(root?.shadowRoot ?? root)?.childNodes ?? []];
  globalThis.written = (root = document.body) => parts(root).flatMap((node) => {
    if (node.nodeType === Node.TEXT_NODE) return node.data.trim() || [];
    if (!(node instanceof Element) || ['STYLE', 'SCRIPT'].includes(node.tagName)) return [];
    if (node.tagName !== 'SLOT' && !node.checkVisibility()) return [];
    const typed = node instanceof HTMLInputElement ? [`[${node.value}]`] : [];
    return [...typed, ...globalThis.written(node)];
  });
  const get = () => document.querySelector('fanlight-studio')?.session;
  Object.defineProperty(globalThis, 'session', { get });
  document.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) => (
    console.error(`the policy refused ${violatedDirective} ${blockedURI}`)));
};

const browser = await puppeteer.launch({
  browser: 'firefox', executablePath: firefox, headless: true, defaultViewport: { width: 1280, height: 900 },
  protocolTimeout: PATIENCE,
  extraPrefsFirefox: {
    'browser.download.dir': downloads,
    'browser.download.folderList': 2,
    'browser.download.useDownloadDir': true,
    'browser.download.always_ask_before_handling_new_types': false,
    'browser.download.alwaysOpenPanel': false,
    // A camera that is none, and allowed.
    'media.navigator.streams.fake': true,
    'media.navigator.permission.disabled': true,
  },
});
const page = await browser.newPage();
page.setDefaultTimeout(PATIENCE);
page.on('pageerror', (error) => said.push(String(error)));
page.on('console', (message) => { if (message.type() === 'error') said.push(message.text()); });

/** Wait until an expression of the page holds. @param {string} what @param {string} why */
const until = async (what, why = what) => {
  const end = Date.now() + PATIENCE;
  for (;;) {
    if (await within(page.evaluate(`(() => Boolean(${what}))()`), why)) return;
    if (Date.now() > end) throw new Error(`it never came: ${why}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
};

/** What is shown, by its selector and its text. @param {string} selector @param {string} [text] */
const shown = async (selector, text) => {
  const given = [selector, text].filter((one) => one !== undefined).map((one) => JSON.stringify(one)).join();
  for (;;) { // it may be drawn anew between the two
    await until(`shown(${given})`);
    const handle = /** @type {any} */ (await within(page.evaluateHandle(`shown(${given})`), given)).asElement();
    if (handle) return handle;
  }
};

/** @param {string} selector @param {string} [text] */
const press = async (selector, text) => {
  const button = await shown(selector, text);
  await within(button.click(), `a click on ${selector} ${text ?? ''}`);
};

/** @param {string} selector @param {number} n @param {string[]} files */
const choose = async (selector, n, files) => {
  await until(`every(${JSON.stringify(selector)}).length > ${n}`);
  const input = (await page.evaluateHandle(`every(${JSON.stringify(selector)})[${n}]`)).asElement();
  await within(input.uploadFile(...files), `files for ${selector}`);
};

/** @param {string} kind @param {(n: number) => boolean} which */
const those = (kind, which) => photos.filter((path) => {
  const [, of, n] = /** @type {RegExpMatchArray} */ (path.match(/([a-z]+)-(\d+)\.png$/));
  return of === kind && which(Number(n));
});

/** What it says of a new photo. @param {string} kind @param {number} n */
const ask = async (kind, n) => {
  await choose('fl-try >>> input[type=file]', 0, those(kind, (one) => one === n));
  const wanted = `shown('fl-try >>> img')?.alt === '${kind}-${n}.png' && shown('fl-try >>> .said strong')`;
  await until(wanted, `an answer for ${kind} ${n}`);
  return page.evaluate(() => globalThis.shown('fl-try >>> .said strong').textContent);
};

/** What is kept. */
const state = () => page.evaluate(() => {
  const { classes, examples, trained, project } = globalThis.session;
  const by = (id) => examples.filter((e) => e.class === id).length;
  return { classes: classes.map(({ id, name }) => [name, by(id)]), trained, runs: project.runs.length,
    sources: [...new Set(examples.map(({ source }) => source))] };
});

/** A page that is there, with the two classes that it begins with or more. */
const arrive = async () => {
  await until('globalThis.session', 'the session');
  await until("every('fl-class').length >= 2", 'two classes on the screen');
};

/** Steps, in their order. @type {Record<string, () => Promise<void>>} */
const steps = {
  arrive: async () => {
    await page.evaluateOnNewDocument(tools);
    await within(page.goto(url), 'the page');
    await arrive();
  },
  name: async () => {
    for (const [i, name] of ['Red', 'Blue'].entries()) {
      const box = (await page.evaluateHandle(`every('fl-class >>> input.name')[${i}]`)).asElement();
      await within(box.click(), 'a click on a name');
      await page.keyboard.type(name);
      await page.keyboard.press('Enter');
      await until(`session.classes[${i}].name === '${name}'`);
    }
  },
  collect: async () => {
    await choose('fl-class >>> input.files', 0, those('red', (n) => n < 7));
    // The others by a drop, as far as a script may make one.
    const dropped = await Promise.all(those('blue', (n) => n < 7).map(async (path) => {
      return [path.replace(/.*\//, ''), (await readFile(path)).toString('base64')];
    }));
    await page.evaluate((files) => {
      const data = new DataTransfer();
      for (const [name, text] of files) {
        const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
        data.items.add(new File([bytes], name, { type: 'image/png' }));
      }
      const at = globalThis.every('fl-class >>> section')[1];
      const how = { dataTransfer: data, bubbles: true, composed: true, cancelable: true };
      for (const name of ['dragover', 'drop']) at.dispatchEvent(new DragEvent(name, how));
    }, dropped);
    await until('session.examples.length === 14 && session.waiting === 0', 'fourteen photos that are ready');
    found.collected = await state();
  },
  train: async () => {
    // A small backbone that was never trained needs larger steps; they are chosen by keys.
    await press('fl-train >>> summary', 'More');
    await within((await shown('fl-settings >>> #learningRate')).focus(), 'the size of a step');
    for (let i = 0; i < 3; i++) await page.keyboard.press('ArrowRight');
    await press('fl-train >>> button', 'Train');
    await until("shown('fl-train >>> #result') && session.trained && !session.busy", 'what was learnt');
    found.report = await page.evaluate(() => globalThis.session.report);
    found.rate = await page.evaluate(() => globalThis.session.project.runs[0].settings.learningRate);
  },
  ask: async () => {
    found.asked = [await ask('red', 7), await ask('blue', 7)];
  },
  correct: async () => {
    found.neither = await ask('green', 0);
    const really = found.neither === 'Red' ? 'Blue' : 'Red';
    const score = () => page.evaluate((name) => {
      const bars = globalThis.every('fl-bars >>> li').map((e) => e.textContent);
      return Number(bars.find((text) => text.includes(name))?.match(/(\d+)\s*%/)?.[1]);
    }, really);
    const before = await score();
    await press('fl-try >>> button', "That's wrong, it is …");
    await press('fl-try >>> .chips button', really);
    await until("shown('fl-try >>> .note[role=status] strong') && !session.busy", 'that it has learnt');
    found.learnt = await page.evaluate(() => (
      globalThis.shown('fl-try >>> .note[role=status]').textContent.replace(/\s+/g, ' ').trim()));
    found.corrected = { really, scores: [before, await score()], ...await state() };
  },
  reload: async () => {
    await within(page.reload(), 'the page again');
    await arrive();
    await until('session.trained');
    found.again = await state();
    await until("shown('fl-class >>> fl-grid')", 'photos on the screen');
    found.askedAgain = [await ask('red', 8), await ask('blue', 8), await ask('green', 0)];
  },
  take: async () => {
    await press('fl-keep >>> button', 'Save: Whole project');
    await until("shown('#save-project')", 'the file of the project');
    found.file = await page.evaluate(() => globalThis.shown('#save-project').download);
    const end = Date.now() + PATIENCE;
    for (;;) {
      const names = await readdir(downloads);
      if (names.includes(found.file) && !names.some((name) => name.endsWith('.part'))) break;
      if (Date.now() > end) throw new Error(`it was not saved: ${found.file}, but ${names}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  },
  offline: async () => {
    if (!offline) return;
    await until("document.querySelector('fanlight-studio').offline", 'all that is wanted without network');
    console.log(JSON.stringify({ stop: true }));
    await within(once(process.stdin, 'data'), 'the end of the server');
    await within(page.goto(url), 'the page without network');
    await arrive();
    await until('session.trained');
    found.offline = await state();
    found.askedOffline = [await ask('red', 9), await ask('blue', 9)];
  },
  // What was kept has been looked at: more photos change nothing of it.
  film: async () => {
    if (!offline) return;
    const before = await page.evaluate(() => globalThis.session.examples.length);
    await press('fl-class >>> button', 'Camera');
    await until("shown('fl-camera >>> video')?.videoWidth > 0", 'the picture of the camera');
    await within((await shown('fl-camera >>> .hold')).hover(), 'the button that is held');
    await page.mouse.down();
    await until(`session.examples.length >= ${before + 3}`, 'three photos');
    await page.mouse.up();
    await shown('fl-camera >>> button', 'Hold to take photos');
    await press('fl-camera >>> button', 'Close the camera');
    await until('!session.waiting', 'photos that are ready');
    found.filmed = await page.evaluate((n) => (
      [...new Set(globalThis.session.examples.slice(n).map(({ source }) => source))]), before);
    await page.evaluate(() => {
      const { session } = globalThis;
      const { predict } = session;
      globalThis.answers = 0;
      session.predict = async (...given) => {
        const answer = await predict.apply(session, given);
        globalThis.answers++;
        return answer;
      };
    });
    await press('fl-try >>> button', 'Use the camera');
    await until("globalThis.answers > 2 && shown('fl-try >>> .live', 'Live')", 'live answers');
    found.live = await page.evaluate(() => globalThis.shown('fl-try >>> .said strong').textContent);
    await press('fl-try >>> button', 'Stop the camera');
    await shown('fl-try >>> button', 'Use the camera');
  },
};

const began = Date.now();
found.ms = {};
try {
  for (const [name, walk] of Object.entries(steps)) {
    step = name;
    const at = Date.now();
    await within(walk(), `the end of ${name}`, Math.min(STEP, began + WALK - at));
    found.ms[name] = Date.now() - at;
  }
} catch (error) {
  found.failed = `${step}: ${error}`;
  found.screen = await within(page.evaluate(() => globalThis.written()), 'the screen', 5000).catch(String);
} finally {
  found.seconds = (Date.now() - began) / 1000;
  await within(browser.close(), 'the end of Firefox', 10_000).catch(() => browser.process()?.kill('SIGKILL'));
}
console.log(JSON.stringify(found));
process.exit(0);
