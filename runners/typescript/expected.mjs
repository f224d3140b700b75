// Reads from the authors' files, without running them, which tests must pass. A test counts if its
// call begins a line, as tsc writes them; comments and texts do not.
import { testFiles } from "./test-files.mjs";

const TEXT = /"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\[^])*`/.source;
const CALL = new RegExp(
  String.raw`\/\*[^]*?\*\/|\/\/.*|^[ \t]*(?:await |void )?(?:test|it)((?:\.\w+)*)(\s*\(\s*)(${TEXT})` +
    String.raw`|^[ \t]*(?:test|it)((?:\.\w+)*\.(?:each|for)\b[^]*?[)\x60])\s*\(\s*(${TEXT})|${TEXT}`,
  "gm",
);
// A file in which an author chooses the tests that run, or marks whole suites.
const CHOOSES = /\.only\b|\bonly:|\b(?:describe|suite)\.(?:skip|todo|skipIf|runIf)\b|\bshuffle\b/;
const MARKS = /\.(?:skip|todo|fails|skipIf|runIf)\b/;
const OPTIONS = /^\s*,\s*\{[^}]*\b(?:skip|todo|fails|expectFailure)\b/;
// In a title: a value of a template, or a value of one of the cases.
const VALUE = /\$\{|%[sdifjoOc#$%]|\$[\w.]/;

/** The text of a literal; that of a template is cut at its first value. */
function textOf(literal) {
  const cut = literal.startsWith("`") ? literal.search(/\$\{/) : -1;
  const whole = cut < 0 ? literal : `${literal.slice(0, cut)}\``;
  return [new Function(`return ${whole}`)(), cut >= 0];
}

/** Yield name, number, whether it may be skipped, and whether the name goes on, of each test. */
function* testsOf(source) {
  const lenient = CHOOSES.test(source);
  for (const match of source.matchAll(CALL)) {
    const [whole, plainMarks, , plainTitle, caseMarks, caseTitle] = match;
    const literal = plainTitle ?? caseTitle;
    if (literal === undefined) continue;
    let [title, openEnd] = textOf(literal);
    const value = caseTitle === undefined ? -1 : title.search(VALUE);
    if (value >= 0) [title, openEnd] = [title.slice(0, value), true];
    const marked =
      MARKS.test(plainMarks ?? caseMarks.split("(")[0]) ||
      OPTIONS.test(source.slice(match.index + whole.length));
    yield [title, 1, lenient || marked, openEnd];
  }
}

/** The first line of a report: the expected tests of the current folder. */
export function expectedLine() {
  const own = testFiles().filter(([file]) => !file.endsWith("llmbench-canary.test.js"));
  const merged = new Map();
  for (const [, text] of own) {
    for (const [name, count, maySkip, openEnd] of testsOf(text)) {
      const key = JSON.stringify([name, openEnd]);
      const known = merged.get(key) ?? [name, 0, false, openEnd];
      merged.set(key, [name, openEnd ? 1 : known[1] + count, known[2] || maySkip, openEnd]);
    }
  }
  const line = JSON.stringify([...merged.values()]).replaceAll("<", "\\u003c");
  return `expected ${line}\n`;
}
