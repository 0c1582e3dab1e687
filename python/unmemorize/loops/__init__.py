"""Learning events in anyone's training loop: ids for any data set, and callbacks for the common trainers.

The callbacks live in modules of their own, which need their library: `unmemorize.loops.lightning` (``pip install
"unmemorize[lightning]"``) and `unmemorize.loops.hugging_face` (``pip install "unmemorize[hf]"``).
"""

from unmemorize.loops.gather import gather
from unmemorize.loops.ids import WithIds
from unmemorize.loops.record import read, record
from unmemorize.loops.sampler_tap import SamplerTap

__all__ = ["SamplerTap", "WithIds", "gather", "read", "record"]
