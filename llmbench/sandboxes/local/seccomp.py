"""The filter of system calls for code under bubblewrap."""

import os

from llmbench.errors import NoSandboxError
from llmbench.sandboxes.system_calls import ALLOWED, CONDITIONS, REFUSED


def program() -> int:
    """Return a descriptor of the filter as a BPF program, at its start; the caller closes it.

    Raises:
        NoSandboxError: libseccomp is not installed.
    """
    try:
        import pyseccomp
    except RuntimeError as error:
        raise NoSandboxError(
            "libseccomp is not installed", hint="install the package libseccomp2"
        ) from error
    from errno import ENOSYS, EPERM

    calls = pyseccomp.SyscallFilter(pyseccomp.ERRNO(ENOSYS))

    def number(name: str) -> int:
        return int(pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name))

    # Some calls exist on some architectures only.
    for name in ALLOWED:
        if number(name) >= 0:
            calls.add_rule(pyseccomp.ALLOW, number(name))
    for name in REFUSED:
        if number(name) >= 0:
            calls.add_rule(pyseccomp.ERRNO(EPERM), number(name))
    for condition in CONDITIONS:
        argument = pyseccomp.Arg(0, pyseccomp.MASKED_EQ, condition.mask, condition.value)
        calls.add_rule(pyseccomp.ALLOW, condition.call, argument)
    descriptor = os.memfd_create("seccomp")
    with os.fdopen(os.dup(descriptor), "wb") as file:
        calls.export_bpf(file)
    return descriptor
