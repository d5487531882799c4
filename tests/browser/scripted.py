"""The arena page with its socket played by the test; see ``ops.scripted``."""

from ops.scripted import ANSWER_A as ANSWER_A
from ops.scripted import ANSWER_B as ANSWER_B
from ops.scripted import BATTLE as BATTLE
from ops.scripted import MODELS as MODELS
from ops.scripted import PROMPT as PROMPT
from ops.scripted import STARTED as STARTED
from ops.scripted import WRITTEN as WRITTEN
from ops.scripted import Script as Script
