// The files of tests, as they are before a solution is loaded, which may change those that come later.
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";

// Node's own recursion would follow the link to node_modules.
function* namesBelow(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const name = join(folder, entry.name);
    if (entry.isDirectory()) yield* namesBelow(name);
    else if (entry.isFile()) yield name;
  }
}

/** The names and texts of all test files in the current folder, in order. */
export function testFiles() {
  const names = [...namesBelow(".")].filter((name) => name.endsWith(".test.js"));
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
