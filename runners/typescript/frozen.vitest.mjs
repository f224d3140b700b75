// Runs before the tests of each file. What a test expects of itself does not change while it runs,
// and the report says how many functions of tests returned: hooks and patches of a solution can make
// a failure a pass, but cannot make a function return.
import { writeSync } from "node:fs";
import { TestRunner, afterAll, beforeAll, beforeEach } from "vitest";
import { isSame, testFiles } from "./test-files.mjs";

const REPORT_FD = 4;
const STATE = Symbol.for("llmbench.returned");
const write = writeSync;

// All files share one process, and each runs this file anew.
if (!(STATE in globalThis)) {
  const functionOf = TestRunner.getTestFn;
  const state = { returned: new Map(), mayFail: new WeakSet(), files: testFiles() };
  Object.defineProperty(globalThis, STATE, { value: state });
  Object.defineProperty(TestRunner.prototype, "runTask", {
    async value(task) {
      state.returned.set(task, state.mayFail.has(task));
      await functionOf(task)();
      state.returned.set(task, true);
    },
  });
}
const { returned, mayFail, files } = globalThis[STATE];
for (const [name, text] of files) {
  if (!isSame(name, text)) throw new Error(`${name} was changed by the solution`);
}

function* testsOf(task) {
  if (task.type === "test") yield task;
  for (const each of task.tasks ?? []) yield* testsOf(each);
}

beforeAll(({}, file) => {
  for (const task of testsOf(file)) if (task.fails) mayFail.add(task);
});

beforeEach(({ task }) => {
  for (const name of ["fails", "mode", "name"]) {
    Object.defineProperty(task, name, { value: task[name], writable: false, configurable: false });
  }
});

// Registered first, so it runs last.
afterAll(() => {
  write(REPORT_FD, `returned ${[...returned.values()].filter(Boolean).length}\n`);
  returned.clear();
});
