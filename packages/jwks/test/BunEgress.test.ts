import { assert, describe, it } from "@effect/vitest"
import { httpOrigin } from "@keelson/testing/httpOrigin"
import { Effect } from "effect"
import { execFile } from "node:child_process"
import { createRequire } from "node:module"
import { join } from "node:path"

/** The binary of the package for this platform: CI and the development machines run Linux on x64. */
const bun = createRequire(join(import.meta.dirname, "../../../package.json")).resolve("@oven/bun-linux-x64/bin/bun")

describe("egress on Bun", () => {
  it.live("[R17] [S1-22] NodeEgress fails to build and names FetchEgress, which fetches", () =>
    Effect.gen(function*() {
      const origin = yield* httpOrigin({ status: 200, body: "keys" })
      const output = yield* Effect.callback<string>((resume) => {
        const child = execFile(
          bun,
          [join(import.meta.dirname, "bunProcess.ts"), origin.url],
          (error, stdout, stderr) => resume(Effect.succeed(error === null ? stdout : `${stdout}${stderr}`))
        )
        return Effect.sync(() => child.kill())
      })
      assert.deepStrictEqual(output.trim().split("\n"), [
        "INVALID_CONFIG NodeEgress cannot check addresses and pins on Bun: use FetchEgress with allowedHosts",
        "200 keys",
        "EGRESS_REFUSED pin",
        `EGRESS_REFUSED The URL's scheme is http, not https: to request 10.0.0.1 over http, name it in insecureHosts`
      ])
      assert.lengthOf(origin.received, 1)
    }))
})
