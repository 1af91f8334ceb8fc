import os
BASE = "/app/model_cache/my-bucket/models/llm"
config = os.path.join(BASE, "config.json")
other = f"/app/model_cache/other-bucket/llm/{config}"
root = "/app/model_cache"
data = "/app/data/labels.txt"
