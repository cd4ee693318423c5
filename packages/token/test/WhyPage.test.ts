import { assert, describe, it } from "@effect/vitest"
import { ErrorCode } from "@keelson/core"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { reasonCodes } from "../src/internal/validation/reasonCodes.ts"

const page = readFileSync(join(import.meta.dirname, "../../../docs/guides/why-401.md"), "utf8")

describe("docs/guides/why-401.md", () => {
  it("[K-28 H2] has a row for each reason of a 401, by id and code, and names the reasons of a 503", () => {
    const rows = [...page.matchAll(/^\| ([A-Z]{3}-\d{3}) \| `(\w+)` /gm)].map(([, id, code]) => [code, id])
    const codes = new Set<ErrorCode.ErrorCode>([...Object.values(reasonCodes), "TOKEN_MISSING"])
    for (const code of codes) {
      const { id, status } = ErrorCode.codeInfo[code]
      if (status === 503) assert.include(page, `\`${code}\` (${id})`)
      else assert.deepInclude(rows, [code, id], code)
    }
    assert.strictEqual(rows.length, new Set(rows.map(String)).size)
    for (const [code, id] of rows) assert.strictEqual(ErrorCode.fromId(id ?? ""), code)
  })
})
