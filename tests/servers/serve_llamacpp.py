"""Serves a model with the built-in server of llama.cpp.

python serve_llamacpp.py MODEL PORT
"""

import signal
import sys

from xllamacpp import CommonParams, Server

params = CommonParams()
params.model.path = sys.argv[1]
params.model_alias = {"tiny"}
params.port = int(sys.argv[2])
params.n_ctx = 8192
server = Server(params)
signal.pause()
