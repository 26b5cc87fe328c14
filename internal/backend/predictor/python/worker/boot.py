# Runs as "python3 -c": takes the worker's modules from standard input, so that
# no file of ours must lie anywhere and none of the model's can stand in front.
import sys
sys.path[:] = [p for p in sys.path if p]
import json, linecache, types
for name, text in json.load(sys.stdin):
    module = types.ModuleType(name)
    module.__file__ = "slipway/" + name + ".py"
    linecache.cache[module.__file__] = (len(text), None, text.splitlines(True), module.__file__)
    sys.modules[name] = module
    exec(compile(text, module.__file__, "exec"), module.__dict__)
sys.modules["slipway_worker"].main()
