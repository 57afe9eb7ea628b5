// The core journeys in Firefox, over WebDriver BiDi. Arguments: firefox, the site's URL, the path of
// a one-file page, a photo, a one-file page that trains, what it is to do (an expression, in a file).
// Prints one JSON object: journey -> what was found (or its error).
import { readFileSync } from 'node:fs';
import puppeteer from 'puppeteer-core';

const [executablePath, site, oneFile, photo, learns, lesson] = process.argv.slice(2);
const browser = await puppeteer.launch({ browser: 'firefox', executablePath, headless: true });
const found = {};

/** Run one journey in a page of its own. */
async function journey(name, url, walk) {
  const page = await browser.newPage();
  const errors = [];
  page.on('pageerror', (error) => errors.push(error.message));
  try {
    await page.goto(url);
    found[name] = { answer: await walk(page), errors };
  } catch (error) {
    found[name] = { failed: String(error), errors };
  }
  await page.close();
}

/** What the element shows, once it has something to show. */
const shown = (page) => page.evaluate(async () => {
  const { shadowRoot } = document.querySelector('fanlight-classifier');
  for (let i = 0; i < 200; i++) {
    const error = shadowRoot.querySelector('.error');
    if (!error.hidden) return [error.textContent];
    const rows = [...shadowRoot.querySelectorAll('li')].map((row) => row.textContent);
    if (rows.length) return rows;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return ['nothing'];
});

const ready = (page) => page.evaluate(async () => {
  await customElements.whenDefined('fanlight-classifier');
  return (await document.querySelector('fanlight-classifier').ready).info;
});

for (const worker of [true, false]) {
  await journey(`run, worker ${worker}`, `${site}bare.html`, (page) => page.evaluate(async (where) => {
    const { load } = await import('./double/fanlight.js');
    const model = await load('double', { worker: where, cache: false });
    const { y } = await model.run({ x: { data: new Float32Array(8).fill(1), shape: [2, 4] } });
    const error = await model.run({ x: new Int32Array(4) }).catch(({ code }) => code);
    const { simd, worker: inside } = model.info;
    model.dispose();
    const gone = await model.run({ x: new Float32Array(4) }).catch(({ code }) => code);
    return { data: [...y.data], shape: y.shape, error, gone, simd, worker: inside };
  }, worker));
}

for (const simd of ['relaxed', 'plain']) {
  await journey(`float16 ${simd}`, `${site}bare.html`, (page) => page.evaluate(async (which) => {
    const { load } = await import('./half/fanlight.js');
    const model = await load('half', { simd: which, cache: false });
    const { y } = await model.run({ x: Float32Array.from({ length: 64 }, (_, i) => i - 30) });
    return [...y.data];
  }, simd));
}

for (const setting of ['relaxed', 'plain', 'pairs']) {
  await journey(`bytes ${setting}`, `${site}bare.html`, (page) => page.evaluate(async (which) => {
    const { load } = await import('./double/fanlight.js');
    const { default: run } = await import('./bytes.js');
    return run(which, load);
  }, setting));
}

for (const simd of ['relaxed', 'plain']) {
  await journey(`free sizes ${simd}`, `${site}bare.html`, (page) => page.evaluate(async (which) => {
    const { load } = await import('./double/fanlight.js');
    const { default: run } = await import('./free_sizes.js');
    return run(which, load);
  }, simd));
}

for (const simd of ['relaxed', 'plain']) {
  await journey(`training ${simd}`, `${site}bare.html`, (page) => page.evaluate(async (which) => {
    const { default: run } = await import('./training.js');
    return run(which, 'training');
  }, simd));
}

for (const simd of ['relaxed', 'plain']) {
  await journey(`families ${simd}`, `${site}bare.html`, (page) => page.evaluate(async (which) => {
    const { load } = await import('./double/fanlight.js');
    const { default: run } = await import('./families.js');
    return run(which, load);
  }, simd));
}

await journey('expand', `${site}bare.html`, (page) => page.evaluate(async () => {
  const memory = new WebAssembly.Memory({ initial: 6 });
  const bytes = await (await fetch('half/expand.wasm')).arrayBuffer();
  const { instance } = await WebAssembly.instantiate(bytes, { fanlight: { memory } });
  new Uint16Array(memory.buffer, 1024 + 131072, 65536).forEach((_, i, a) => { a[i] = i; });
  instance.exports.expand(1024, 65536);
  return [...new Uint32Array(memory.buffer, 1024, 65536)];
}));

await journey('cache', `${site}bare.html`, (page) => page.evaluate(async () => {
  const { load } = await import('./double/fanlight.js');
  const first = await load('double');
  // It is kept behind the page's back; on a busy machine that takes its time.
  let again = first;
  for (let i = 0; i < 20 && !again.info.cached; i++) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    again = await load('double');
  }
  return [first.info.cached, again.info.cached];
}));

await journey('policy', `${site}bare.html`, (page) => page.evaluate(async () => {
  const blocked = new Promise((resolve) => document.addEventListener(
    'securitypolicyviolation', (event) => resolve(event.effectiveDirective), { once: true }));
  const answer = await fetch('https://example.org/').then(() => 'came', () => 'refused');
  return [answer, await blocked];
}));

await journey('page', `${site}photos/index.html`, async (page) => {
  const info = await ready(page);
  const input = await page.evaluateHandle(
    () => document.querySelector('fanlight-classifier').shadowRoot.querySelector('input'));
  await input.uploadFile(photo);
  return [info.worker, ...await shown(page)];
});

await journey('sources', `${site}bare.html`, (page) => page.evaluate(async () => {
  const { load } = await import('./colours/fanlight.js');
  const model = await load('colours');
  const size = { width: 400, height: 300 };
  const canvas = Object.assign(document.createElement('canvas'), size);
  const context = canvas.getContext('2d');
  context.fillStyle = '#0f0';
  context.fillRect(0, 0, 400, 300);
  const half = new ImageData(4, 4);
  for (let i = 0; i < 64; i += 4) half.data.set([255, 0, 0, 128], i);
  const makes = {
    canvas: () => canvas,
    blob: () => new Promise((resolve) => canvas.toBlob(resolve)),
    image: () => Object.assign(new Image(), { src: canvas.toDataURL() }),
    data: () => context.getImageData(0, 0, 400, 300),
    bitmap: () => createImageBitmap(canvas),
    video: async () => {
      const video = Object.assign(document.createElement('video'), { muted: true });
      setInterval(() => context.fillRect(0, 0, 400, 300), 20);
      video.srcObject = canvas.captureStream(30);
      await video.play();
      return video;
    },
    half: () => half,
  };
  const found = {};
  for (const [name, make] of Object.entries(makes)) {
    const [{ label, score }] = await model.classify(await make(), { top: 1 });
    found[name] = [label, Math.round(score * 100)];
  }
  return found;
}));

await journey('not an image', `${site}photos/index.html`, async (page) => {
  await ready(page);
  await page.evaluate(() => {
    document.querySelector('fanlight-classifier').classify(new Blob(['text'])).catch(() => {});
  });
  return shown(page);
});

await journey('one file', oneFile, async (page) => {
  const info = await ready(page);
  await page.evaluate(() => {
    document.querySelector('fanlight-classifier').shadowRoot.querySelector('.samples button').click();
  });
  return [info.worker, ...await shown(page)];
});

await journey('training in one file', learns, (page) => page.evaluate(readFileSync(lesson, 'utf-8')));

await browser.close();
console.log(JSON.stringify(found));
