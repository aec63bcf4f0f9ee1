"""placeholder"""
WORKER_ENV = "CAPSTAN_WORKER_FD"
