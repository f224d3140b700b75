"""Serves a model with llama.cpp's own server.

python serve_llamacpp.py MODEL PORT [THREADS]
"""

import signal
import sys

from xllamacpp import CommonParams, Server

params = CommonParams()
params.model.path = sys.argv[1]
params.model_alias = {"tiny"}
params.port = int(sys.argv[2])
params.n_ctx = 8192
if len(sys.argv) > 3:
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = int(sys.argv[3])
server = Server(params)
signal.pause()
