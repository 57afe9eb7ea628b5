"""Coded errors: every failure says what was expected, what came, where, and what to do next."""

from __future__ import annotations

# code -> explanation, shown by `fanlight explain CODE`. Codes are stable: never renumber, only add.
CATALOGUE: dict[str, str] = {
    # --- ops: a call of an op does not fit its row -------------------------------------------
    "E-OP-001": "An op was called with the wrong number of inputs.",
    "E-OP-002": "An op was called with an unknown attribute or without a required one.",
    "E-OP-003": "The dtypes of an op's inputs do not fit its dtype rule.",
    "E-OP-004": "The shapes of an op's inputs do not fit its shape rule.",
    "E-OP-005": "An attribute of an op has a value outside what the op allows.",
    "E-OP-006": "There is no op of this name in the table (see docs/ops.md).",
    "E-OP-007": "An op that needs fixed sizes met a symbolic dimension.",
    "E-OP-008": "An op without a gradient stands between a result and what it is derived after.",
    # --- tensors, gradients, traced functions ------------------------------------------------
    "E-TENSOR-001": "A tensor cannot be made of this value, or not of this dtype.",
    "E-TENSOR-002": "A tensor was used after it was disposed.",
    "E-TENSOR-003": "Python asked for the numbers of a tensor that has none while tracing.",
    "E-TENSOR-004": "A tensor of one traced function was used in another, or after its end.",
    "E-TENSOR-005": "A gradient was asked of a result that is not one float32 number.",
    "E-TENSOR-006": "A function to be traced has other inputs or results than it needs.",
    "E-TENSOR-007": "An index of a tensor is of no known kind, or outside it.",
    "E-TENSOR-008": "A tensor of several elements (or none) was used as one number.",
    "E-TENSOR-009": "A function of NumPy was called with a tensor that it cannot take.",
    "E-TENSOR-010": "While fl.debug looked, an op made NaN or infinity of finite numbers.",
    "E-TENSOR-011": "A chart was asked for, and matplotlib is not installed.",
    "E-TENSOR-012": "There is no back end of this name.",
    "E-TENSOR-013": "The examples of a batch cannot be told apart.",
    "E-TENSOR-014": "A tensor would have more than six dims, or be too large for memory.",
    "E-TENSOR-015": "A tensor has no length, or is no whole number, where Python needs one.",
    "E-TENSOR-016": "An element of a tensor was to be assigned: tensors do not change.",
    "E-TENSOR-017": "A traced function does other things for other sizes of a symbolic dim.",
    "E-TENSOR-020": "A function drew random numbers without a key while it was traced.",
    "E-TENSOR-021": "A variable was assigned in a function that cannot keep track of it.",
    "E-TENSOR-022": "A tensor of a dtype that only stores was used where something is computed.",
    "E-TENSOR-030": "The branches or bodies of fl.cond, fl.while_loop or fl.scan do not fit.",
    # --- layers and training -----------------------------------------------------------------
    "E-LAYER-001": "A layer or model was called with, or built for, what does not fit it.",
    "E-LAYER-002": "A model has no weights yet, since the shape of its input is not known.",
    "E-LAYER-003": "There is no layer, loss, optimizer or other part of this name.",
    "E-LAYER-004": "An argument of a layer, or of another part of a model, has a wrong value.",
    "E-LAYER-005": "The layers of a model are not connected.",
    "E-LAYER-006": "Arrays do not fit the weights that they are to become (all are listed).",
    "E-LAYER-007": "A model has no layer of this name or at this place.",
    "E-LAYER-008": "A file has layers that Fanlight does not know (all are listed).",
    "E-LAYER-009": "A file of this kind cannot hold a part of the model.",
    "E-LAYER-010": "The file of a model cannot be written.",
    "E-TRAIN-001": "A model was trained before compile, or compile does not fit its outputs.",
    "E-TRAIN-002": "The data of a training do not fit each other, or the model.",
    "E-TRAIN-003": "The loss of a training, or a weight, is not finite any more.",
    "E-TRAIN-004": "A label, or class_weight, does not fit the classes that a model has.",
    "E-TRAIN-005": "There are no examples to train with.",
    "E-TRAIN-006": "A step of training needs more memory than it may take.",
    "E-TRAIN-007": "An argument of fit, evaluate or predict is not of the kind that it should be.",
    # --- datasets ----------------------------------------------------------------------------
    "E-DATA-001": "A dataset has no known size, or no end, where one is needed.",
    "E-DATA-002": "A folder or archive has no pictures for a dataset, or not of every class.",
    "E-DATA-003": "A picture of a dataset cannot be decoded.",
    "E-DATA-004": "A CSV file cannot be read, or a row or value of it.",
    "E-DATA-005": "An archive is damaged, would fill the memory, or leads out of itself.",
    "E-DATA-006": "A class has one element, and cannot be both trained and validated.",
    "E-DATA-007": "The elements of a dataset differ in shape or number.",
    "E-DATA-008": "An argument of a dataset has a wrong value.",
    "E-DATA-009": "The file that a dataset was to be cached in is none of its caches, or damaged.",
    # --- graph: the structure is not a graph ----------------------------------------------------
    "E-GRAPH-001": "A graph uses a value that nothing defines before it.",
    "E-GRAPH-002": "Two values of a graph have the same name.",
    "E-GRAPH-003": "A node's recorded output types are not what its op's rules give.",
    "E-GRAPH-004": "The text of a graph does not parse.",
    "E-GRAPH-005": "A graph has no outputs.",
    "E-GRAPH-006": "A weight has no array or an array of another shape or dtype.",
    "E-GRAPH-007": "A pass left the graph in a state that its contract forbids.",
    "E-GRAPH-008": "A pipeline runs a pass too early, or twice without a reason.",
    # --- inputs: what a caller hands to a model ----------------------------------------------
    "E-INPUT-001": "A model was run without one of its inputs, or with one that it does not have.",
    "E-INPUT-002": "An input has the wrong shape.",
    "E-INPUT-003": "An input has the wrong dtype.",
    "E-INPUT-004": "A symbolic dimension was given a size outside its bounds.",
    "E-INPUT-010": "A file that should be an image is not one that Pillow can read.",
    "E-INPUT-011": "An image file is damaged or cut short.",
    "E-INPUT-012": "An image has more than 100 megapixels, which would fill the memory.",
    "E-INPUT-013": "An image file is missing or cannot be opened.",
    # --- formats: a model file that cannot be read or expressed ------------------------------
    "E-FORMAT-001": "The model path does not exist, or is not a regular file or a folder.",
    "E-FORMAT-002": "No reader knows the model: no model.json, .h5, .keras or .safetensors.",
    "E-FORMAT-003": "A JSON file of the model is not JSON.",
    "E-FORMAT-004": "A file of the model is larger, or nested deeper, than any real model is.",
    "E-FORMAT-005": "A field of a model file is missing or has the wrong type or value.",
    "E-FORMAT-006": "A weight file that the manifest names is missing or unreadable.",
    "E-FORMAT-007": "The bytes of the weight files are not the bytes that the manifest declares.",
    "E-FORMAT-008": "A weight has a dtype or a quantisation that no known converter writes.",
    "E-FORMAT-009": "A weight holds NaN: the model was saved after its training diverged.",
    "E-FORMAT-010": "A path in a model file leads out of the model's folder, or is a URL.",
    "E-FORMAT-011": "A weight that the topology needs is absent or has another shape.",
    "E-FORMAT-012": "An op or layer is supported, but not with this option or these inputs.",
    "E-FORMAT-013": "The graph uses ops that Fanlight has no meaning for (all are listed).",
    "E-FORMAT-014": "The model uses layers that Fanlight has no meaning for (all are listed).",
    "E-FORMAT-015": "The nodes or layers of the model feed each other in a circle.",
    "E-FORMAT-016": "A node, layer or tensor refers to one that the model does not have.",
    "E-FORMAT-017": "The model leaves the size of an input open: say it with size or input_shapes.",
    "E-FORMAT-018": "A given size, shape, signature, input or output does not fit the model.",
    "E-FORMAT-019": "A value that decides shapes depends on the input: it is not known at import.",
    "E-FORMAT-020": "A .keras, .pt2 or .zip archive is broken, or looks like no honest one.",
    "E-FORMAT-021": "An HDF5 file is broken, is no Keras model, or points to other files.",
    "E-FORMAT-022": "Reading .h5 and .keras needs h5py: pip install 'fanlight[keras]'.",
    "E-FORMAT-023": "A tensor of the model is larger than WebAssembly's 4 GiB of memory.",
    "E-FORMAT-024": "The model cannot be given random weights.",
    "E-FORMAT-040": "The format to be written has no form for some ops (all are listed).",
    "E-FORMAT-041": "The weights cannot be quantised or cut into shards as asked.",
    # --- build and check -------------------------------------------------------------------------
    "E-BUILD-001": "No kernel of the target can compute an op of the graph.",
    "E-BUILD-002": "The number of labels does not fit the number of scores.",
    "E-BUILD-003": "The model does not have the form that the task needs.",
    "E-BUILD-004": "The output path cannot be written, or holds something that is not a bundle.",
    "E-BUILD-005": "An option of build has an unknown or contradictory value.",
    "E-BUILD-006": "A weight holds NaN or infinity.",
    "E-BUILD-007": "The model needs more memory than WebAssembly can address.",
    "E-BUILD-008": "The WASM emitter met an inconsistent program (a bug in Fanlight: report it).",
    "E-BUILD-009": "The runtime's JavaScript cannot be joined into one file (a bug: report it).",
    "E-BUILD-010": "The model has no input, or an input or output without elements.",
    # --- calibration: quantising a model -------------------------------------------------------
    "E-CALIB-001": "int8 needs calibration data: photos or arrays such as the model will see.",
    "E-CALIB-002": "The calibration data are of a kind that cannot be read.",
    "E-CALIB-003": "An archive of calibration photos is damaged, compressed or no .tar.",
    "E-CALIB-004": "The calibration data hold NaN or infinity, or the model computes them.",
    "E-CALIB-005": "The model has no layer that could compute in int8.",
    "E-CALIB-006": "float_layers names layers that the model does not have.",
    # --- bundle and hosts ------------------------------------------------------------------------
    "E-BUNDLE-001": "A bundle folder or its manifest.json is missing or unreadable.",
    "E-BUNDLE-002": "manifest.json does not follow the manifest schema.",
    "E-BUNDLE-003": "A file of a bundle is missing, truncated, or does not have its SHA-256.",
    "E-BUNDLE-004": "A bundle was written by a newer version of Fanlight.",
    "E-BUNDLE-005": "A path in a manifest leaves the bundle's folder.",
    "E-BUNDLE-006": "A folder of tiers or stages has no such part, or its list is malformed.",
    "E-HOST-001": "A host cannot run here: something that it needs is not installed.",
    "E-HOST-002": "There is no host of this name.",
    "E-HOST-003": "The WASM engine refused or stopped the module.",
    "E-HOST-004": "The browser did not start, or stopped while a bundle ran in it.",
    "E-HOST-005": "The page that runs a bundle in the browser reported an error.",
    # --- command line and server -----------------------------------------------------------------
    "E-CONVERT-001": "There is no format of this name, or the source is of another one.",
    "E-CONVERT-002": "A model cannot become this format, or not with these options.",
    "E-CONVERT-003": "The part that was to be cut out of a model does not exist.",
    "E-CLI-001": "The port is in use, so nothing can be served there.",
    "E-CLI-002": "The folder to serve does not exist, or a port cannot be opened on this machine.",
    "E-CLI-003": "There is no error code of this name in the catalogue.",
    "E-CLI-004": "A file named on the command line is missing or cannot be read.",
    "E-CLI-005": "A command needs a part of Fanlight or a package that is not installed here.",
    "E-CLI-006": "The bundle does not classify images, so `run` has no predictions to print.",
    "E-CLI-007": "The output file cannot be written.",
    "E-CLI-008": "A command stopped on an error that is not in this list: a bug to report.",
    "E-CLI-009": "A labels file is empty or of a form that holds no labels.",
    "E-CLI-010": "An option of a command does not fit the file that it was given with.",
    # --- web: raised by the runtime in the browser (fanlight/web/runtime) ----------------------
    "E-WEB-001": "load(), fit() or evaluate() was given an option that it does not know.",
    "E-WEB-002": "The browser has no WebAssembly, so no model can run in it.",
    "E-WEB-003": "The browser has no SIMD in WebAssembly, or not the kind that was asked for.",
    "E-WEB-004": "The browser refused memory for the model or for a picture: too little is free.",
    "E-WEB-005": "A file of the bundle is missing on the server, or the network failed.",
    "E-WEB-006": "A file of the bundle has another SHA-256 than its manifest says, fetched twice.",
    "E-WEB-007": "manifest.json is not JSON, or a part of it is missing or malformed.",
    "E-WEB-008": "The bundle was made by a newer Fanlight than the fanlight.js that read it.",
    "E-WEB-010": "Inputs or labels have other names than the model has, or not all of them.",
    "E-WEB-011": "An array has the wrong shape, or another number of examples than the others.",
    "E-WEB-012": "An array is not the typed array of its dtype, or holds what is no number.",
    "E-WEB-013": "A free size of an input, or a product of such, is outside its bounds.",
    "E-WEB-014": "The model was disposed before the call was answered.",
    "E-WEB-015": "classify() was called on a bundle that has no classify task.",
    "E-WEB-016": "A file is not an image that this browser can decode.",
    "E-WEB-017": "The page may not read the picture (another origin), or was given none.",
    "E-WEB-018": "The WASM engine refused the module (often: a security policy) or stopped it.",
    "E-WEB-019": "The camera was refused, is missing or in use, or the page is not secure (https).",
    "E-WEB-020": "The worker that runs the model did not start, or stopped.",
    "E-WEB-021": "One of the threads that compute a model stopped in the middle of a run.",
    "E-WEB-030": "A bundle that was not built to be trained was asked to learn.",
    "E-WEB-031": "A page trains a model without examples.",
    "E-WEB-032": "A label, or classWeight, does not fit the classes of the model in the page.",
    "E-WEB-033": "The loss of a training in the page, or a weight, is not finite any more.",
    "E-WEB-034": "Weights that a page gives do not fit the model (all are listed).",
    "E-WEB-035": "The browser does not keep what a page has learnt.",
    "E-WEB-036": "A model is to be changed while it is being trained or evaluated.",
    "E-WEB-037": "The classes cannot be changed so.",
    # --- Studio: the page that is taught -----------------------------------------------------
    "E-STUDIO-001": "Studio's page is not there: its libraries were not bundled.",
    "E-STUDIO-002": "A model cannot be the backbone of Studio.",
    "E-STUDIO-003": "An option of Studio, or of a session of transfer learning, has a wrong value.",
    "E-STUDIO-004": "The list of Studio's files, or what it names, is not as it should be.",
    "E-STUDIO-010": "A file is no photo that this browser can read.",
    "E-STUDIO-011": "A photo is larger than can be taken.",
    "E-STUDIO-012": "A zip file is damaged, holds too much, or leads out of itself.",
    "E-STUDIO-013": "There are no photos in what was given.",
    "E-STUDIO-020": "The name of a class is empty, too long, or that of another one.",
    "E-STUDIO-021": "There are not enough classes or photos to learn from.",
    "E-STUDIO-022": "There is no such class, example or project.",
    "E-STUDIO-023": "Something else goes on already, or the session is closed.",
    "E-STUDIO-024": "Nothing was learnt yet.",
    "E-STUDIO-030": "The browser does not keep a project: its storage is full or refused.",
    "E-STUDIO-031": "A project was made by a newer Studio.",
    "E-STUDIO-032": "A file is no project that can be imported.",
    "E-STUDIO-033": "Another tab has changed the project.",
    "E-STUDIO-034": "A project was taught on another backbone.",
    "E-STUDIO-040": "There is no camera, it was refused, or it was unplugged.",
    "E-STUDIO-050": "A classifier cannot be exported in this form.",
}


