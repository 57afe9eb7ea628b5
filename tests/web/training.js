// What a page finds: an expression of an async function, see training.py.
async (simd, folder) => {
  const { load } = await import(new URL(folder + '/train.js', location.href).href);
  const { x: xs, y: ys } = await (await fetch(folder + '/examples.json')).json();
  const x = Float32Array.from(xs), y = Int32Array.from(ys);
  const model = await load(folder, { simd });
  const losses = [], batches = [], epochs = [];
  const options = { batchSize: BATCH, shuffle: false, seed: SEED };
  const { history } = await model.fit(x, y, { ...options, epochs: EPOCHS,
    onBatchEnd: (batch, logs, epoch) => { losses.push(logs.loss); batches.push([epoch, batch]); },
    onEpochEnd: (epoch) => epochs.push(epoch) });
  const evaluate = await model.evaluate(x, y, { batchSize: BATCH });
  const weights = Object.fromEntries(
    Object.entries(await model.getWeights()).map(([path, { data }]) => [path, [...data]]));
  const given = Object.fromEntries(Object.entries(weights).map(([k, v]) => [k, Float32Array.from(v)]));
  const image = { data: x.slice(0, 3 * 64), shape: [3, 8, 8, 1] };
  const [predict] = Object.values(await model.run({ [model.inputs[0].name]: image }));
  const said = async (promise) => {
    try {
      await promise;
      return 'none';
    } catch (error) {
      return error.name === 'FanlightError' ? error.code : error.name;
    }
  };
  const errors = [
    await said(model.fit(x, Int32Array.from(y, () => 4), options)),
    await said(model.fit(x, y.subarray(1), options)),
    await said(model.fit(x.subarray(1), y, options)),
    await said(model.fit(new Float32Array(0), new Int32Array(0), options)),
    await said(model.fit(x, y, { batchSize: 17 })),
    await said(model.fit(x, new Float64Array(3), options)),
    await said(model.fit(Int32Array.from(x), y, options)),
    await said(model.fit(x, y, { validationSplit: 1 })),
    await said(model.fit(x.map(() => NaN), y, options)),
    await said(model.setWeights({ nobody: new Float32Array(1) })),
    await said(model.setWeights({ 'dense/bias': new Float32Array(5) })),
    await said(Promise.all([model.fit(x, y, options), model.fit(x, y, options)]))];
  await new Promise((resolve) => setTimeout(resolve, 300));
  // What failed changed nothing that lasts: the last good epoch is there.
  await model.reset();
  await model.setWeights(given);
  const again = await model.evaluate(x, y, { batchSize: BATCH });
  // Reversed pictures, in another order in every epoch; a part for validation; classes with weights.
  const how = { epochs: 3, batchSize: 8, seed: 5, validationSplit: 0.2, classWeight: { 0: 2 } };
  const more = await model.fit(x, y, how);
  const other = await load(folder, { simd });
  await other.setWeights(given);
  const same = await other.fit(x, y, how);
  const stopper = new AbortController();
  const stopped = await said(other.fit(x, y, { epochs: 1000, signal: stopper.signal, onEpochEnd: () => stopper.abort() }));
  await model.store('test ' + simd);
  const third = await load(folder, { simd, persist: 'test ' + simd });
  const kept = await third.evaluate(x, y);
  const before = await model.evaluate(x, y);
  await third.forget('test ' + simd);
  const fourth = await load(folder, { simd, persist: 'test ' + simd });
  const file = [...new Uint8Array(await (await model.save()).arrayBuffer())];
  const names = Object.keys(more.history);
  for (const each of [model, other, third, fourth]) each.dispose();
  return { losses, batches, epochs, history, evaluate, weights, predict: [...predict.data], errors, again, names,
    more: more.history, same: same.history, stopped, kept, before, restored: [third.restored, fourth.restored], file };
}
