// Runs graph-models and layers-models in TensorFlow.js: JSON lines in, JSON lines out.
// {"folder": ..., "inputs": {name: [shape, numbers, dtype]}} -> {"outputs": {name: [shape, numbers]}}
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const { packages, jobs } = JSON.parse(readFileSync(0, "utf8"));
const require = createRequire(join(packages, "x.js"));
const warn = console.warn;
console.warn = () => {};
const tf = require("@tensorflow/tfjs");
console.warn = warn;
await tf.setBackend("cpu");

function artifacts(folder) {
  const model = JSON.parse(readFileSync(join(folder, "model.json"), "utf8"));
  const specs = model.weightsManifest.flatMap((g) => g.weights);
  const parts = model.weightsManifest.flatMap((g) => g.paths).map((p) => readFileSync(join(folder, p)));
  const data = Buffer.concat(parts);
  return { ...model, weightSpecs: specs,
    weightData: data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength) };
}

async function answer(job) {
  const found = artifacts(job.folder);
  const handler = { load: async () => found };
  const names = Object.keys(job.inputs);
  const given = names.map((n) => { const [s, x, d] = job.inputs[n]; return tf.tensor(x, s, d); });
  if (found.format === "layers-model") {
    const model = await tf.loadLayersModel(handler);
    const known = model.inputNames ?? []; // a Sequential has none
    const order = known.length ? known.map((n) => given[names.indexOf(n)] ?? given[0]) : given;
    const made = [model.predict(order.length === 1 ? order[0] : order)].flat();
    return { list: made.map((t) => [t.shape, Array.from(t.dataSync())]) };
  }
  const model = await tf.loadGraphModel(handler);
  const feed = Object.fromEntries(names.map((n, i) => [n, given[i]]));
  const outputs = Object.keys(found.signature.outputs);
  let made, waited = false;
  try { made = model.execute(feed, outputs); } catch (error) {
    if (!String(error).includes("executeAsync")) throw error;
    waited = true;
    made = await model.executeAsync(feed, outputs);
  }
  made = [made].flat();
  return { waited, outputs: Object.fromEntries(outputs.map((n, i) => [n, [made[i].shape, Array.from(made[i].dataSync())]])) };
}

for (const job of jobs) {
  let told;
  try { told = await answer(job); } catch (error) { told = { error: String(error.stack).slice(0, 600) }; }
  console.log("ANSWER " + JSON.stringify(told, (k, v) => (typeof v === "number" && !Number.isFinite(v) ? String(v) : v)));
}
