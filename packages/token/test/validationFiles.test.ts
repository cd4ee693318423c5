import { assert, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import { join } from "node:path"

interface Files {
  readonly cold: ReadonlyArray<string>
  readonly remembered: ReadonlyArray<string>
}

describe("Source files whose functions run during a validation", () => {
  const output = execFileSync(process.execPath, [join(import.meta.dirname, "validationFilesProcess.ts")], {
    encoding: "utf8"
  })
  const sources: Readonly<Record<string, Files>> = JSON.parse(output)
  for (const [source, { cold, remembered }] of Object.entries(sources)) {
    it(`are at most 14 for a new token, with keys of ${source}`, () => {
      assert.isAtMost(cold.length, 14, cold.join("\n"))
      assert.include(cold, "token/src/internal/validation/verification.ts")
    })

    it(`are at most 6 for a cached token, with keys of ${source}`, () => {
      assert.isAtMost(remembered.length, 6, remembered.join("\n"))
      assert.include(remembered, "token/src/internal/validation/tokenCache.ts")
    })
  }
})