class FanlightError(Exception):
    """One failure, told so that a person can act on it.

    Args:
        code: stable code, a key of CATALOGUE.
        message: what went wrong, one sentence.
        expected, received: the two sides of a mismatch.
        where: file, node, layer or argument.
        next: what to do about it.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        expected: object = None,
        received: object = None,
        where: object = None,
        next: str | None = None,
    ) -> None:
        if code not in CATALOGUE:
            raise KeyError(f"error code {code} is not in the catalogue (fanlight/errors.py)")
        super().__init__(message)
        self.code = code
        self.message = message
        self.expected = expected
        self.received = received
        self.where = where
        self.next = next

    def __str__(self) -> str:
        lines = [f"{self.code}  {self.message}"]
        for label, value in (
            ("Where", self.where),
            ("Expected", self.expected),
            ("Received", self.received),
            ("Next", self.next),
        ):
            if value is not None:
                lines.append(f"  {label}: {value}")
        if self.next is None:
            lines.append(f"  Next: read `fanlight explain {self.code}`.")
        return "\n".join(lines)

    def to_json(self) -> dict[str, str]:
        """The error as plain strings, for `--json` output."""
        fields = {
            "code": self.code,
            "message": self.message,
            "where": self.where,
            "expected": self.expected,
            "received": self.received,
            "next": self.next or f"read `fanlight explain {self.code}`.",
        }
        return {k: str(v) for k, v in fields.items() if v is not None}


class ProtocolError(FanlightError, TypeError):
    """A FanlightError where Python's own protocols (len, indices, assignments) raise TypeError."""


class MissingError(FanlightError, AttributeError):
    """A FanlightError for an attribute that is not there: hasattr says False."""
