/** Runs a program beside the parts, and prints its figures. */
import { Effect } from "effect"
import { audit } from "./audit/audit.ts"
import { dns } from "./dns/dns.ts"
import type { Finding } from "./figures.ts"
import type { ProgramName } from "./options.ts"
import { findingsTable } from "./report.ts"
import { soak } from "./soak/soak.ts"

const programs: Readonly<Record<ProgramName, (minutes: number) => Effect.Effect<ReadonlyArray<Finding>, unknown>>> = {
  soak,
  dns,
  audit
}

export const runProgram = (name: ProgramName, minutes: number): Promise<void> =>
  programs[name](minutes).pipe(
    Effect.match({
      onFailure: (problem) => {
        console.error(problem)
        process.exitCode = 1
      },
      onSuccess: (findings) => console.log(findingsTable(findings))
    }),
    Effect.runPromise
  )
