"""Errors of those who compute: ops, tensors, graphs, inputs."""

from __future__ import annotations

from fanlight.cli.explanations.text import Explanation

_BUG = (
    "If you did not write the graph or the pass yourself, this is a bug in Fanlight: report it "
    "with the model, or with the function that was traced."
)

TENSORS: dict[str, Explanation] = {
    # --- ops --------------------------------------------------------------------------------------
    "E-OP-001": Explanation(
        "A function that takes a list of tensors was given an empty one; or a graph written as "
        "text, or through graph.Builder, gives an op too few or too many inputs.",
        "Give the list at least one tensor. docs/ops.md says how many inputs each op takes.",
        wrong="fl.concat([])",
        right="fl.concat([fl.ones(2), fl.zeros(3)])",
    ),
    "E-OP-002": Explanation(
        "A graph written as text or through graph.Builder misspells an attribute, or leaves out "
        "one that has no default.",
        "The table under the op in docs/ops.md lists its attributes, and which are required.",
    ),
    "E-OP-003": Explanation(
        "The op is not defined for this dtype: bits of float32 numbers, the sine of strings, an "
        "order of complex numbers; or two inputs that must be alike are not.",
        "Cast first. Of complex numbers take fl.real, fl.imag, fl.abs or fl.angle.",
        wrong="fl.bitwise_and(fl.tensor([1.0, 2.0]), 1)",
        right='fl.bitwise_and(fl.cast(fl.tensor([1.0, 2.0]), "int32"), 1)',
    ),
    "E-OP-004": Explanation(
        "Two shapes do not broadcast: counted from the last dim, sizes must be equal or 1. Or an "
        "op needs other ranks or sizes, such as the inner sizes of a matrix product.",
        "Compare both shapes in the message from the right. fl.reshape or x[:, None] puts a dim of "
        "1 in; fl.transpose swaps two.",
        wrong="fl.ones((2, 3)) + fl.ones(2)",
        right="fl.ones((2, 3)) + fl.ones(2)[:, None]",
    ),
    "E-OP-005": Explanation(
        "An argument beside the tensors is of the wrong kind or out of range: an axis that the "
        "tensor does not have, a shape of another number of elements, an unknown mode.",
        "The message names the argument and what it may be. Axes count from 0, or from -1 "
        "backwards.",
        wrong="fl.reshape(fl.ones(6), (4, 2))",
        right="fl.reshape(fl.ones(6), (3, -1))",
    ),
    "E-OP-006": Explanation(
        "A graph written as text or through graph.Builder names an op that is not in the table. "
        "Functions such as fl.conv3d are made of several ops, and are no ops themselves.",
        "docs/ops.md lists the ops. Trace a function instead (fl.jit, fl.build): it finds the ops.",
    ),
    "E-OP-007": Explanation(
        "A size that is free until the model runs (a symbolic dim, as the height of a photo, or "
        'batch in fl.spec(("batch", 3))) would become another one: batch + 1, two batches joined, '
        "a part of it, or one dim with dims before it; or the op does not hold for the least "
        "size, as x[4] of a batch of 1.",
        "Keep the symbolic dim as it is, or merge it with dims behind it alone (as "
        "x.reshape((-1, 4)) does), and do other things along other dims; give it a least size "
        '(dims={"batch": (5, 64)}), or a fixed one. Photos come to a fixed size by resize_image '
        "(fl.tasks.classify does it).",
        wrong='rows = {"x": fl.spec(("batch", 3))}\n'
        'fl.build(lambda x: x[1:], "out", inputs=rows, dims={"batch": 8})',
        right='rows = {"x": fl.spec(("batch", 3))}\n'
        'fl.build(lambda x: x[:, 1:], "out", inputs=rows, dims={"batch": 8})',
    ),
    "E-OP-008": Explanation(
        "A gradient was asked for, and an op stands in the way that has none; the message says "
        "why. docs/ops.md says it of every op.",
        "Put fl.stop_gradient around what needs no gradient, write one with fl.custom_gradient, or "
        "take the form of the function that has one.",
        wrong="tall = fl.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]])\n"
        "fl.grad(lambda x: fl.sum(fl.linalg.qr(x, full_matrices=True)[0]))(tall)",
        right="tall = fl.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]])\n"
        "fl.grad(lambda x: fl.sum(fl.linalg.qr(x)[0]))(tall)",
    ),
    # --- tensors ----------------------------------------------------------------------------------
    "E-TENSOR-001": Explanation(
        "Lists of different lengths, objects that are no numbers, a whole number beyond int32, or "
        "a dtype that does not exist here: there is no float64 and no int64. A shape given as two "
        "arguments makes the second one a dtype.",
        "Give equal lengths, one of the dtypes in the message, and a shape as one tuple.",
        wrong="fl.ones(2, 3)",
        right="fl.ones((2, 3))",
    ),
    "E-TENSOR-002": Explanation(
        "x.dispose(), fl.dispose or fl.tidy freed the numbers of the tensor. fl.tidy frees what "
        "its function made and does not return.",
        "Return it from the function of fl.tidy, or save it by fl.keep. Without them memory frees "
        "itself: most programs need neither.",
        wrong="x = fl.ones(2); fl.dispose(x)\nx + 1",
        right="x = fl.tidy(lambda: fl.ones(2) * 3)\nx + 1",
    ),
    "E-TENSOR-003": Explanation(
        "fl.jit, fl.build, fl.vmap and the loops call a function with stand-ins that have a shape "
        "but no numbers. if, while, float(x), x.item(), x.numpy() and indexing by a mask ask for "
        "numbers.",
        "For a choice by numbers take fl.where or fl.cond, for a loop fl.while_loop. Where the "
        "size of a result depends on numbers, give a size: fl.boolean_mask(x, mask, size=10).",
        wrong="fl.jit(lambda x: x if x > 0 else -x)(2.0)",
        right="fl.jit(lambda x: fl.where(x > 0, x, -x))(2.0)",
    ),
    "E-TENSOR-004": Explanation(
        "A stand-in of a traced function was kept (in a list, a global, an attribute), and used "
        "after the function had ended, or inside another one.",
        "Return what is needed later. What a branch or a loop's body needs of the function around "
        "it may be used there; nothing may be carried out but by returning it.",
        wrong="kept = []\nfl.jit(lambda x: kept.append(x) or x)(1.0); kept[0] + 1",
        right="y, kept = fl.jit(lambda x: (x, x))(1.0)\nkept + 1",
    ),
    "E-TENSOR-005": Explanation(
        "fl.grad derives one number after float32 tensors. The function gave several numbers, or "
        "what it is derived after is int32 or bool.",
        "Sum or average the result; or use fl.vjp, which takes a weight for each element. Give the "
        "arguments as float32, or leave them out of argnums.",
        wrong="fl.grad(lambda x: x * x)(fl.ones(3))",
        right="fl.grad(lambda x: fl.sum(x * x))(fl.ones(3))",
    ),
    "E-TENSOR-006": Explanation(
        "The inputs of fl.build are not a dict of names and fl.spec; argnums points at no "
        "argument; a shape has negative sizes; a custom gradient does not return two things.",
        "Compare with the form in the message. The names in inputs= are those that the page uses.",
        wrong="fl.zeros((2, -1))",
        right="fl.zeros((2, 1))",
    ),
    "E-TENSOR-007": Explanation(
        "An index is outside the dim that it counts, or of a kind that nothing is indexed by (a "
        "float, a string).",
        "Count from 0, or from -1 backwards. A compiled function cannot tell: there the nearest "
        "place inside is taken, so clip or check the indices before.",
        wrong="fl.ones(3)[3]",
        right="fl.ones(3)[-1]",
    ),
    "E-TENSOR-008": Explanation(
        "if, while, and, or, float() and int() need one number, and the tensor has none or "
        "several. Comparing tensors gives a tensor of bools.",
        "Reduce it first: fl.all, fl.any, fl.sum. Between tensors use fl.logical_and, or &.",
        wrong="float(fl.ones(2))",
        right="float(fl.sum(fl.ones(2)))",
    ),
    "E-TENSOR-009": Explanation(
        "NumPy was called with a tensor in a way that a tensor cannot answer: a ufunc's reduce or "
        "at, or arguments such as dtype= and out=.",
        "Use the function of fanlight, which has gradients and can be compiled; or hand NumPy "
        "x.numpy(), where no gradient passes.",
        wrong="np.add.reduce(fl.ones(3))",
        right="fl.sum(fl.ones(3))",
    ),
    "E-TENSOR-010": Explanation(
        "While fl.debug(nan=True) looked on, an op made NaN of numbers that were none: the root or "
        "logarithm of something negative, 0 / 0, infinity minus infinity. With inf=True it stops "
        "at infinity, too: an overflow of exp, a division by 0.",
        "The message names the op, its inputs and your line. Keep what goes into it in range: "
        "fl.maximum(x, 0), fl.log_softmax instead of the logarithm of a softmax. "
        "fl.debug(nan=False) stops looking.",
        wrong="with fl.debug(nan=True):\n    fl.sqrt(fl.tensor([-1e-9]))",
        right="with fl.debug(nan=True):\n    fl.sqrt(fl.maximum(fl.tensor([-1e-9]), 0))",
    ),
    "E-TENSOR-011": Explanation(
        "Drawing a flame chart as a picture needs matplotlib, which is an extra.",
        "pip install 'fanlight[plots]', or print the profile: it is a table.",
    ),
    "E-TENSOR-012": Explanation(
        'fl.set_backend knows "numpy" and "wasm". Names of TensorFlow.js\'s back ends (webgl, '
        "cpu, webgpu) are not ours; a built page chooses by itself what runs it.",
        "Leave it out: NumPy computes what is eager, and fl.jit compiles.",
        wrong='fl.set_backend("webgl")',
        right='fl.set_backend("numpy")',
    ),
    "E-TENSOR-013": Explanation(
        "fl.vmap takes the examples from the first dim of every argument, and these are not of one "
        "size; or in_axes does not fit the arguments.",
        "Say with in_axes which dim counts the examples, and None for what all of them share.",
        wrong="fl.vmap(lambda a, b: a * b)(fl.ones((4, 3)), fl.ones(3))",
        right="fl.vmap(lambda a, b: a * b, in_axes=(0, None))(fl.ones((4, 3)), fl.ones(3))",
    ),
    "E-TENSOR-014": Explanation(
        "Tensors have at most six dims, as in a page, and a size that WebAssembly's memory can "
        "hold. Often an outer product or broadcasting was not meant.",
        "Join dims with fl.reshape; take a smaller part at a time.",
        wrong="fl.zeros((1, 1, 1, 1, 2, 2, 2))",
        right="fl.zeros((1, 1, 2, 2, 2))",
    ),
    "E-TENSOR-015": Explanation(
        "Python asked for the length of a tensor without dims, went through one, or used a tensor "
        "of floats where it needs a whole number, as an index of a list.",
        "x.item() is the number of a tensor without dims; cast a whole number that is a float: "
        'int(x), or fl.cast(x, "int32").',
        wrong="[1, 2, 3][fl.scalar(1.0)]",
        right="[1, 2, 3][int(fl.scalar(1.0))]",
    ),
    "E-TENSOR-016": Explanation(
        "x[0] = 1 would change a tensor, and tensors do not change: others may hold the same one, "
        "and gradients need what it was.",
        "Make another one: fl.where, fl.concat, fl.tensor_scatter_update(x, indices, updates); or "
        "hold the state in an fl.variable and assign it as a whole.",
        wrong="x = fl.zeros(3)\nx[0] = 1.0",
        right="x = fl.tensor_scatter_update(fl.zeros(3), [[0]], [1.0])",
    ),
    "E-TENSOR-017": Explanation(
        "A function with a symbolic dim is traced at several sizes, and did not do the same: a "
        "loop over the rows, an if on the size, or a number that is no easy function of the size.",
        "Work on all rows at once (fl.vmap, fl.scan, sums along a dim), choose with fl.where, or "
        "give the dim a fixed size.",
        wrong='rows = {"x": fl.spec(("batch", 3))}\n'
        "def total(x):\n"
        "    return sum(x[i] for i in range(x.shape[0]))\n"
        'fl.build(total, "out", inputs=rows, dims={"batch": 8})',
        right='rows = {"x": fl.spec(("batch", 3))}\n'
        "def total(x):\n"
        "    return fl.sum(x, 0)\n"
        'fl.build(total, "out", inputs=rows, dims={"batch": 8})',
    ),
    "E-TENSOR-020": Explanation(
        "Eagerly, and in a layer's call while a model trains, a key may be left out of fl.random "
        "and fl.dropout: each call draws a new one. A function that is traced by itself, the body "
        "of a loop and a page that predicts would draw once, and give the same numbers for ever.",
        "Make the key an argument, and call with fl.random.key(n); more keys come of "
        "fl.random.split(key) and fl.random.fold_in(key, step). With seed=n the numbers are "
        "constants.",
        wrong="fl.jit(lambda x: fl.dropout(x, 0.5))(fl.ones(4))",
        right="fl.jit(lambda x, k: fl.dropout(x, 0.5, key=k))(fl.ones(4), fl.random.key(1))",
    ),
    "E-TENSOR-021": Explanation(
        "A variable is assigned inside a function that is traced or derived, in the body of a "
        "loop, or between a function and its gradient. A layer's call and a metric's update_state "
        "may assign what add_weight made.",
        "Return the new value, and assign it outside: v.assign(step(x)).",
        wrong="v = fl.variable(3.0)\nfl.jit(lambda x: v.assign(x * v))(2.0)",
        right="v = fl.variable(3.0)\nv.assign(fl.jit(lambda x: x * v)(2.0))",
    ),
    "E-TENSOR-022": Explanation(
        "int8, float16 and string are kept and moved by Python, and widened when something is "
        "computed. A traced function has no place for them.",
        "Cast before the call: int8 to int32, float16 to float32. Of strings make numbers first, "
        "as fl.string.to_hash_bucket_fast does.",
        wrong='fl.jit(lambda x: x * 2)(fl.tensor([1.0], "float16"))',
        right='fl.jit(lambda x: x * 2)(fl.cast(fl.tensor([1.0], "float16"), "float32"))',
    ),
    "E-TENSOR-030": Explanation(
        "The two branches of fl.cond give different shapes, dtypes or structures; what fl.scan or "
        "fl.while_loop carries comes back from a turn as something else; or the condition is not "
        "one bool.",
        "Make both sides alike: reshape, pad or cast. What is carried starts with the type that it "
        "keeps: 0.0 rather than 0 where a turn makes a float32 of it.",
        wrong="fl.while_loop(lambda x: x < 3, lambda x: x + 0.5, fl.scalar(0))",
        right="fl.while_loop(lambda x: x < 3, lambda x: x + 0.5, fl.scalar(0.0))",
    ),
    # --- graphs -----------------------------------------------------------------------------------
    "E-GRAPH-001": Explanation(
        "The text of a graph, a builder or a rewrite uses a name before the line that defines it, "
        "or one that is never defined.",
        "Order the nodes so that every input comes first. " + _BUG,
    ),
    "E-GRAPH-002": Explanation(
        "The text of a graph defines a name twice. Every value is defined once: graphs have no "
        "assignments.",
        "Rename one of the two. " + _BUG,
    ),
    "E-GRAPH-003": Explanation(
        "The type written behind a value is not what the rules of its op give for these inputs.",
        "Correct the type to the one that the message expects. " + _BUG,
    ),
    "E-GRAPH-004": Explanation(
        "The text of a graph or of a scalar expression has a mistake; the message gives line, "
        "place and what could stand there.",
        "Compare with a graph that Fanlight printed: print(model.graph).",
    ),
    "E-GRAPH-005": Explanation(
        "A builder was finished, or a text ends, without saying what comes out.",
        "Name at least one output: a graph that gives nothing computes nothing.",
    ),
    "E-GRAPH-006": Explanation(
        "The text of a graph declares weights, and the arrays that belong to it were not given, or "
        "have another shape or dtype.",
        "Give an array for every weight, by its name, as the declaration says.",
    ),
    "E-GRAPH-007": Explanation(
        "After a pass the graph lacks a property that the pass promises, or a rewrite changed the "
        "type of what it replaces. It is found because graphs are verified.",
        _BUG,
    ),
    "E-GRAPH-008": Explanation(
        "A pipeline of passes was put together in an order that their contracts forbid.",
        "Move the pass behind those that ensure what it requires; write Repeat(pass, why) for a "
        "second run. docs/passes.md has the order that works.",
    ),
    # --- inputs -----------------------------------------------------------------------------------
    "E-INPUT-001": Explanation(
        "A model was run with names that are not those of its inputs, without one of them, or with "
        "a bare array though it has several.",
        "The message lists names, dtypes and shapes: bundle.run({name: array}). `fanlight inspect` "
        "shows them, too.",
        wrong='double = fl.build(lambda x: x * 2, "out", inputs={"x": fl.spec((3,))})\n'
        'double.run({"numbers": np.float32([1, 2, 3])})',
        right='double = fl.build(lambda x: x * 2, "out", inputs={"x": fl.spec((3,))})\n'
        'double.run({"x": np.float32([1, 2, 3])})',
    ),
    "E-INPUT-002": Explanation(
        "The array has other dims than the input: height and width swapped, channels first instead "
        "of last, the batch dim missing, or batches of different sizes.",
        "Pictures are [height, width, channels]. Add a batch dim with array[None], move channels "
        "with np.moveaxis(array, 0, -1).",
        wrong="model, _ = fl.default_model()\nmodel(np.zeros((3, 64, 64), np.float32))",
        right="model, _ = fl.default_model()\n"
        "model(np.moveaxis(np.zeros((3, 64, 64), np.float32), 0, -1)[None])",
    ),
    "E-INPUT-003": Explanation(
        "The array is of another kind than the input: whole numbers for float32, floats for uint8; "
        "or it has numbers that the dtype of the input does not hold. float64 is taken for "
        "float32, and int64 for int32.",
        "Convert it as the message says: x.astype('float32'). Pixels are uint8, 0 to 255.",
        wrong="model, _ = fl.default_model()\nmodel(np.zeros((1, 64, 64, 3), np.uint8))",
        right="model, _ = fl.default_model()\nmodel(np.zeros((1, 64, 64, 3), np.float32))",
    ),
    "E-INPUT-004": Explanation(
        "A size that may vary (the sides of a photo, the rows of a table) is beyond the bound that "
        "memory was planned for, or two inputs that share it differ.",
        "Give fewer at a time, make the picture smaller first, or build with a larger bound.",
        wrong='rows = {"x": fl.spec(("rows",))}\n'
        'double = fl.build(lambda x: x * 2, "out", inputs=rows, dims={"rows": 4})\n'
        'double.run({"x": np.zeros(5, np.float32)})',
        right='rows = {"x": fl.spec(("rows",))}\n'
        'double = fl.build(lambda x: x * 2, "out", inputs=rows, dims={"rows": 8})\n'
        'double.run({"x": np.zeros(5, np.float32)})',
    ),
    "E-INPUT-010": Explanation(
        "The file is no picture, whatever its name says: often an HTML error page that was "
        "downloaded as .jpg, or a format that Pillow does not read (HEIC, SVG).",
        "Look at the file, and convert it to JPEG or PNG.",
    ),
    "E-INPUT-011": Explanation(
        "The file starts as a picture and ends too early, or its data are damaged.",
        "Download or export it again.",
    ),
    "E-INPUT-012": Explanation(
        "Pictures are decoded whole, and this one would take hundreds of megabytes; a small file "
        "may claim to be huge to do harm.",
        "Make it smaller first. A model sees a few hundred pixels of it anyway.",
    ),
    "E-INPUT-013": Explanation(
        "The path is misspelt, a folder, or not yours to read.",
        "Check path and permissions; name the photos of a folder one by one: FOLDER/*.jpg.",
    ),
}
