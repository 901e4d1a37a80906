"""The first thing that runs inside: it limits itself, and then becomes the program.

Not imported by peftbench but handed to an interpreter as text; it imports no more than it
must. Arguments: descriptor of the preamble and the source with a zero byte between them,
seconds of CPU time, bytes of address space, bytes of one file, threads (0: any number), and
the function to call, or nothing.
"""

import os
import resource
import select
import sys
import types


def limit(kind: int, soft: int, hard: int | None = None) -> None:
    """Lower a limit; there is no way back up."""
    ceiling = resource.getrlimit(kind)[1]
    wanted = soft if hard is None else hard
    if ceiling != resource.RLIM_INFINITY:
        soft, wanted = min(soft, ceiling), min(wanted, ceiling)
    resource.setrlimit(kind, (soft, wanted))


def limit_all(seconds: int, memory: int, file_bytes: int, threads: int) -> None:
    """Every limit that the kernel keeps for one process."""
    limit(resource.RLIMIT_CPU, seconds, seconds + 1)  # first SIGXCPU, which says why
    limit(resource.RLIMIT_AS, memory)
    limit(resource.RLIMIT_FSIZE, file_bytes)
    limit(resource.RLIMIT_CORE, 0)
    limit(resource.RLIMIT_NOFILE, 64)
    if threads:
        limit(resource.RLIMIT_NPROC, threads)


def whole_keys(value: dict[str, object]) -> dict[int, object] | dict[str, object]:
    """JSON has no keys but text; where all of them are whole numbers, those are meant."""
    try:
        return {int(key): item for key, item in value.items()}
    except ValueError:
        return value


def end_if_alone() -> None:
    """End where nobody reads any more what is written.

    The sandbox ends with the process that started it, but for one that ended before the
    sandbox could ask the kernel for that. By now it has asked.
    """
    reader = select.poll()
    reader.register(1, 0)
    if any(event & select.POLLERR for _, event in reader.poll(0)):
        os._exit(1)


def compiled(source: str) -> types.CodeType:
    """The program; where it returns outside of any function, as one function's body.

    So do solutions of APPS, whose own tester runs a script as a function.
    """
    try:
        return compile(source, "program.py", "exec")
    except SyntaxError as error:
        if "'return' outside function" not in str(error):
            raise
    import ast

    tree = ast.parse("def program(): pass\nprogram()")
    function = tree.body[0]
    assert isinstance(function, ast.FunctionDef)
    function.body = ast.parse(source).body
    return compile(tree, "program.py", "exec")


def become(source: str, preamble: str, entry: str) -> None:
    """Run the source as the main module; with `entry`, call it and print what it returns."""
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    sys.argv = ["program.py"]
    exec(compile(preamble, "preamble.py", "exec"), module.__dict__)
    code = compiled(source)
    if not entry:
        exec(code, module.__dict__)
        return
    import json

    sys.set_int_max_str_digits(0)
    arguments = json.loads(sys.stdin.read(), object_hook=whole_keys)
    answer = os.dup(1)
    os.dup2(2, 1)  # what it prints is not what it returns
    exec(code, module.__dict__)
    holder = module.__dict__.get("Solution")
    if entry not in module.__dict__ and hasattr(holder, entry):
        function = getattr(holder(), entry)  # type: ignore[misc]
    else:
        function = module.__dict__[entry]
    returned = json.dumps(function(*arguments))
    with os.fdopen(answer, "w", encoding="utf-8") as stream:
        stream.write(returned)


if __name__ == "__main__":
    with os.fdopen(int(sys.argv[1]), encoding="utf-8") as text:
        first, _, second = text.read().partition("\0")
    limit_all(*map(int, sys.argv[2:6]))
    end_if_alone()
    become(second, first, sys.argv[6])
