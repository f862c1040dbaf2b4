"""Runs Python scripts for the tests, one after another, each in a process of its own that is forked from this one: libraries that take seconds to import are
imported once, before the first script. What a script prints, sets or imports is gone with its process.

Takes a line of JSON for each script on its standard input, which is a socket, and answers there with a line that has the exit code.
"""

import gc
import importlib
import json
import os
import socket
import sys
import traceback
import types
import warnings

# Also what is imported only when it is asked for.
LIBRARIES = {
    "numpy": [], "torch": [], "torch.distributed.checkpoint": [], "safetensors.torch": [], "sentencepiece": [], "tiktoken": [], "tokenizers": [], "gguf": [],
    "transformers": ["AutoTokenizer", "AutoModelForCausalLM", "PreTrainedTokenizerFast", "LlamaForCausalLM", "MistralForCausalLM"],
}


def load():
    """Imports whichever libraries this interpreter has."""
    for module, names in LIBRARIES.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                library = importlib.import_module(module)
            except ImportError:
                continue
            for name in names:
                getattr(library, name)


def run(script, arguments):
    """Does what `python -c script arguments` does."""
    main = types.ModuleType("__main__")
    sys.modules["__main__"] = main
    sys.argv = ["-c", *arguments]
    sys.path[0] = ""
    try:
        exec(compile(script, "<string>", "exec"), main.__dict__)
    except Exception:
        traceback.print_exc()
        sys.exit(1)


def serve(ours):
    requests = ours.makefile("r", encoding="utf-8")
    for line in requests:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            for number, (path, flags) in enumerate([(os.devnull, os.O_RDONLY), (request["output"], os.O_WRONLY), (request["errors"], os.O_WRONLY)]):
                os.dup2(os.open(path, flags), number)
            ours.close()
            return request
        ours.sendall(b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    return None


load()
gc.freeze()
request = serve(socket.socket(fileno=os.dup(0)))
if request is None:
    # Without the libraries' last words.
    os._exit(0)
run(request["script"], request["arguments"])
