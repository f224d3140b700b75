"""The system calls of code in a sandbox: one profile for Docker, Podman and bubblewrap.

It is a list of allowed calls, so a new call of the kernel is refused until it is added here. It
leaves out what Docker's default profile refuses without capabilities
(docs.docker.com/engine/security/seccomp), and more: io_uring, other processes' memory and
descriptors, tracing, limits of other processes, and sockets other than those of `FAMILIES`.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from errno import ENOSYS, EPERM
from typing import Any

_ALLOWED = """
accept accept4 access adjtimex alarm arch_prctl bind brk cachestat capget capset chdir chmod chown
clock_getres clock_gettime clock_nanosleep close close_range connect copy_file_range creat dup
dup2 dup3 epoll_create epoll_create1 epoll_ctl epoll_pwait epoll_pwait2 epoll_wait eventfd
eventfd2 execve execveat exit exit_group faccessat faccessat2 fadvise64 fallocate fanotify_mark
fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fork
fremovexattr fsetxattr fstat fstatfs fsync ftruncate futex futex_requeue futex_wait futex_waitv
futex_wake futimesat get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid
geteuid getgid getgroups getitimer getpeername getpgid getpgrp getpid getppid getpriority
getrandom getresgid getresuid getrlimit getrusage getsid getsockname getsockopt gettid
gettimeofday getuid getxattr inotify_add_watch inotify_init inotify_init1 inotify_rm_watch
io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit ioctl ioprio_get ioprio_set
kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lgetxattr link linkat
listen listxattr llistxattr lremovexattr lseek lsetxattr lstat madvise map_shadow_stack membarrier
memfd_create memfd_secret mincore mkdir mkdirat mknod mknodat mlock mlock2 mlockall mmap mprotect
mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink mremap mseal msgctl msgget
msgrcv msgsnd msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat open openat
openat2 pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll
ppoll prctl pread64 preadv preadv2 process_mrelease pselect6 pwrite64 pwritev pwritev2 read
readahead readlink readlinkat readv recvfrom recvmmsg recvmsg remap_file_pages removexattr rename
renameat renameat2 restart_syscall riscv_flush_icache rmdir rseq rt_sigaction rt_sigpending
rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo
sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam
sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam
sched_setscheduler sched_yield seccomp select semctl semget semop semtimedop sendfile sendmmsg
sendmsg sendto set_robust_list set_thread_area set_tid_address setfsgid setfsuid setgid setgroups
setitimer setpgid setpriority setregid setresgid setresuid setreuid setrlimit setsid setsockopt
setuid setxattr shmat shmctl shmdt shmget shutdown sigaltstack signalfd signalfd4 socketpair
splice stat statfs statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time
timer_create timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create
timerfd_gettime timerfd_settime times tkill truncate umask uname unlink unlinkat utime utimensat
utimes vfork vmsplice wait4 waitid write writev
"""
_REFUSED = """
_sysctl acct add_key afs_syscall bpf chroot clock_adjtime clock_settime create_module
delete_module epoll_ctl_old epoll_wait_old fanotify_init finit_module fsconfig fsmount fsopen
fspick get_kernel_syms get_mempolicy getpmsg init_module io_uring_enter io_uring_register
io_uring_setup ioperm iopl kcmp kexec_file_load kexec_load keyctl lookup_dcookie mbind
migrate_pages modify_ldt mount mount_setattr move_mount move_pages nfsservctl open_by_handle_at
open_tree perf_event_open pidfd_getfd pivot_root process_madvise process_vm_readv
process_vm_writev ptrace putpmsg query_module quotactl quotactl_fd reboot request_key security
set_mempolicy set_mempolicy_home_node setdomainname sethostname setns settimeofday stime swapoff
swapon sysfs syslog tuxcall umount umount2 unshare uselib userfaultfd ustat vhangup vm86 vm86old
vserver
"""

ALLOWED = tuple(_ALLOWED.split())
REFUSED = tuple(_REFUSED.split())
"""Calls that fail with EPERM. All others that are not allowed fail with ENOSYS, as on an older
kernel, so that libraries fall back to older calls."""

UNKNOWN = "clone3"
"""A filter cannot read its arguments: it fails with ENOSYS, and the C library calls `clone`."""

WORD = 0xFFFFFFFF
NAMESPACES = 0x7E020000
"""The flags CLONE_NEW* of `clone` (linux/sched.h)."""
FAMILIES = (1, 2, 10, 16)
"""Families of sockets: AF_UNIX, AF_INET, AF_INET6 and AF_NETLINK. So not AF_VSOCK."""
PERSONALITIES = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)
"""Those that Docker allows: of Linux, of 32 bits, both with UNAME26, and the question for it."""


@dataclass(frozen=True, slots=True)
class Condition:
    """A call that is allowed if its first argument, under `mask`, is `value`."""

    call: str
    value: int
    mask: int = WORD


CONDITIONS = (
    Condition("clone", 0, NAMESPACES),
    # Limits of the calling process only: process 1 and the guards of the tests keep theirs.
    Condition("prlimit64", 0),
    *(Condition("socket", family) for family in FAMILIES),
    *(Condition("personality", value) for value in PERSONALITIES),
)


def engine_profile() -> str:
    """Return the profile as engines read it, in JSON (OCI runtime specification, seccomp)."""
    return json.dumps(
        {
            "defaultAction": "SCMP_ACT_ERRNO",
            "defaultErrnoRet": ENOSYS,
            "archMap": [
                {"architecture": name, "subArchitectures": []}
                for name in ("SCMP_ARCH_X86_64", "SCMP_ARCH_AARCH64", "SCMP_ARCH_RISCV64")
            ],
            "syscalls": list(_rules()),
        }
    )


def _rules() -> Iterator[Mapping[str, Any]]:
    yield {"names": ALLOWED, "action": "SCMP_ACT_ALLOW"}
    yield {"names": REFUSED, "action": "SCMP_ACT_ERRNO", "errnoRet": EPERM}
    yield {"names": [UNKNOWN], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS}
    for condition in CONDITIONS:
        test = {
            "index": 0,
            "op": "SCMP_CMP_MASKED_EQ",
            "value": condition.mask,
            "valueTwo": condition.value,
        }
        yield {"names": [condition.call], "action": "SCMP_ACT_ALLOW", "args": [test]}
