"""TorchServe with the handler beside this file; it needs Java 17."""

import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from served import options

given = options()


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return f"http://127.0.0.1:{found.getsockname()[1]}"


if __name__ == "__main__":
    here = Path(__file__).parent
    folder = Path(tempfile.mkdtemp(prefix="torchserve-"))
    programs = Path(sys.executable).parent
    archiver = [sys.executable, str(programs / "torch-model-archiver"), "--model-name", "model"]
    made = ["--handler", str(here / "handler.py"), "--version", "1.0", "--export-path", str(folder)]
    subprocess.run([*archiver, *made], check=True)
    # what is not here is left to its defaults
    more: dict[str, Any] = {}
    if given.batch > 1:
        more |= {"batchSize": given.batch, "maxBatchDelay": given.delay_ms}
    if given.batch > 1 or given.workers > 1:
        more |= {"minWorkers": given.workers, "maxWorkers": given.workers}
    settings: dict[str, Any] = {
        "inference_address": f"http://127.0.0.1:{given.port}",
        "management_address": free_address(),
        "metrics_address": free_address(),
        "grpc_inference_port": free_address().rpartition(":")[2],
        "grpc_management_port": free_address().rpartition(":")[2],
        "initial_worker_port": free_address().rpartition(":")[2],
        "model_store": folder,
        "load_models": "model.mar",
        "disable_system_metrics": "true",
    }
    if more:
        whole = {"defaultVersion": True, "marName": "model.mar", "responseTimeout": 120, **more}
        settings["models"] = json.dumps({"model": {"1.0": whole}}, separators=(",", ":"))
    config = folder / "config.properties"
    config.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    # it starts once for each folder of temporary files
    own = {"LOG_LOCATION": str(folder), "METRICS_LOCATION": str(folder), "TMPDIR": str(folder)}
    # its workers are whatever Python is found first
    os.environ |= {**own, "PATH": os.pathsep.join([str(programs), os.environ["PATH"]])}
    command = [sys.executable, str(programs / "torchserve"), "--start", "--foreground"]
    command += ["--ts-config", str(config), "--model-store", str(folder), "--disable-token-auth"]
    os.chdir(folder)
    os.execv(sys.executable, command)
