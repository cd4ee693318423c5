/**
 * `pnpm run hovers` prints the options of the sources that show no documentation on hover, call by call.
 * `pnpm pack:check` looks at the packed packages in the same way.
 */
import { documentedCount, hoversOf, undocumented } from "./hover.ts"
import { root, sourceModules } from "./program.ts"

const hovers = hoversOf(sourceModules(), root)
const missing = undocumented(hovers)
for (const line of missing) console.log(line)
console.log(documentedCount(hovers))
if (missing.length > 0) process.exitCode = 1
