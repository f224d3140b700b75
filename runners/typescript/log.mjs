// node's report for people, of the problem's own tests only.
import { Readable } from "node:stream";
import { spec } from "node:test/reporters";
import { fileURLToPath } from "node:url";

const file = fileURLToPath(new URL("tests.mjs", import.meta.url));

export const isCanary = (event) => event.data?.file === file && event.data.name === "canary";

async function* own(events) {
  for await (const event of events) {
    const totals = event.type === "test:diagnostic" && event.data.nesting === 0;
    if (!totals && !isCanary(event)) yield event;
  }
}

export default async function* (events) {
  yield* Readable.from(own(events)).pipe(new spec());
}
