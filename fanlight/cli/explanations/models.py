"""Errors of model files, and of calibration data."""

from __future__ import annotations

from fanlight.cli.explanations.text import Explanation

MODELS: dict[str, Explanation] = {
    "E-FORMAT-001": Explanation(
        "The path is misspelt, or leads to something that is neither a file nor a folder, to an "
        "empty file, or to one that you may not read. Or a zip's model found no room to be "
        "unpacked.",
        "Check spelling and permissions. A relative path starts in the working directory. Make "
        "room where temporary files are kept, or name another folder in TMPDIR.",
    ),
    "E-FORMAT-002": Explanation(
        "The contents are those of another format: a pickle of PyTorch, a checkpoint, weights "
        "without a topology. Or a folder was named that holds no model, or several.",
        "Name the file itself. Save a Keras model as .keras, and export one of PyTorch with "
        "torch.export; the message says what fits the file that you gave.",
    ),
    "E-FORMAT-003": Explanation(
        "What was saved as model.json is something else: an error page, a Git LFS pointer, a "
        "download that broke off.",
        "Open it in an editor, and download it again.",
    ),
    "E-FORMAT-004": Explanation(
        "The file is not what its name says, or was made to exhaust memory: no real model has a "
        "topology of this size or depth.",
        "Check that this is the model's .json file. Weights belong into binary files beside it.",
    ),
    "E-FORMAT-005": Explanation(
        "The file was edited by hand, cut short, or written by a tool that takes liberties.",
        "Convert or save the model again. If the converter wrote it so, report it with the file.",
    ),
    "E-FORMAT-006": Explanation(
        "The shards (group1-shard1of4.bin and so on) were not copied along with model.json, or "
        "were renamed.",
        "Put all files of the model into one folder, under the names that the manifest gives.",
    ),
    "E-FORMAT-007": Explanation(
        "A shard broke off during its download, or belongs to another version of the model.",
        "Download all files of the model again, together.",
    ),
    "E-FORMAT-008": Explanation(
        "The manifest says that a weight is stored as something that no converter writes; or a "
        "constant is a string or a complex number.",
        "Convert the model again with a current tensorflowjs_converter.",
    ),
    "E-FORMAT-009": Explanation(
        "The training diverged, and the model was saved afterwards. Every answer would be NaN.",
        "Go back to an earlier checkpoint; train with a smaller learning rate, or clip gradients.",
    ),
    "E-FORMAT-010": Explanation(
        "model.json names weights by a path with '..', an absolute path or a URL. Files from "
        "strangers are not followed out of their folder, and nothing is fetched.",
        "Move the weights beside model.json, and name them there.",
    ),
    "E-FORMAT-011": Explanation(
        "Topology and weights belong to different models, or only one of them was saved "
        "(save_weights instead of save).",
        "Save the whole model again: model.save('model.keras').",
    ),
    "E-FORMAT-012": Explanation(
        "The layer is supported, but not with this value of an option, this rank of input, or an "
        "option that a newer Keras has added. To pass over it could change the answers.",
        "Choose another value if you can and save again; docs/formats.md says what is read. "
        "Otherwise ask for it in an issue.",
    ),
    "E-FORMAT-013": Explanation(
        "The graph has ops that have no meaning here; all are listed. Often they are a tail of "
        "post-processing (non-max suppression, lookups of strings) or control flow.",
        "Export the part of the model before them, and do the rest with functions of fanlight: "
        "fl.build builds those, too.",
    ),
    "E-FORMAT-014": Explanation(
        "The model has custom layers or Lambda; all that are unknown are listed. Their code is in "
        "Python, and the file has none.",
        "Write the class with @fl.register(package, name) above it, then fl.load or "
        "fl.load_model(path) knows it, and fl.build builds it (the command line knows no classes "
        "of yours). Or replace these layers by those of fl.layers.",
    ),
    "E-FORMAT-015": Explanation(
        "The graph holds a loop: a recurrent layer that was not unrolled, or a damaged file.",
        "Export the model without loops: Keras layers take unroll=True. Otherwise convert it "
        "again.",
    ),
    "E-FORMAT-016": Explanation(
        "The topology was edited or cut: something takes its input from a node or layer that is "
        "not in the file.",
        "Convert or save the whole model again.",
    ),
    "E-FORMAT-017": Explanation(
        "The model takes pictures (or sequences) of any size; memory is planned when the page is "
        "built, so that the size must be known.",
        "Say it: --size 224, or fanlight convert --input-shape tokens=1,20. In Python "
        "fl.load(path, size=224), or fl.load(path, input_shapes={'tokens': (1, 20)}). What becomes "
        "layers again (.keras, .h5, a TF.js layers-model) needs no sizes.",
    ),
    "E-FORMAT-018": Explanation(
        "A size was given where the model fixes its own, for an input of another name, or one that "
        "is no size. Or a signature, tags, inputs or outputs were named that the model does not "
        "have, or that its format does not know; or a value or a table does not fit.",
        "The message lists what there is; `fanlight inspect` shows the inputs and their shapes. "
        "Leave the option out where nothing is open.",
    ),
    "E-FORMAT-019": Explanation(
        "A shape, an axis or a range in the graph is computed from the input itself. Shapes are "
        "fixed when the page is built.",
        "Export the model with a fixed input shape; then most such values are constants. Where the "
        "numbers of one input decide it, fix that input: fl.load(path, input_values={'n': 16}), or "
        "fanlight convert --input-value n=16.",
    ),
    "E-FORMAT-020": Explanation(
        "The archive is cut short, is a zip of something else, or has names, sizes or compression "
        "ratios that Keras never writes.",
        "Save it again: model.save('model.keras'). Do not trust it if it came from a stranger.",
    ),
    "E-FORMAT-021": Explanation(
        "The file holds weights only (save_weights), is damaged, or points to other files, which "
        "are not followed.",
        "Save the whole model as one file: model.save('model.keras').",
    ),
    "E-FORMAT-022": Explanation(
        "h5py is an extra: those who read model.json only do not need it.",
        "pip install 'fanlight[keras]', or -e '.[keras]' in a checkout.",
    ),
    "E-FORMAT-023": Explanation(
        "A size given for an open dim is far too large, or a damaged file claims weights that it "
        "cannot hold.",
        "Give a smaller size; download the model again.",
    ),
    "E-FORMAT-024": Explanation(
        "Random weights are for timing a topology. Here numbers among the weights are shapes or "
        "axes, and neither their role nor what is around them tells what they could be.",
        "Get the weight files, or take a layers-model of the same network.",
    ),
    "E-FORMAT-040": Explanation(
        "The model has ops that the format to be written has no word for, and none that they could "
        "be put together of. The message lists all of them with their nodes.",
        "Write another format (a bundle of fl.build holds every op), or leave the part with these "
        "ops out of the model.",
    ),
    "E-FORMAT-041": Explanation(
        "Weights are quantised as float16, uint8 or uint16: all of them, or those whose names "
        "match a pattern; a weight that matches patterns of two kinds could be either.",
        "quantize='uint8', or quantize=['uint8=conv*', 'float16'] for the rest.",
    ),
    # --- calibration ------------------------------------------------------------------------------
    "E-CALIB-001": Explanation(
        "int8 must know how large the values in the model become, and no data were given to find "
        "out.",
        "Give about a hundred photos such as visitors will show: --calibrate FOLDER, or "
        "fl.quantize(model, 'photos/', task=task).",
    ),
    "E-CALIB-002": Explanation(
        "The path leads to no photos, or what was given is neither photos nor arrays as the model "
        "takes them; without a task nobody knows how a photo becomes an input.",
        "Give a folder, a .tar, a list of paths, uint8 photos [h, w, 3] with a task, or arrays of "
        "the input's shape.",
    ),
    "E-CALIB-003": Explanation(
        "It is a .tar.gz or a .zip, whose sizes are not known before they are unpacked; or its "
        "download broke off.",
        "Unpack it, and name the folder; or make a plain .tar of it.",
    ),
    "E-CALIB-004": Explanation(
        "One of the items has NaN or infinity in it, or the model makes them of it: ranges cannot "
        "be measured with that.",
        "Leave the item out that the message names. If the model makes NaN of good photos, its "
        "weights are to blame.",
    ),
    "E-CALIB-005": Explanation(
        "Bytes pay in convolutions and dense layers with constant weights, and there is none; or "
        "the model is quantised already.",
        "Build it in float32, or with --precision f16 for half the download.",
    ),
    "E-CALIB-006": Explanation(
        "A name in float_layers= is none of a layer of this model; names change when a model is "
        "converted.",
        "print(quantized.report) of a first try lists the names; float_layers='auto' chooses by "
        "itself.",
    ),
}
