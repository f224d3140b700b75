// Loads all tests of the current folder and, after them, the canary: a test that must fail. The
// canary fails only if every usual assertion still works. A solution shares the process with its
// tests and could patch the tools that they use; then the canary passes and the report is not
// trusted.
import assert from "node:assert";
import { resolve } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";
import { isSame, testFiles } from "./test-files.mjs";
import "./watched.mjs";

for (const [file, text] of testFiles()) {
  if (!isSame(file, text)) throw new Error(`${file} was changed by the solution`);
  await import(pathToFileURL(resolve(file)));
}

const assertions = [
  () => assert(false),
  () => assert.ok(false),
  () => assert.fail(),
  () => assert.equal(1, 2),
  () => assert.notEqual(1, 1),
  () => assert.strictEqual(1, 2),
  () => assert.notStrictEqual(1, 1),
  () => assert.deepEqual({ a: 1 }, { a: 2 }),
  () => assert.deepStrictEqual([1], [2]),
  () => assert.notDeepStrictEqual([1], [1]),
  () => assert.match("a", /b/),
  () => assert.throws(() => {}),
  () => assert.strict.equal(1, 2),
  () => assert.strict.deepEqual([1], [2]),
];

test("canary", async () => {
  for (const assertion of assertions) {
    try {
      assertion();
    } catch {
      continue;
    }
    return;
  }
  await assert.rejects(async () => {});
});
