"""The catalog's models on this machine: fetched, verified, converted to folders vLLM can load, and found again.

``python -m worker.models fetch --catalog F`` fills the models directory; engines ask
:func:`model_dir` where a model is.
"""

from worker.models.store import is_present, missing, model_dir

__all__ = ["is_present", "missing", "model_dir"]
