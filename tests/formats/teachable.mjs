// A stand-in for an image-model of Teachable Machine, made by TensorFlow.js: a Sequential of a truncated MobileNet v2
// (alpha 0.35) with pooling, and a Sequential of two Dense layers. Weights are random. JSON in, a line out:
// {"folder", "size", "labels", "image"} -> {"scores"}; model.json, weights.bin and metadata.json lie in the folder then.
import { createRequire } from "node:module";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const { packages, folder, size, labels, image } = JSON.parse(readFileSync(0, "utf8"));
const require = createRequire(join(packages, "x.js"));
console.warn = () => {};
const tf = require("@tensorflow/tfjs");
await tf.setBackend("cpu");

let seed = 1;
const random = () => tf.initializers.glorotUniform({ seed: seed++ });
const named = (name, make, options) => make({ name, ...options });
const relu6 = (name) => tf.layers.reLU({ maxValue: 6, name });
const norm = (name) => tf.layers.batchNormalization({ axis: 3, epsilon: 0.001, momentum: 0.999, name });
/** A multiple of 8, as MobileNet rounds its widths. */
const wide = (n) => {
  const found = Math.max(8, Math.floor(n * 0.35 + 4) - (Math.floor(n * 0.35 + 4) % 8));
  return found < 0.9 * n * 0.35 ? found + 8 : found;
};
const conv = (x, filters, kernelSize, strides, name, padding = "same") => named(name, tf.layers.conv2d, {
  filters, kernelSize, strides, padding, useBias: false, kernelInitializer: random() }).apply(x);

const input = tf.input({ shape: [size, size, 3], name: "input_1" });
let x = tf.layers.zeroPadding2d({ padding: [[0, 1], [0, 1]], name: "Conv1_pad" }).apply(input);
x = relu6("Conv1_relu").apply(norm("bn_Conv1").apply(conv(x, 16, 3, 2, "Conv1", "valid")));
let before = 16, id = 0;
const block = (filters, strides, expansion) => {
  const prefix = id ? `block_${id}_` : "expanded_conv_";
  const start = x;
  if (id) {
    x = conv(x, before * expansion, 1, 1, `${prefix}expand`);
    x = relu6(`${prefix}expand_relu`).apply(norm(`${prefix}expand_BN`).apply(x));
  }
  if (strides === 2) x = tf.layers.zeroPadding2d({ padding: [[0, 1], [0, 1]], name: `${prefix}pad` }).apply(x);
  x = named(`${prefix}depthwise`, tf.layers.depthwiseConv2d, {
    kernelSize: 3, strides, padding: strides === 2 ? "valid" : "same", useBias: false, depthwiseInitializer: random(),
  }).apply(x);
  x = relu6(`${prefix}depthwise_relu`).apply(norm(`${prefix}depthwise_BN`).apply(x));
  x = norm(`${prefix}project_BN`).apply(conv(x, wide(filters), 1, 1, `${prefix}project`));
  if (before === wide(filters) && strides === 1) x = tf.layers.add({ name: `${prefix}add` }).apply([start, x]);
  before = wide(filters);
  id++;
};
for (const [filters, strides, times, expansion] of [
  [16, 1, 1, 1], [24, 2, 2, 6], [32, 2, 3, 6], [64, 2, 4, 6], [96, 1, 3, 6], [160, 2, 3, 6], [320, 1, 1, 6]]) {
  for (let n = 0; n < times; n++) block(filters, n ? 1 : strides, expansion);
}
x = relu6("out_relu").apply(norm("Conv_1_bn").apply(conv(x, 1280, 1, 1, "Conv_1")));
const truncated = tf.model({ inputs: input, outputs: x, name: "model1" });

const features = tf.sequential();
features.add(truncated);
features.add(tf.layers.globalAveragePooling2d({ name: "global_average_pooling2d_GlobalAveragePooling2D1" }));
const head = tf.sequential({ layers: [
  tf.layers.dense({ inputShape: [1280], units: 100, activation: "relu", useBias: true, name: "dense_Dense1",
    kernelInitializer: tf.initializers.varianceScaling({ seed: 70 }) }),
  tf.layers.dense({ units: labels.length, activation: "softmax", useBias: false, name: "dense_Dense2",
    kernelInitializer: tf.initializers.varianceScaling({ seed: 71 }) })] });
const whole = tf.sequential();
whole.add(features);
whole.add(head);

const scores = whole.predict(tf.tensor(image, [1, size, size, 3]));
await whole.save(tf.io.withSaveHandler(async ({ modelTopology, weightSpecs, weightData, ...rest }) => {
  const { format, generatedBy, convertedBy } = rest;
  writeFileSync(join(folder, "model.json"), JSON.stringify({ modelTopology, format, generatedBy, convertedBy,
    weightsManifest: [{ paths: ["weights.bin"], weights: weightSpecs }] }));
  writeFileSync(join(folder, "weights.bin"), Buffer.from(weightData));
  return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: "JSON" } };
}));
writeFileSync(join(folder, "metadata.json"), JSON.stringify({ tfjsVersion: "1.3.1", tmVersion: "2.4.7",
  packageVersion: "0.8.4", packageName: "@teachablemachine/image", timeStamp: "2026-01-01T00:00:00.000Z",
  userMetadata: {}, modelName: "tm-my-image-model", labels, imageSize: size }));
console.log("ANSWER " + JSON.stringify({ scores: Array.from(scores.dataSync()), layers: truncated.layers.length }));
