"""Errors of builds, bundles, hosts, commands, and of the runtime in a visitor's page."""

from __future__ import annotations

from fanlight.cli.explanations.text import Explanation

RUNNING: dict[str, Explanation] = {
    "E-BUILD-001": Explanation(
        "An op of the graph has no kernel for WebAssembly, or not with these options; all such "
        "nodes are listed. docs/ops.md says of each op how it is computed.",
        "Express it by other ops, or leave that step to Python or to the page.",
    ),
    "E-BUILD-002": Explanation(
        "The labels belong to another model, have a header line or an empty one, or the model has "
        "a background class that the labels leave out.",
        "Write one label per score, in their order. For a background class: --background.",
    ),
    "E-BUILD-003": Explanation(
        "The task classify needs one picture in and one vector of scores out.",
        "Build it without a task (task=None, --task none): the page then takes arrays.",
    ),
    "E-BUILD-004": Explanation(
        "At the output path lies something that Fanlight did not write, and will not overwrite; or "
        "you may not write there.",
        "Choose a new path, or remove by hand what is there.",
    ),
    "E-BUILD-005": Explanation(
        "An option is misspelt, or contradicts another one: photos for calibration in a float "
        "build, options of a classifier for a model without a task. Or `out` is no path.",
        "The message says which values there are, or which of the two to leave out.",
        wrong='fl.build(lambda x: x * 2, "out")',
        right='fl.build(lambda x: x * 2, "out", inputs={"x": fl.spec((3,))})',
    ),
    "E-BUILD-006": Explanation(
        "A weight is NaN or infinite: training diverged, or a float16 file overflowed. A mask, "
        "which holds nothing but 0, 1, -1 and infinity, is built.",
        "Build an earlier checkpoint; look for a learning rate that is too high. E-FORMAT-009 is "
        "the same, found when a file is read.",
    ),
    "E-BUILD-007": Explanation(
        "Weights and intermediate values together exceed 4 GiB, which 32-bit addresses reach.",
        "Give a smaller input size or batch. `fanlight inspect` shows where the bytes are.",
    ),
    "E-BUILD-008": Explanation(
        "The code generator contradicted itself; it checks every instruction that it writes. "
        "Nothing that you gave is wrong.",
        "Report it with the model or the function. `fanlight --debug build` shows the place.",
    ),
    "E-BUILD-009": Explanation(
        "A file of the runtime does not have the form that joining it into one page relies on. "
        "Unless you changed files of the package or of the bundle, this is a bug.",
        "Build the bundle again; if that does not help, report it.",
    ),
    "E-BUILD-010": Explanation(
        "The function has no inputs, so that there is nothing to run; or a dim of size 0 leaves an "
        "input or output without elements.",
        "Give it an input, or compute the constant in Python. Leave empty tensors out.",
        wrong='fl.build(lambda: fl.ones(2), "out", inputs={})',
        right='fl.build(lambda x: x + fl.ones(2), "out", inputs={"x": fl.spec(())})',
    ),
    # --- bundles ----------------------------------------------------------------------------------
    "E-BUNDLE-001": Explanation(
        "The folder is not one that `fanlight build` wrote, or its manifest.json was not copied "
        "along; often the source model was named.",
        "Name the folder with manifest.json in it, or build one.",
    ),
    "E-BUNDLE-002": Explanation(
        "manifest.json was edited, cut short, or made by another tool.",
        "Build the bundle again: everything in it is generated.",
    ),
    "E-BUNDLE-003": Explanation(
        "A file was not copied, changed on its way (line ends, a deploy tool that rewrites files), "
        "or belongs to another build.",
        "Copy the whole folder again, as binary; or build it again.",
    ),
    "E-BUNDLE-004": Explanation(
        "The bundle's protocol is newer than this installation knows.",
        "Upgrade Fanlight, or build the bundle again with this version.",
    ),
    "E-BUNDLE-005": Explanation(
        "A file name in manifest.json leads out of the folder. No build writes such names.",
        "Do not trust this bundle. Build it again from its source.",
    ),
    "E-BUNDLE-006": Explanation(
        "A folder that `fanlight build --tiers`, fl.cascade or fl.early_exits wrote holds several "
        "bundles, each in a sub-folder. The name that was given is none of theirs, the list of "
        "them (tiers.json, cascade.json) was changed, or one bundle was wanted of stages that only "
        "answer together.",
        'Name one: fl.open_bundle(folder, tier="int8-160"), or `fanlight run folder/int8-160`. The '
        "message lists the names.",
    ),
    # --- hosts ------------------------------------------------------------------------------------
    "E-HOST-001": Explanation(
        'host="wasm" needs wasmtime; host="browser" needs Playwright and a Chromium.',
        "Install what the message names; `fanlight doctor` shows what was found. "
        'host="numpy" needs nothing.',
    ),
    "E-HOST-002": Explanation(
        "The name given to run(host=...) or fl.check is misspelt, or is that of a back end.",
        'It is "wasm" (wasmtime in this process), "numpy" or "browser".',
        wrong='double = fl.build(lambda x: x * 2, "out", inputs={"x": fl.spec(())})\n'
        'double.run({"x": 1.0}, host="gpu")',
        right='double = fl.build(lambda x: x * 2, "out", inputs={"x": fl.spec(())})\n'
        'double.run({"x": 1.0}, host="numpy")',
    ),
    "E-HOST-003": Explanation(
        "The module was changed, the engine is too old for its instructions, or the module stopped "
        "in the middle of a run.",
        "Build the bundle again and upgrade wasmtime. If `fanlight check` fails on a fresh build, "
        "report it.",
    ),
    "E-HOST-004": Explanation(
        "Chromium lacks a library or a sandbox on this machine, or ran out of memory.",
        "Start it by hand, as the message shows, to see why. FANLIGHT_CHROMIUM names another one.",
    ),
    "E-HOST-005": Explanation(
        "The runtime in the page reported an error, which the message holds with a code of its "
        "own (E-WEB-...).",
        "Look that code up: `fanlight explain E-WEB-004`.",
    ),
    # --- commands ---------------------------------------------------------------------------------
    "E-CONVERT-001": Explanation(
        "`fanlight convert` writes TF.js (tfjs-layers, tfjs-graph), keras, h5, onnx, safetensors "
        "and bundles. Without --to the ending of the destination decides; a folder is for TF.js.",
        "Say one of these with --to, or give the destination an ending that says it.",
    ),
    "E-CONVERT-002": Explanation(
        "A file of layers (.keras, .h5, a TF.js layers-model) can be made of a source that has "
        "layers only; a graph (SavedModel, ONNX, TFLite, PyTorch) has lost them. Or an option asks "
        "for what that format has not: quantised weights outside of TF.js, a free batch that the "
        "source does not have.",
        "Write a graph instead: --to tfjs-graph, --to onnx, --to bundle; or leave the option out.",
    ),
    "E-CONVERT-003": Explanation(
        "--inputs, --outputs and --subgraph name nodes of the graph, as `fanlight inspect` lists "
        "them. A name is misspelt, or the outputs depend on more than the inputs that are named.",
        "Look at the names with `fanlight inspect SRC`, and name every input of the part.",
    ),
    "E-CLI-001": Explanation(
        "Another program listens on this port: often an earlier `fanlight serve`.",
        "Stop it, or take another port; --port 0 finds a free one.",
    ),
    "E-CLI-002": Explanation(
        "The folder is misspelt or a file; or the system does not let you open this port (those "
        "below 1024 belong to root).",
        "Name the folder that `fanlight build` wrote, and a port above 1023.",
    ),
    "E-CLI-003": Explanation(
        "The code is misspelt, or comes from another version of Fanlight.",
        "`fanlight explain` without a code lists all that this version knows.",
    ),
    "E-CLI-004": Explanation(
        "A path on the command line is misspelt, or not yours to read.",
        "Check it. A relative path starts in the working directory.",
    ),
    "E-CLI-005": Explanation(
        "The command needs what a plain installation leaves out: the bench/ folder of a checkout, "
        "or the package of an extra.",
        "Install what the message names, or leave that option out.",
    ),
    "E-CLI-006": Explanation(
        "`fanlight run` prints labels and shares, and this bundle was built without a task.",
        "Build it with --task classify, or run it from Python: bundle.run({name: array}).",
    ),
    "E-CLI-007": Explanation(
        "The folder of the output file does not exist, or you may not write there.",
        "Make the folder first, or choose a path that you may write to.",
    ),
    "E-CLI-008": Explanation(
        "An exception without a code reached the command line.",
        "Run `fanlight --debug` with the same arguments, and report what it prints.",
    ),
    "E-CLI-009": Explanation(
        "The file is empty, no text in UTF-8, or JSON of another form than a list or an object of "
        "names.",
        'Write one label per line, or JSON: ["cat", "dog"].',
    ),
    "E-CLI-010": Explanation(
        "Peers and rooflines take one network of one picture, and a bundle no longer has the model "
        "that others could run.",
        "Name the source model, or leave out the option that the message names.",
    ),
    # --- the runtime in a page --------------------------------------------------------------------
    "E-WEB-001": Explanation(
        "load() got an address that is none, or it, fit() or evaluate() got an option that there "
        "is not, or a value that the option cannot have.",
        "load('./site/') takes the folder of the bundle; the message names the option and its "
        "values. docs/training.md lists the options of fit and evaluate.",
    ),
    "E-WEB-002": Explanation(
        "The browser is very old, or WebAssembly was switched off by its owner.",
        "Tell the visitor to use a current browser; catch the error and show something else.",
    ),
    "E-WEB-003": Explanation(
        "The browser is older than SIMD in WebAssembly (before Chrome 91, Firefox 89, Safari "
        "16.4), or { simd: 'relaxed' } was asked of one that has no relaxed SIMD.",
        "Leave simd out: the module without relaxed SIMD is taken by itself where that is missing.",
    ),
    "E-WEB-004": Explanation(
        "The device has too little free memory for the model or the photo; phones give a page a "
        "few hundred megabytes.",
        "Build a smaller input size or a smaller model. int8 shrinks weights to a quarter.",
    ),
    "E-WEB-005": Explanation(
        "A file is not on the server (HTTP 404), or the network broke off. Some hosts do not serve "
        ".wasm or .bin without being told.",
        "Upload the whole folder; open the address in the message to see what comes.",
    ),
    "E-WEB-006": Explanation(
        "An old copy lies in a cache between you and the visitor, a deploy tool rewrote the file, "
        "or only part of a new build was uploaded.",
        "Upload the whole bundle again, and clear the cache of your content delivery network.",
    ),
    "E-WEB-007": Explanation(
        "Instead of manifest.json an error page came (HTTP 200 with HTML), or it was edited.",
        "Check the address that was given to load(), and upload the bundle again.",
    ),
    "E-WEB-008": Explanation(
        "fanlight.js comes from an older build than manifest.json: it was copied elsewhere, or is "
        "cached.",
        "Use the fanlight.js that lies in the bundle's own folder.",
    ),
    "E-WEB-010": Explanation(
        "The names given to run() are not those of the model's inputs, or those given to fit() and "
        "evaluate() not those of its inputs and outputs; or one array was given where there are "
        "several.",
        "model.inputs and model.outputs list them. A complex input z is given as z_real and "
        "z_imag.",
    ),
    "E-WEB-011": Explanation(
        "The typed array has more or fewer elements than the input, or a free size needs a shape "
        "beside the data; or fit() got arrays that have different numbers of examples.",
        "Give { data, shape }: await model.run({ image: { data: rgba, shape: [h, w, 4] } }). Of "
        "examples the message says how many numbers one has.",
    ),
    "E-WEB-012": Explanation(
        "A plain array or one of another type was given to run(): nothing is converted in silence. "
        "fit() and evaluate() take lists, too, but only of numbers, and no weight below 0.",
        "Float32Array for float32, Int32Array for int32, Uint8Array for uint8 and bool.",
    ),
    "E-WEB-013": Explanation(
        "A size that may vary is beyond the bound that memory was planned for.",
        "Make the picture smaller first (classify() does it), or build with a larger bound.",
    ),
    "E-WEB-014": Explanation(
        "dispose() was called while an answer was awaited.",
        "Await the answers first; load() the model again to go on.",
    ),
    "E-WEB-015": Explanation(
        "The bundle was built without a task, so that pictures mean nothing to it.",
        "Use run() with arrays, or build it with --task classify (in Python, of a model that "
        "trains, too: task=fl.tasks.classify(...)).",
    ),
    "E-WEB-016": Explanation(
        "The file is no picture, or of a format that this browser lacks (HEIC in most).",
        'Ask for another file; offer accept="image/*".',
    ),
    "E-WEB-017": Explanation(
        "The picture comes from another site, which has not allowed pages to read it; or what was "
        "given is no picture, or has not loaded yet.",
        "Serve it with CORS and set crossorigin on the img, or have it on the same site.",
    ),
    "E-WEB-018": Explanation(
        "The page's Content-Security-Policy forbids compiling WebAssembly, or the module stopped "
        "with a trap.",
        "Add 'wasm-unsafe-eval' to script-src. If it stops in a fresh build, report it.",
    ),
    "E-WEB-019": Explanation(
        "The visitor refused the camera, there is none, another program has it, or the page does "
        "not come over https.",
        "Serve over https (localhost counts as secure), and offer a file as well.",
    ),
    "E-WEB-030": Explanation(
        "The bundle has no training.json: it was built without `train`.",
        'Build it again: fl.build(model, out, train=fl.training("adam", loss)).',
    ),
    "E-WEB-031": Explanation(
        "The array of examples is empty: nothing was collected, or a filter left nothing of it.",
        "Look at the length of what was collected before fit or evaluate is called.",
    ),
    "E-WEB-032": Explanation(
        "Class numbers count from 0 to one less than the units of the last layer; labels of a "
        "binary loss are from 0 to 1. classWeight names such classes, of labels that have one for "
        "each example.",
        "Look at how labels are made; build the model with more units for more classes.",
    ),
    "E-WEB-033": Explanation(
        "A step gave NaN or infinity: the learning rate is too high, or the data hold such "
        "numbers. The weights are those before the epoch. Received says the loss, and the first "
        "weight that is not finite after the step.",
        "A lower learning rate or clipnorm=1.0 in the optimizer that the bundle is built with; "
        "inputs between 0 and 1.",
    ),
    "E-WEB-034": Explanation(
        "setWeights got names that the model does not have, or arrays of other lengths. Nothing "
        "was changed.",
        "getWeights() shows names and shapes.",
    ),
    "E-WEB-035": Explanation(
        "IndexedDB is full or refused, as in some private windows and for files in some browsers. "
        "fit() trains all the same, and gives this error as `unkept` of its result.",
        "Free disk space, or keep what save() gives as a file.",
    ),
    "E-WEB-036": Explanation(
        "fit, evaluate or what changes the model was called before an earlier fit, evaluate or "
        "restore has ended: both would use the same weights and counts.",
        "Await the promise of the earlier one, or end it by the signal of an AbortController. run, "
        "classify, pictures, getWeights and save go meanwhile.",
    ),
    "E-WEB-037": Explanation(
        "setClasses was called on a model that was built for one number of classes, was given "
        "names that are empty or the same, or is to keep classes that there are not, or more than "
        "there will be.",
        'Build it with dims={"classes": 20}; give each class a name of its own; keep lists numbers '
        "of classes of now, each once, the first of the new ones in their order: setClasses(3, "
        "[0, 2]).",
    ),
    "E-WEB-020": Explanation(
        "worker.js could not be loaded (not uploaded, or worker-src of the policy forbids it), or "
        "the browser ended it for want of memory.",
        "Upload the whole folder; allow worker-src 'self' (blob: for a page in one file).",
    ),
    "E-WEB-021": Explanation(
        "One of the threads ended in the middle of a run: the browser took it back, or memory ran "
        "out.",
        "Call again: the model goes on. { threads: 1 } does without helpers.",
    ),
}
