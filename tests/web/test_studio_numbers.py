"""What Studio reckons by itself, without a page: how large steps are, how long it still takes."""

from __future__ import annotations

import json
import math
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
# In one piece, as the page has it: Node takes a lone .js for another kind of script.
SCRIPT = """import { build } from 'esbuild';
const contents = `export { rates } from './fitting.js';
  export { timeLeft } from './elements/left.js'`;
const { outputFiles: [{ text }] } = await build({ bundle: true, format: 'esm', write: false,
  stdin: { contents, resolveDir: 'fanlight/web/studio' } });
const { rates, timeLeft } = await import(`data:text/javascript,${encodeURIComponent(text)}`);
const rate = (schedule, epochs) => Array.from({ length: epochs }, (_, epoch) => (
  rates({ learningRate: 0.3, schedule, epochs })(epoch)));
const time = [[0, 0, 40], [1, 0, 39], [2, 3000, 38], [11, 5000, 1], [3, 600, 2], [5, 8000, 0],
  [2, 4000, 60]].map((all) => timeLeft(...all));
console.log(JSON.stringify({ time, constant: rate('constant', 6), cosine: rate('cosine', 8),
  step: rate('step', 6), uneven: rate('step', 4), one: rate('cosine', 1) }));
"""


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    command = [str(ROOT / "tools/with_node.sh"), "node", "--input-type=module", "-e", SCRIPT]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_steps_stay_shrink_smoothly_or_are_a_tenth_in_the_last_third(found: dict[str, Any]) -> None:
    assert found["constant"] == [0.3] * 6
    cosine = [0.15 * (1 + math.cos(math.pi * epoch / 8)) for epoch in range(8)]
    assert found["cosine"] == pytest.approx(cosine, abs=1e-12)
    assert found["cosine"][0] == 0.3 and 0 < found["cosine"][-1] < 0.02  # the last one learns, too
    assert found["step"] == pytest.approx([0.3] * 4 + [0.03] * 2)
    assert found["uneven"] == pytest.approx([0.3] * 3 + [0.03])
    assert found["one"] == [0.3]


def test_time_left_is_said_from_the_second_round_on(found: dict[str, Any]) -> None:
    assert found["time"] == [
        "",
        "",
        "about 2 minutes left",  # 38 of 3 seconds each
        "a moment left",
        "a moment left",
        "a moment left",
        "about 4 minutes left",  # 60 of 4 seconds each
    ]
