// What TF.js itself answers: node tools/models_tfjs.js MODEL.json REQUEST.json ANSWER.json PACKAGES
//
// REQUEST: {"backend", "inputs": {name: {shape, dtype, data}}, "outputs": [name]}; ANSWER: a list of
// {shape, dtype, data} in the order of the outputs. PACKAGES: the node_modules that hold
// @tensorflow/tfjs, and for "wasm" @tensorflow/tfjs-backend-wasm.
'use strict';
const fs = require('fs');
const path = require('path');
const { createRequire } = require('module');

const [file, asked, told, packages] = process.argv.slice(2);
const load = createRequire(path.join(packages, 'x.js'));
const tf = load('@tensorflow/tfjs');

/** An IOHandler that reads a model.json and the shards beside it. */
function folder(name) {
  return {
    async load() {
      const model = JSON.parse(fs.readFileSync(name, 'utf8'));
      const groups = model.weightsManifest || [];
      const parts = groups.flatMap((g) => g.paths.map(
        (p) => fs.readFileSync(path.join(path.dirname(name), p))));
      const bytes = Buffer.concat(parts);
      return {
        modelTopology: model.modelTopology,
        format: model.format,
        signature: model.signature,
        userDefinedMetadata: model.userDefinedMetadata,
        weightSpecs: groups.flatMap((g) => g.weights),
        weightData: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength),
      };
    },
  };
}

const ARRAYS = { int32: Int32Array, bool: Uint8Array };

function tensor({ shape, dtype, data }) {
  const bytes = Buffer.from(data, 'base64');
  const raw = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
  return tf.tensor(new (ARRAYS[dtype] || Float32Array)(raw), shape, dtype);
}

/**
 * TF.js 4.22 disposes of what the body of a loop has put into a list (TensorListSetItem marks it as
 * kept, GraphExecutor._executeAsync does not look), and then cannot stack the list. Kept tensors are
 * kept here.
 */
function keepWhatIsKept() {
  const dispose = tf.Tensor.prototype.dispose;
  tf.Tensor.prototype.dispose = function () {
    if (!this.kept) dispose.call(this);
  };
}

/**
 * TF.js 4.22 on the CPU and in WebAssembly takes the statistics of channels that come first, [1, C, 1,
 * 1], as if channels were last. Those are computed by parts here.
 */
function broadcastStatistics() {
  const name = 'FusedBatchNorm';
  const backendName = tf.getBackend();
  const { kernelFunc } = tf.getKernel(name, backendName);
  tf.unregisterKernel(name, backendName);
  tf.registerKernel({
    kernelName: name,
    backendName,
    kernelFunc(given) {
      const { x, mean, variance, scale, offset } = given.inputs;
      if (mean.shape.length < 2 || mean.shape[mean.shape.length - 1] === mean.size) {
        return kernelFunc(given);
      }
      const whole = tf.engine().makeTensorFromTensorInfo;
      const [a, m, v, s, b] = [x, mean, variance, scale, offset].map(
        (t) => t && whole.call(tf.engine(), t));
      let y = tf.div(tf.sub(a, m), tf.sqrt(tf.add(v, given.attrs.varianceEpsilon)));
      if (s) y = tf.mul(y, s);
      return b ? tf.add(y, b) : y;
    },
  });
}

async function main() {
  const request = JSON.parse(fs.readFileSync(asked, 'utf8'));
  if (request.backend === 'wasm') {
    const wasm = load('@tensorflow/tfjs-backend-wasm');
    wasm.setWasmPaths(path.join(packages, '@tensorflow/tfjs-backend-wasm/dist/'));
    wasm.setThreadsCount(1);
  }
  await tf.setBackend(request.backend);
  await tf.ready();
  broadcastStatistics();
  const topology = JSON.parse(fs.readFileSync(file, 'utf8')).modelTopology;
  let results;
  if ('node' in topology) {
    const model = await tf.loadGraphModel(folder(file));
    const feed = Object.fromEntries(
      Object.entries(request.inputs).map(([name, x]) => [name, tensor(x)]));
    const control = topology.node.some((n) => /^(Switch|Merge|Enter|While|StatelessWhile|If|.*NonMaxSuppression.*|Where|Unique.*)$/.test(n.op));
    results = control ? await model.executeAsync(feed, request.outputs)
      : model.execute(feed, request.outputs);
  } else {
    const model = await tf.loadLayersModel(folder(file));
    const named = model.inputNames.map((n) => request.inputs[n]);
    const given = (named.length && named.every(Boolean) ? named : Object.values(request.inputs)).map(tensor);
    results = model.predict(given.length === 1 ? given[0] : given);
  }
  const list = Array.isArray(results) ? results : [results];
  const answers = [];
  for (const t of list) {
    // A cast of whole numbers keeps their array, though it says float32.
    const data = (ARRAYS[t.dtype] || Float32Array).from(await t.data());
    answers.push({ shape: t.shape, dtype: t.dtype,
      data: Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('base64') });
  }
  fs.writeFileSync(told, JSON.stringify(answers));
}

main().catch((error) => {
  if (!/reading 'backend'/.test(String(error && error.message))) throw error;
  keepWhatIsKept();
  return main();
}).catch((error) => {
  console.error(String(error && error.message || error));
  process.exit(1);
});
