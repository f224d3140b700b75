import json
import os
import sys

import pytest

from llmbench.sandboxes.system_calls import ALLOWED, CONDITIONS, REFUSED, UNKNOWN, engine_profile

DANGEROUS = (
    "bpf clone3 io_uring_setup kcmp keyctl mount open_by_handle_at perf_event_open pidfd_getfd "
    "process_vm_readv process_vm_writev ptrace setns swapon unshare userfaultfd"
).split()


def test_no_call_is_in_two_lists() -> None:
    conditional = {condition.call for condition in CONDITIONS}
    lists = [set(ALLOWED), set(REFUSED), conditional, {UNKNOWN}]
    assert sum(map(len, lists)) == len(set().union(*lists))


@pytest.mark.parametrize("call", DANGEROUS)
def test_calls_that_reach_beyond_the_sandbox_are_not_allowed(call: str) -> None:
    assert call not in ALLOWED


def test_an_engine_gets_a_list_of_allowed_calls() -> None:
    profile = json.loads(engine_profile())
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    allowed = [rule for rule in profile["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW"]
    assert [rule["names"] for rule in allowed if "args" not in rule] == [list(ALLOWED)]
    families = [r["args"][0]["valueTwo"] for r in allowed if r["names"] == ["socket"]]
    assert families == [1, 2, 10, 16]


@pytest.mark.skipif(sys.platform != "linux", reason="seccomp is of Linux")
def test_the_profile_makes_a_filter() -> None:
    from llmbench.sandboxes.local import seccomp

    descriptor = seccomp.program()
    try:
        assert os.fstat(descriptor).st_size > 0
    finally:
        os.close(descriptor)
