import { writeSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { BaseSequencer, DefaultReporter } from "vitest/node";
import { canaryName } from "./canary-name.mjs";
import { expectedLine } from "./expected.mjs";

const REPORT_FD = 4;

// This module is loaded before any test, and before the answer.
writeSync(REPORT_FD, expectedLine());

const isCanary = (path) => path.endsWith("/llmbench-canary.test.js");

class CanaryLast extends BaseSequencer {
  sort(specs) {
    const path = (spec) => (isCanary(spec.moduleId) ? "~" : "") + spec.moduleId;
    return specs.sort((a, b) => (path(a) < path(b) ? -1 : 1));
  }
}

/** The report for people, without the canary: failures begin in the first lines, which a row keeps. */
class Log extends DefaultReporter {
  printTestCase(moduleState, test) {
    if (test.result().state !== "passed") super.printTestCase(moduleState, test);
  }
  onTestModuleEnd(module) {
    if (!isCanary(module.moduleId)) super.onTestModuleEnd(module);
  }
  onTestRunEnd(modules, errors, reason) {
    super.onTestRunEnd(modules.filter((module) => !isCanary(module.moduleId)), errors, reason);
  }
}

export default {
  cacheDir: ".run/vite",
  test: {
    fsModuleCache: false,
    include: ["**/*.test.js"],
    setupFiles: [fileURLToPath(new URL("frozen.vitest.mjs", import.meta.url))],
    // Vitest's own limits by the clock are off: the sandbox limits processor time.
    testTimeout: 0,
    hookTimeout: 0,
    reporters: [
      new Log({ summary: false }),
      [
        "junit",
        {
          titleTemplate: ({ filepath, title }) => (isCanary(filepath) ? canaryName : title),
          includeConsoleOutput: false,
        },
      ],
    ],
    sequence: { sequencer: CanaryLast },
    // One thread for all files: there is one core, and starting workers takes most of the time.
    pool: "threads",
    isolate: false,
    fileParallelism: false,
  },
};
