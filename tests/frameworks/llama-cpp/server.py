"""Runs llama.cpp's server, from the wheel xllamacpp, with /model/model.gguf."""

import signal

import xllamacpp

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
params = xllamacpp.CommonParams()
params.model.path = "/model/model.gguf"
params.hostnames = ["0.0.0.0"]
params.port = 8080
params.n_ctx = 16384
params.n_parallel = 4
params.cpuparams.n_threads = 1
server = xllamacpp.Server(params)
signal.sigwait({signal.SIGTERM, signal.SIGINT})
