"""The JavaScript that draws the charts of a page: Vega, Vega-Lite and what embeds them, as one text.

To bundle it takes as long as all the rest of a report, and always gives the same, so a process of its own does it meanwhile.
"""

from __future__ import annotations

import subprocess
import sys
from functools import cache

_BUNDLE = "import sys, vl_convert; sys.stdout.buffer.write(vl_convert.javascript_bundle().encode())"


@cache
def _process() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", _BUNDLE], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


def begin() -> None:
    """Begin to bundle, for a page that will be asked for."""
    _process()


@cache
def script() -> str:
    """The bundle, in a form that may stand in a page."""
    made, _ = _process().communicate()
    if not made:
        # No second process could be had: then here, with what is wrong if it is that.
        import vl_convert

        # Its type says that it wants a snippet of JavaScript; it is optional.
        made = vl_convert.javascript_bundle(None).encode()  # type: ignore[arg-type]
    return made.decode().replace("</script", "<\\/script")
