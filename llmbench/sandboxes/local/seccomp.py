"""The filter of system calls for code under bubblewrap."""

import os

from llmbench.errors import NoSandboxError

REFUSED = (
    # The calls that Docker's default profile refuses without capabilities, as its documentation
    # lists them (docs.docker.com/engine/security/seccomp), and newer calls of the same kind.
    *("acct", "add_key", "bpf", "clock_adjtime", "clock_settime", "create_module"),
    *("delete_module", "finit_module", "get_kernel_syms", "get_mempolicy", "init_module"),
    *("ioperm", "iopl", "kcmp", "kexec_file_load", "kexec_load", "keyctl", "lookup_dcookie"),
    *("mbind", "mount", "move_pages", "nfsservctl", "open_by_handle_at", "perf_event_open"),
    *("pivot_root", "process_vm_readv", "process_vm_writev", "query_module", "quotactl"),
    *("quotactl_fd", "reboot", "request_key", "set_mempolicy", "setns", "settimeofday", "stime"),
    *("swapoff", "swapon", "sysfs", "_sysctl", "umount", "umount2", "unshare", "uselib"),
    *("userfaultfd", "ustat", "vm86", "vm86old"),
    *("fsconfig", "fsmount", "fsopen", "fspick", "mount_setattr", "move_mount", "open_tree"),
    *("io_uring_enter", "io_uring_register", "io_uring_setup"),
    # Docker allows a process to trace others of its user; no test needs it.
    "ptrace",
)
NAMESPACES = 0x7E020000
"""The flags CLONE_NEW* of `clone` (linux/sched.h)."""


def program() -> int:
    """Return a descriptor of the filter as a BPF program, at its start; the caller closes it.

    A refused call fails with EPERM. A filter cannot read the arguments of `clone3`: it fails with
    ENOSYS, and the C library then calls `clone`.

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

    calls = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    for name in REFUSED:
        number = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name)
        if number >= 0:  # some calls exist on some architectures only
            calls.add_rule(pyseccomp.ERRNO(EPERM), number)
    flags = range(NAMESPACES.bit_length())
    for flag in (1 << bit for bit in flags if NAMESPACES >> bit & 1):
        argument = pyseccomp.Arg(0, pyseccomp.MASKED_EQ, flag, flag)
        calls.add_rule(pyseccomp.ERRNO(EPERM), "clone", argument)
    calls.add_rule(pyseccomp.ERRNO(ENOSYS), "clone3")
    descriptor = os.memfd_create("seccomp")
    with os.fdopen(os.dup(descriptor), "wb") as file:
        calls.export_bpf(file)
    return descriptor
