"""Studio: the page that is taught, and how it is built."""

from __future__ import annotations

from fanlight.cli.explanations.text import Explanation

STUDIO: dict[str, Explanation] = {
    "E-STUDIO-001": Explanation(
        "Studio's page is made of Fanlight's own scripts and of libraries from npm. A wheel of "
        "Fanlight has them; a checkout makes them by `make setup`.",
        "In a checkout: make setup, or npm install && npm run studio. Else install Fanlight again.",
    ),
    "E-STUDIO-002": Explanation(
        "A backbone takes one picture, float [n, height, width, 3], and has a map of features "
        "[n, h, w, c] before its answer; what learns behind it needs it as layers.",
        "Take an image classifier of Keras or TF.js (a layers-model), such as MobileNet; leave "
        "--backbone out for the one that ships.",
    ),
    "E-STUDIO-003": Explanation(
        "A name that there is not, a number out of bounds, or a value of another kind.",
        "`expected` lists what there is.",
    ),
    "E-STUDIO-004": Explanation(
        "The folder was not written whole, was changed, or is of another version of Fanlight.",
        "Write it again with fanlight studio, and upload all of it.",
    ),
    "E-STUDIO-010": Explanation(
        "The file is empty, damaged, no picture, or of a kind that this browser does not decode "
        "(HEIC outside Safari, TIFF, raw files of cameras).",
        "Save it as JPEG or PNG. On an iPhone: Settings, Camera, Formats, Most Compatible.",
    ),
    "E-STUDIO-011": Explanation(
        "A photo has more pixels than can be decoded safely on a small device, or a file is larger "
        "than any photo should be.",
        "Make it smaller: the model sees a few hundred pixels of each side only.",
    ),
    "E-STUDIO-012": Explanation(
        "A zip file is cut off or damaged, unpacks to far more than its size, has too many files, "
        "or names files outside of itself.",
        "Pack the photos again: a folder for each class, in one zip.",
    ),
    "E-STUDIO-013": Explanation(
        "A folder, zip, drop or clipboard has no file that is a picture.",
        "Choose JPEG, PNG, WebP or GIF files, or a folder of them.",
    ),
    "E-STUDIO-020": Explanation(
        "Classes are told apart by their names; a name has 1 to 80 characters.",
        "Choose a name of 1 to 80 characters that no other class has.",
    ),
    "E-STUDIO-021": Explanation(
        "A classifier tells at least two classes apart, and needs photos of each.",
        "Add a class, or photos to the class that has none.",
    ),
    "E-STUDIO-022": Explanation(
        "An id is of something that was removed, perhaps in another tab, or never was.",
        "Look it up again: session.classes, session.examples, store.projects().",
    ),
    "E-STUDIO-023": Explanation(
        "Only one training, import or export goes on at a time; after dispose() none does.",
        "Wait for the first one, or cancel it by its signal.",
    ),
    "E-STUDIO-024": Explanation(
        "Predicting, evaluating and exporting need a classifier that was trained.",
        "Train first: session.train(), or the button Train.",
    ),
    "E-STUDIO-030": Explanation(
        "The disk or the share of this site is full, or the browser keeps nothing (a private "
        "window, a policy). What is in the page stays; what was kept before stays, too.",
        "Free space or remove photos, then save again; or export the project as a zip now.",
    ),
    "E-STUDIO-031": Explanation(
        "The project was written by a newer version of Studio, which may keep more than this one "
        "knows. It is left as it is.",
        "Reload the page to get the newer Studio, or open the project there.",
    ),
    "E-STUDIO-032": Explanation(
        "The file is no zip with a project.json as Studio writes it, or a part of it is missing or "
        "wrong.",
        "Export the project again, and import the file as it is.",
    ),
    "E-STUDIO-033": Explanation(
        "The same project is open in two tabs, and the other one has changed or removed it.",
        "Go on in one tab; this one has taken up the change.",
    ),
    "E-STUDIO-034": Explanation(
        "What was learnt belongs to the backbone that it was learnt on. Photos and classes are "
        "taken over; features are computed again.",
        "Train again on this backbone; the old project file still opens where it came from.",
    ),
    "E-STUDIO-040": Explanation(
        "The camera was refused in the browser's prompt, is used by another program, was unplugged "
        "or there is none; or the page is not secure (https, or this machine).",
        "Allow it beside the address, plug it in, or choose photos instead.",
    ),
    "E-STUDIO-050": Explanation(
        "Some forms have no way to say what was learnt: Keras's and TF.js's layers have none that "
        "looks for nearest neighbours.",
        "Export a page or a project, or train with another head.",
    ),
}
