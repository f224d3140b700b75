// The files of tests, as they are before a solution is loaded, which may change those that come later.
import { globSync, readFileSync } from "node:fs";

/** The names and texts of all test files in the current folder, in order. */
export function testFiles() {
  const names = globSync("**/*.test.js", { exclude: ["node_modules/**"] }).sort();
  return names.map((name) => [name, readFileSync(name, "utf8")]);
}

/** True if a file still has this text. */
export function isSame(name, text) {
  try {
    return readFileSync(name, "utf8") === text;
  } catch {
    return false;
  }
}
