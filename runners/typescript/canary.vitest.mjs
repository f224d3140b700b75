// The canary for Vitest. As in tests.mjs, it fails only if every usual assertion still works.
import { assert, expect, test } from "vitest";

const assertions = [
  () => assert(false),
  () => assert.equal(1, 2),
  () => expect.fail(),
  () => expect.unreachable(),
  () => expect(1).toBe(2),
  () => expect(1).not.toBe(1),
  () => expect({ a: 1 }).toEqual({ a: 2 }),
  () => expect([1]).toStrictEqual([2]),
  () => expect({ a: 1 }).toMatchObject({ a: 2 }),
  () => expect([1]).toContain(2),
  () => expect([1]).toHaveLength(2),
  () => expect("a").toMatch(/b/),
  () => expect(0).toBeTruthy(),
  () => expect(1).toBeFalsy(),
  () => expect(1).toBeNull(),
  () => expect(1).toBeUndefined(),
  () => expect(undefined).toBeDefined(),
  () => expect(1).toBeGreaterThan(2),
  () => expect(2).toBeLessThan(1),
  () => expect(1).toBeCloseTo(2),
  () => expect(1).toBeInstanceOf(String),
  () => expect(() => {}).toThrow(),
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
  await expect(Promise.resolve()).rejects.toThrow();
});
