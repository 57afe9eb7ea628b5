// Runs graph-models with TensorFlow.js: {"load": folder, "inputs": {name: [shape, numbers, dtype]},
// "outputs": [names]} -> {"outputs": [[shape, values, dtype], ...]}, one JSON command per run.
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const command = JSON.parse(readFileSync(0, "utf8"));
const require = createRequire(join(command.packages, "x.js"));
const warn = console.warn;
console.warn = () => {};
const tf = require("@tensorflow/tfjs");
await tf.setBackend("cpu");

async function answer({ load: folder, inputs, outputs }) {
  const model = await tf.loadGraphModel({
    async load() {
      const found = JSON.parse(readFileSync(join(folder, "model.json"), "utf8"));
      const groups = found.weightsManifest;
      const data = Buffer.concat(groups.flatMap((g) => g.paths).map((p) => readFileSync(join(folder, p))));
      return {
        ...found,
        weightSpecs: groups.flatMap((g) => g.weights),
        weightData: data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength),
      };
    },
  });
  const fed = {};
  for (const [name, [shape, numbers, dtype]] of Object.entries(inputs)) fed[name] = tf.tensor(numbers, shape, dtype);
  const made = [await model.executeAsync(fed, outputs)].flat();
  return made.map((t) => [t.shape, Array.from(t.dataSync(), (v) => (typeof v === "string" ? v : Number(v))), t.dtype]);
}

const made = [];
for (const one of command.models) made.push(await answer(one));
console.warn = warn;
console.log("ANSWER " + JSON.stringify(made, (k, v) => (v === Infinity ? 1e39 : v === -Infinity ? -1e39 : v)));
