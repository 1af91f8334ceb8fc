import os

WEIGHTS = "/app/model_cache/llama-70b"
DRAFT = os.path.join("/app/model_cache", "draft")
OLD = "/app/model_cache/llama-8b/config.json"
