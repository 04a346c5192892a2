import sys
from pathlib import Path

SERVING = Path(__file__).parents[2] / "benchmarks" / "serving"
# behind all else, so that no name of theirs hides another
sys.path += [str(SERVING), str(SERVING / "peers")]
