/**
 * `node scripts/api/missing.ts` prints the options of the sources that show no documentation on hover, call by call.
 * `pnpm pack:check` looks at the packed packages in the same way.
 */
import { hoversOf } from "./hover.ts"
import { root, sourceModules } from "./program.ts"

const hovers = hoversOf(sourceModules(), root)
const missing = hovers.filter(({ documentation }) => documentation === "")
for (const { place } of missing) console.log(place)
console.log(`${hovers.length - missing.length} of ${hovers.length} options documented`)
if (missing.length > 0) process.exitCode = 1
