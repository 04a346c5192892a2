"""MLServer with the runtime beside this file."""

import os
import sys
from pathlib import Path

from served import options

given = options()

if __name__ == "__main__":
    os.environ |= {
        "MLSERVER_HOST": "127.0.0.1",
        "MLSERVER_HTTP_PORT": str(given.port),
        # gRPC and metrics are not asked: any port that is free
        "MLSERVER_GRPC_PORT": "0",
        "MLSERVER_METRICS_PORT": "0",
        "MLSERVER_METRICS_ENDPOINT": "",
        "MLSERVER_DEBUG": "false",
        "MLSERVER_PARALLEL_WORKERS": str(given.workers),
    }
    here = Path(__file__).parent
    program = Path(sys.executable).parent / "mlserver"
    os.execv(sys.executable, [sys.executable, str(program), "start", str(here)])
