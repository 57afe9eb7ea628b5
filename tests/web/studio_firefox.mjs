// What Studio keeps and how photos come in, in Firefox. Arguments: firefox, the lab's URL, names of
// photos as JSON. Prints one JSON object.
import puppeteer from 'puppeteer-core';

const [executablePath, site, names] = process.argv.slice(2);
const browser = await puppeteer.launch({ browser: 'firefox', executablePath, headless: true });
try {
  const page = await browser.newPage();
  await page.goto(`${site}lab.html`);
  const found = await page.evaluate(async (all) => {
    const { Store } = await import('/web/studio/store.js');
    const { intake } = await import('/web/studio/intake.js');
    const { Images } = await import('/web/studio/images.js');
    const { near } = await import('/web/studio/duplicates.js');
    const { augmented } = await import('/web/studio/augment.js');
    const files = await Promise.all(all.map(async (name) => (
      new File([await (await fetch(`/files/${name}`)).arrayBuffer()], name))));
    const photos = [];
    const errors = {};
    for await (const { photo, name, error } of intake(files)) {
      if (photo) photos.push({ ...photo, class: 'a' });
      else errors[name] = [error.code, error.message];
    }
    const looks = {};
    for (const { name, blob } of photos) {
      const bitmap = await createImageBitmap(blob).catch(() => null);
      if (!bitmap) {
        looks[name] = `${blob.type}, ${blob.size} bytes: not decoded`;
        continue;
      }
      const { width, height } = bitmap;
      const context = new OffscreenCanvas(width, height).getContext('2d');
      context.drawImage(bitmap, 0, 0);
      looks[name] = [[1, 1], [3, 1], [1, 3], [3, 3]].map(([x, y]) => (
        [...context.getImageData(width * x >> 2, height * y >> 2, 1, 1).data].slice(0, 3)));
    }
    let store = await Store.open();
    const { id } = await store.create('Pets', { classes: [{ id: 'a', name: 'A', color: '#000000' }] });
    const added = await store.add(id, photos);
    await store.putFeatures('f', new Map(added.map((e, i) => [e.id, Float32Array.of(1, i)])));
    await store.putHead(id, 'linear', Uint8Array.of(1, 2), { runs: [{ at: 1 }] });
    store.close();
    store = await Store.open();
    const examples = await store.examples(id);
    const sizes = await Promise.all(examples.map(async (e) => (await store.photo(e.id)).size));
    const features = await store.features(id, 'f');
    const augment = { copies: 2, rotate: 20, shift: 0.1, zoom: 0.2, flip: true, brightness: 0.2 };
    const copies = await augmented(photos[0].blob, augment, { size: 96 });
    const kept = {
      whole: examples.every(({ bytes }, i) => bytes === sizes[i]), count: examples.length,
      features: features.size, head: [...await store.head(id, 'linear')],
      pairs: (await near(features)).length, copies: copies.map(({ width }) => width),
    };
    await store.remove(id);
    const gone = await store.project(id).catch(({ code }) => code);
    return { errors, looks, kept, gone, why: Images.shared.why };
  }, JSON.parse(names));
  console.log(JSON.stringify(found));
} finally {
  await browser.close();
}
