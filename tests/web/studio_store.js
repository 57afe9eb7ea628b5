// What the tests of Studio's store share, in the page: classes, photos to keep, a look at the tables.
globalThis.cat = { id: 'cat', name: 'Cat', color: '#112233' };
globalThis.dog = { id: 'dog', name: 'Dog', color: '#332211' };

const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
globalThis.hashOf = async (blob) => (
  hex(new Uint8Array(await crypto.subtle.digest('SHA-256', await blob.arrayBuffer()))));

/** A photo to keep, of `size` bytes that nothing compresses. */
globalThis.shot = async (of, size = 1000, name = 'a.jpg') => {
  const bytes = new Uint8Array(size);
  for (let i = 0; i < size; i += 65536) crypto.getRandomValues(bytes.subarray(i, i + 65536));
  const blob = new Blob([bytes], { type: 'image/jpeg' });
  const thumb = new Blob([bytes.subarray(0, 500)], { type: 'image/jpeg' });
  return { class: of, name, source: 'file', blob, thumb, width: 3, height: 2, hash: await hashOf(blob) };
};

const done = (asked) => new Promise((resolve, reject) => {
  asked.onsuccess = () => resolve(asked.result);
  asked.onerror = () => reject(asked.error);
});
/** The database without Store. */
globalThis.raw = (version) => done(indexedDB.open('fanlight-studio', version));
globalThis.put = async (table, value) => {
  const db = await raw();
  await done(db.transaction(table, 'readwrite').objectStore(table).put(value));
  db.close();
};
globalThis.get = async (table, key) => {
  const db = await raw();
  const value = await done(db.transaction(table).objectStore(table).get(key));
  db.close();
  return value;
};
/** The keys of each table. */
globalThis.keys = async () => {
  const db = await raw();
  const names = [...db.objectStoreNames];
  const all = await Promise.all(names.map((name) => (
    done(db.transaction(name).objectStore(name).getAllKeys()))));
  db.close();
  return Object.fromEntries(names.map((name, i) => [name, all[i]]));
};
globalThis.counts = async () => (
  Object.fromEntries(Object.entries(await keys()).map(([name, all]) => [name, all.length])));

/** A project with a photo of each of two classes, all that can belong to it, and its store. */
globalThis.pets = async (name = 'Pets') => {
  const store = await Store.open();
  const project = await store.create(name, { classes: [cat, dog], form: 'f' });
  const [a, b] = await store.add(project.id, [await shot('cat'), await shot('dog', 2000)]);
  await store.putFeatures('f', new Map([[a.id, Float32Array.of(1, 2)], [b.id, Float32Array.of(3, 4)]]));
  await store.putHead(project.id, 'linear', Uint8Array.of(5, 6), { runs: [{ at: 1 }] });
  return { store, id: project.id, a, b };
};
