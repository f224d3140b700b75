// Runs before the tests of each file: what a test expects of itself does not change while it runs.
import { beforeEach } from "vitest";

beforeEach(({ task }) => {
  for (const name of ["fails", "mode", "name"]) {
    Object.defineProperty(task, name, { value: task[name], writable: false, configurable: false });
  }
});
