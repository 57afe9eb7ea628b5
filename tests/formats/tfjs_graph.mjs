// Runs graph-models in TensorFlow.js: one JSON command per run.
// {"packages": root, "cases": [{"folder": ..., "inputs": {name: [shape, numbers, dtype]}}]}
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const command = JSON.parse(readFileSync(0, "utf8"));
const require = createRequire(join(command.packages, "x.js"));
console.warn = () => {};
const tf = require("@tensorflow/tfjs");
await tf.setBackend("cpu");

const answers = [];
for (const { folder, inputs } of command.cases) {
  const model = JSON.parse(readFileSync(join(folder, "model.json"), "utf8"));
  const parts = model.weightsManifest.flatMap((g) => g.paths).map((p) => readFileSync(join(folder, p)));
  const data = Buffer.concat(parts);
  const loaded = await tf.loadGraphModel({
    load: async () => ({
      ...model,
      weightSpecs: model.weightsManifest.flatMap((g) => g.weights),
      weightData: data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength),
    }),
  });
  const given = {};
  for (const [name, [shape, numbers, dtype]] of Object.entries(inputs)) {
    given[name] = tf.tensor(numbers, shape, dtype);
  }
  try {
    const found = await loaded.executeAsync(given);
    answers.push((Array.isArray(found) ? found : [found]).map((t) => [t.shape, [...t.dataSync()].map(Number)]));
  } catch (error) {
    answers.push(String(error));
  }
}
console.log(`ANSWER ${JSON.stringify(answers)}`);
