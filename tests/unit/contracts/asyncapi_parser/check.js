// Prints what is wrong with an AsyncAPI document, one finding a line; exit status 1 if anything is.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const [folder, document] = process.argv.slice(2);
const { Parser } = createRequire(join(folder, "package.json"))("@asyncapi/parser");
const found = await new Parser().parse(readFileSync(document, "utf8"));
const [ERROR, WARNING] = [0, 1];
const wrong = found.diagnostics.filter((each) => each.severity === ERROR || each.severity === WARNING);
for (const each of wrong) console.log(`${each.path.join(".")}: ${each.message}`);
if (found.document) console.log(`channels: ${found.document.channels().all().map((each) => each.address()).join(" ")}`);
process.exit(found.document && wrong.length === 0 ? 0 : 1);
