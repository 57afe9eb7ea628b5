// `build --isolate` in Firefox, over WebDriver BiDi. Arguments: firefox, the site's URL, a function that
// tells what a classifier's page says. Prints what it told first, after a reload, and what threads did.
import puppeteer from 'puppeteer-core';

const [executablePath, site, ready] = process.argv.slice(2);
const browser = await puppeteer.launch({ browser: 'firefox', executablePath, headless: true });
const page = await browser.newPage();
const waited = () => page.evaluate(
  () => navigator.serviceWorker.ready.then(({ active }) => active.state));

await page.goto(`${site}site/index.html`);
const first = await page.evaluate(`(${ready})()`);
await waited();
await page.reload();
const second = await page.evaluate(`(${ready})()`);

await page.goto(`${site}plain/index.html`);
await waited();
await page.reload();
const threads = await page.evaluate(async () => {
  const { load } = await import('./fanlight.js');
  const x = { data: new Float32Array(8192).fill(0.5), shape: [1, 32, 32, 8] };
  const counts = [];
  const answers = new Set();
  for (const threads of [1, 2]) {
    const model = await load('./', { threads });
    for (let i = 0; i < 10; i++) answers.add(String((await model.run({ x })).y.data));
    counts.push(model.info.threads);
  }
  return [...counts, answers.size === 1];
});
await browser.close();
console.log(JSON.stringify([first, second, threads]));
