"""Peak memory of a page: the most that its renderer process ever held, as the kernel counted it.

`performance.measureUserAgentSpecificMemory` leaves out what a browser holds outside of the heap
(compiled code, copies under way) and looks at one moment; the kernel's high-water mark of resident
memory (VmHWM) misses nothing. It counts the browser's own code too: an empty page's is taken off.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any


def renderer_peak(browser: Any) -> float | None:
    """Bytes of the largest renderer process of a browser; None where there is no /proc (not Linux).

    A page has a renderer of its own; a spare one that the browser keeps ready is smaller.
    """
    session = browser.new_browser_cdp_session()
    processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
    session.detach()
    marks = [_high_water(p["id"]) for p in processes if p["type"] == "renderer"]
    return max((m for m in marks if m is not None), default=None)


def _high_water(pid: int) -> float | None:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return None if found is None else float(found.group(1)) * 1024
