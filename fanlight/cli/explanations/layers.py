"""Errors of those who define and train models: layers, losses, data of a training."""

from __future__ import annotations

from fanlight.cli.explanations.text import Explanation

_MODEL = 'model = fl.Sequential([fl.Input((4,)), fl.layers.Dense(3, "softmax")])\n'
_BUDGET = 'model.compile("adam", "sparse_categorical_crossentropy", memory="{}")\n'
_STEP = "model.train_on_batch(np.ones((64, 4)), np.zeros(64))"
_READY = _MODEL + 'model.compile("adam", "sparse_categorical_crossentropy")\n'

LAYERS: dict[str, Explanation] = {
    # --- layers -----------------------------------------------------------------------------------
    "E-LAYER-001": Explanation(
        "The number of dims or the size of one is another than the layer was built for: a single "
        "example without the dim that counts examples, a picture where rows of numbers are "
        "awaited, or a size that is free where weights depend on it.",
        "Compare the shape in the message with layer.built_with and with model.summary(). x[None] "
        "makes a batch of one; fl.layers.Flatten makes a picture a row.",
        wrong="layer = fl.layers.Dense(3)\nlayer(fl.ones((2, 4)))\nlayer(fl.ones((2, 5)))",
        right="layer = fl.layers.Dense(3)\nlayer(fl.ones((2, 4)))\nlayer(fl.ones((9, 4)))",
    ),
    "E-LAYER-002": Explanation(
        "The weights of a layer depend on the size of what goes into it, and this model does not "
        "begin with fl.Input and was not called yet, so that nobody has said it.",
        "Put fl.Input(shape) in front, without the dim that counts examples; or call the model "
        "once with an example.",
        wrong="fl.Sequential([fl.layers.Dense(3)]).graph",
        right="fl.Sequential([fl.Input((4,)), fl.layers.Dense(3)]).graph",
    ),
    "E-LAYER-003": Explanation(
        "A name is misspelt, or a file names a class or function of somebody's own that this "
        "program has not told of.",
        "The message lists the names that there are, in either style: MeanSquaredError or "
        "mean_squared_error. Give an object instead of a name, or put @fl.register() above a class "
        "or function of yours before a file is loaded.",
        wrong='fl.losses.get("mean_square_error")',
        right='fl.losses.get("mean_squared_error")',
    ),
    "E-LAYER-004": Explanation(
        "An argument is out of range, of another kind than it should be, or does not exist: a "
        "negative learning rate, a class where an object is needed, a threshold above 1, two ways "
        "to clip gradients at once.",
        "The message names the argument, what it may be, and what was given. Names and defaults "
        "are those of Keras 3.",
        wrong="fl.optimizers.Adam(learning_rate=-0.1)",
        right="fl.optimizers.Adam(learning_rate=0.1)",
    ),
    "E-LAYER-005": Explanation(
        "fl.Model was given outputs that do not follow from its inputs: an input was left out, or "
        "something other than what fl.Input and layers gave. Or layer.output was asked of a layer "
        "that has no place in a model, or several.",
        "List every fl.Input that the outputs need, and call layers with what fl.Input gave. Of a "
        "layer that is used several times, layer.nodes has each place.",
        wrong="a, b = fl.Input((2,)), fl.Input((2,))\nfl.Model(a, fl.layers.Dense(1)(b))",
        right="a, b = fl.Input((2,)), fl.Input((2,))\nfl.Model(b, fl.layers.Dense(1)(b))",
    ),
    "E-LAYER-006": Explanation(
        "The arrays come from a model with other layers or sizes, or in another order. Nothing is "
        "changed then: either all weights are taken, or none.",
        "Every weight that does not fit is listed. Compare with model.summary(); weights are in "
        "the order of model.weights, those that train before those that do not in each layer.",
        wrong=_MODEL + "model.set_weights([np.ones((4, 2)), np.ones(3)])",
        right=_MODEL + "model.set_weights([np.ones((4, 3)), np.ones(3)])",
    ),
    "E-LAYER-007": Explanation(
        "get_layer was asked for a name or a number that no layer has. Layers that were given no "
        "name are counted over the whole program: dense, dense_1, dense_2.",
        "The message lists the names. Give layers that you look for a name of their own: "
        'fl.layers.Dense(3, name="head"). fl.clear_session() counts from the beginning again.',
        wrong=_MODEL + 'model.get_layer("head")',
        right="model = fl.Sequential([fl.Input((4,)), "
        'fl.layers.Dense(3, name="head")])\nmodel.get_layer("head")',
    ),
    # --- training ---------------------------------------------------------------------------------
    "E-LAYER-008": Explanation(
        "The file names classes that fl.layers does not have: layers of the author's own, or of "
        "another library. Or it keeps the function of a Lambda as Python bytecode, which is never "
        "run. The message lists all of them.",
        "Write the class (its arguments are in the file) and register it under the name of the "
        "file before the model is loaded: @fl.register(package, name) above it. For a Lambda write "
        "its function, and register it under the name of the layer: @fl.register(name="
        "'lambda_1').",
    ),
    "E-LAYER-009": Explanation(
        "The ending of the name says what is written, and this kind of file cannot hold what was "
        "asked: TF.js has no GRU with reset_after, save_weights keeps no layers, and the "
        "code of a class of your own is in no file.",
        "Save as .keras, which holds everything; or change the layer that the message names. A "
        "class of your own is named by a file if it has @fl.register() above it and a get_config "
        "that gives the arguments of its __init__; else keep its weights: save_weights, and "
        "load_weights into one that was made and called.",
    ),
    "E-LAYER-010": Explanation(
        "The folder does not exist or may not be written to, the disk is full, or there is a file "
        "already and overwrite=False. A file that was there before is as it was.",
        "Give a path in a folder that exists, or leave overwrite out.",
    ),
    "E-TRAIN-001": Explanation(
        "fit or evaluate was called before compile, compile was given no loss, or it names losses, "
        "metrics or weights for outputs that the model does not have.",
        'Call model.compile("adam", loss="mse") first. Of several outputs, give a dict by their '
        "names, or a list in their order; the message has the names.",
        wrong=_MODEL + "model.fit(np.ones((6, 4)), np.zeros(6), verbose=0)",
        right=_READY + "model.fit(np.ones((6, 4)), np.zeros(6), verbose=0)",
    ),
    "E-TRAIN-002": Explanation(
        "x, y and sample_weight have different numbers of rows, an input or output of the model "
        "has no array, lists are of different lengths, or the labels do not fit the outputs. So do "
        "labels that are texts, and a sample_weight that has other dims than the losses have.",
        "Compare the shapes in the message: the first dim counts examples everywhere. Several "
        "inputs or outputs are given as a list in their order, or as a dict by their names.",
        wrong=_READY + "model.fit(np.ones((6, 4)), np.zeros(5), verbose=0)",
        right=_READY + "model.fit(np.ones((6, 4)), np.zeros(6), verbose=0)",
    ),
    "E-TRAIN-003": Explanation(
        "A learning rate that is too high made numbers grow without end, or the data have a NaN "
        "in them, or something takes the logarithm or the root of what it should not. Received "
        "says the loss of the step, the first weight that is not finite after it, and what made "
        "the first such number, computed with the weights before the epoch: the data, the output "
        "of a layer, or a gradient.",
        "Look at the data first: np.isfinite(x).all(). Then lower the learning rate, give the "
        "optimizer clipnorm=1.0, and use a loss with from_logits=True instead of a softmax before "
        "it. fl.callbacks.ModelCheckpoint keeps the last good epoch; with "
        "fl.callbacks.TerminateOnNaN training stops without an error.",
        wrong=_READY + "model.fit(np.full((6, 4), np.nan), np.zeros(6), verbose=0)",
        right=_READY + "model.fit(np.full((6, 4), 0.5), np.zeros(6), verbose=0)",
    ),
    "E-TRAIN-004": Explanation(
        "Classes are counted from 0, so that 3 classes are 0, 1 and 2: labels that begin at 1, or "
        "a last layer with too few units, lead here. So do labels outside 0 to 1 with a binary "
        "loss, and class_weight with a class that the model does not have, or with labels that "
        "have several classes for each example.",
        "Subtract 1 from the labels, or give the last layer as many units as there are classes. "
        "Labels of -1 and 1 go with the loss hinge. A class that class_weight leaves out counts 1. "
        "Where each example has several classes, sample_weight says what each of them counts.",
        wrong=_READY + "model.fit(np.ones((3, 4)), np.array([1, 2, 3]), verbose=0)",
        right=_READY + "model.fit(np.ones((3, 4)), np.array([0, 1, 2]), verbose=0)",
    ),
    "E-TRAIN-005": Explanation(
        "An array has no rows, a folder was empty, a filter left nothing, or a generator had been "
        "gone through already when training began.",
        "Look at len(x) and at where it came from. Give a dataset that can be gone through again, "
        "or steps_per_epoch with a generator that does not end.",
        wrong=_READY + "model.fit(np.ones((0, 4)), np.zeros(0), verbose=0)",
        right=_READY + "model.fit(np.ones((1, 4)), np.zeros(1), verbose=0)",
    ),
    "E-TRAIN-006": Explanation(
        "The budget that compile(memory=) or fl.training(memory=) gave is less than a step can do "
        "with, though everything is computed again that can be: the inputs, the largest values "
        "together with their gradients, and the gradients of all weights remain.",
        "Give the amount that the message names, or a smaller batch: what a step needs grows with "
        "it. Smaller pictures and narrower layers help, too.",
        wrong=_MODEL + _BUDGET.format("1 kB") + _STEP,
        right=_MODEL + _BUDGET.format("1 MB") + _STEP,
    ),
    "E-TRAIN-007": Explanation(
        "A number of epochs, steps or examples is no whole number or too small, validation_split "
        "is no share, verbose or shuffle is none of what they may be, or a class or function "
        "stands where an object of fl.callbacks should.",
        "The message names the argument and what it may be; names and defaults are Keras's. A "
        "callback is made with parentheses: fl.callbacks.EarlyStopping().",
        wrong=_READY + "model.fit(np.ones((6, 4)), np.zeros(6), epochs=1.5, verbose=0)",
        right=_READY + "model.fit(np.ones((6, 4)), np.zeros(6), epochs=2, verbose=0)",
    ),
}
