// Drives TensorFlow.js for tests/layers/test_saving_tfjs.py: one JSON command per run.
// {"load": folder, "inputs": [[shape, numbers], ...], "labels": ..., "epochs": n, "save": folder}
import { createRequire } from "node:module";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const command = JSON.parse(readFileSync(0, "utf8"));
const require = createRequire(join(command.packages, "x.js"));
const warn = console.warn;
console.warn = () => {};
const tf = require("@tensorflow/tfjs");
console.warn = warn;
await tf.setBackend("cpu");

function handler(folder) {
  return {
    async load() {
      const model = JSON.parse(readFileSync(join(folder, "model.json"), "utf8"));
      const specs = model.weightsManifest.flatMap((g) => g.weights);
      const parts = model.weightsManifest.flatMap((g) => g.paths).map((p) => readFileSync(join(folder, p)));
      const data = Buffer.concat(parts);
      return {
        format: model.format,
        modelTopology: model.modelTopology,
        trainingConfig: model.trainingConfig,
        weightSpecs: specs,
        weightData: data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength),
      };
    },
    async save(found) {
      mkdirSync(folder, { recursive: true });
      const data = tf.io.CompositeArrayBuffer.join(found.weightData);
      writeFileSync(join(folder, "group1-shard1of1.bin"), Buffer.from(data));
      writeFileSync(join(folder, "model.json"), JSON.stringify({
        format: found.format,
        generatedBy: found.generatedBy,
        convertedBy: found.convertedBy ?? null,
        modelTopology: found.modelTopology,
        trainingConfig: found.trainingConfig,
        weightsManifest: [{ paths: ["group1-shard1of1.bin"], weights: found.weightSpecs }],
      }));
      return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: "JSON" } };
    },
  };
}

const tensors = (list) => list.map(([shape, numbers, dtype]) => tf.tensor(numbers, shape, dtype));
const one = (list) => (list.length === 1 ? list[0] : list);
const answer = {};
const model = command.script
  ? await new Function("tf", `return (async () => { ${command.script} })()`)(tf)
  : await tf.loadLayersModel(handler(command.load));
const x = tensors(command.inputs);
const predict = () => [model.predict(one(x))].flat().map((t) => Array.from(t.dataSync()));
answer.before = predict();
if (command.labels) {
  const y = tensors(command.labels);
  const rows = command.inputs[0][0][0];
  const told = await model.fit(one(x), one(y), { epochs: command.epochs, batchSize: rows, shuffle: false, verbose: 0 });
  answer.loss = told.history.loss.map(Number);
  answer.after = predict();
}
if (command.save) await model.save(handler(command.save), { includeOptimizer: Boolean(command.labels) });
if (command.more) {
  const told = await model.fit(one(x), one(tensors(command.labels)), { epochs: command.more, batchSize: command.inputs[0][0][0], shuffle: false, verbose: 0 });
  answer.more = told.history.loss.map(Number);
}
console.log("ANSWER " + JSON.stringify(answer));
