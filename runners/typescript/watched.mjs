// Counts the functions of tests that returned, for the report: patches of a solution can make a
// failure a pass, but cannot make a function return. Loaded before any test.
import { createHook } from "node:async_hooks";
import { before } from "node:test";

const returned = new Map();

/** The class of all tests, which node does not export, by a hook that does nothing. */
function testClass() {
  const resources = [];
  const spy = createHook({ init: (id, type, trigger, resource) => resources.push(resource) });
  spy.enable();
  before(() => {});
  spy.disable();
  const hook = resources.find((resource) => resource?.constructor?.name === "TestHook");
  return Object.getPrototypeOf(hook.constructor);
}

/** The function `run` of a test, which remembers how it ended; it has the same parameters. */
function watched(test, run) {
  function call(...args) {
    returned.set(test, false);
    const done = args.at(-1);
    const withCallback = run.length === 2 && typeof done === "function";
    if (withCallback) {
      args[args.length - 1] = (error, ...rest) => {
        returned.set(test, !error);
        return done(error, ...rest);
      };
    }
    const result = Reflect.apply(run, this, args);
    if (typeof result?.then === "function") {
      const settled = Promise.resolve(result);
      settled.then(() => returned.set(test, true), () => {});
      return settled;
    }
    if (!withCallback) returned.set(test, true);
    return result;
  }
  return Object.defineProperty(call, "length", { value: run.length });
}

const Test = testClass();
const create = Test.prototype.createSubtest;
Object.defineProperty(Test.prototype, "createSubtest", {
  value(...args) {
    const test = Reflect.apply(create, this, args);
    if (test.constructor === Test) {
      Object.defineProperty(test, "fn", { value: watched(test, test.fn) });
    }
    return test;
  },
});

/** The number of tests, without those that have tests of their own, whose functions returned. */
export function returnedTests() {
  return [...returned].filter(([test, well]) => well && !test.subtests.length).length;
}
