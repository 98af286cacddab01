"""Serves a model over HTTP with llama.cpp's own server, which the package xllamacpp has compiled.

test/llama-server.ts starts it. It takes its settings as JSON, prints the server's address in one line of JSON, and ends
when its input ends.
"""

import json
import sys

import xllamacpp

settings = json.loads(sys.argv[1])
params = xllamacpp.CommonParams()
params.model.path = settings["model"]
# llama.cpp shares the context out among its slots.
params.n_ctx = settings["contextSize"] * settings["parallel"]
params.n_parallel = settings["parallel"]
params.cpuparams.n_threads = settings["threads"]
params.cpuparams_batch.n_threads = settings["threads"]
params.cache_ram_mib = settings["cacheRam"]
params.warmup = False
params.verbosity = 1
params.lora_adapters = [xllamacpp.CommonAdapterLoraInfo(file, 1.0) for file in settings["lora"]]
params.lora_init_without_apply = settings["unapplied"]
if settings["exact"]:
    params.cache_type_k = xllamacpp.ggml_type.GGML_TYPE_F32
    params.cache_type_v = xllamacpp.ggml_type.GGML_TYPE_F32
    params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
params.port = settings["port"]
server = xllamacpp.Server(params)
print(json.dumps({"url": server.listening_address}), flush=True)
sys.stdin.read()
