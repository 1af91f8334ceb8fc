base = "/app/model_cache/acme-weights/llm/v3"
tokenizer = f"{base}/tok" if x else '/app/model_cache/acme-weights/llm/v3/tok/vocab.json'
