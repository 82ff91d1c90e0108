"""A Python that has imported the large libraries and forks itself for every script it is to run

Importing torch, transformers and datasets takes longer than most tests. Here it happens once per
test process: conftest.Warm starts this file, sends one line of JSON per script and reads back the
exit code. The child is a process of its own that runs the file as `python script.py` would; only
what it imports is there already.
"""

import atexit
import faulthandler
import importlib
import json
import os
import sys
import threading
import traceback
from pathlib import Path
from types import ModuleType

LIBRARIES = (
    "datasets",
    "fastapi_offline",
    "matplotlib.pyplot",
    "pandas",
    "sklearn.linear_model",
    "torch",
    "transformers.models.bert.modeling_bert",
    "transformers.models.gpt2.modeling_gpt2",
    "transformers.pipelines",
    "uvicorn",
)


def become(job: dict) -> None:
    """The child: its own output files, arguments, folder; after its seconds it is ended"""
    for number, name in enumerate((os.devnull, job["out"], job["err"])):
        opened = os.open(name, os.O_RDWR | os.O_APPEND)
        os.dup2(opened, number)
        os.close(opened)
    os.chdir(job["cwd"])
    sys.argv = job["argv"]
    sys.path[0] = str(Path(sys.argv[0]).parent)
    faulthandler.dump_traceback_later(job["seconds"], exit=True)


def finish() -> int:
    """Run the script to its end: the exit code, as Python itself counts it"""
    main = ModuleType("__main__")
    main.__file__ = sys.argv[0]
    sys.modules["__main__"] = sys.modules["__mp_main__"] = main  # the second for multiprocessing
    try:
        source = Path(main.__file__).read_text(encoding="utf-8")
        exec(compile(source, main.__file__, "exec"), vars(main))
    except SystemExit as stop:
        if stop.code is None or isinstance(stop.code, int):
            return stop.code or 0
        print(stop.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    for library in LIBRARIES:
        importlib.import_module(library)
    jobs = os.fdopen(os.dup(0), encoding="utf-8")  # sys.stdin itself stays unread: the script's
    for line in jobs:
        child = os.fork()
        if child == 0:
            become(json.loads(line))
            code = finish()
            threading._shutdown()  # what Python does at its end, except for taking apart every
            atexit._run_exitfuncs()  # module: the memory is shared, so that would copy all of it
            sys.stdout.flush()
            os._exit(code)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
