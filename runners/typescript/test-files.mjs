// The files of tests, as they are before a solution is loaded, which may change those that come later.
import { readFileSync, readdirSync } from "node:fs";

/** The names and texts of all test files in the current folder, in order. */
export function testFiles() {
  // This does not follow the link to node_modules.
  const names = readdirSync(".", { recursive: true }).filter((name) => name.endsWith(".test.js"));
  return names.sort().map((name) => [name, readFileSync(name, "utf8")]);
}

/** True if a file still has this text. */
export function isSame(name, text) {
  try {
    return readFileSync(name, "utf8") === text;
  } catch {
    return false;
  }
}
