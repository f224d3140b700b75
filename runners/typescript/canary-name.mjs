// The canary's name, read from stdin before any test is loaded.
import { readFileSync } from "node:fs";

export const canaryName = readFileSync(0, "utf8").trim();
