import { assert, describe, it } from "@effect/vitest"
import { execFileSync } from "node:child_process"
import { join } from "node:path"

const moduleUrl = join(import.meta.dirname, "../src/NodeEgress.ts")

/** Whether a separate process has loaded undici after a step. */
const program = `
import { createRequire } from "node:module"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
const isLoaded = () => Object.keys(createRequire(import.meta.url).cache).some((path) => path.includes("/undici/"))
const { layer } = await import(${JSON.stringify(moduleUrl)})
const imported = isLoaded()
const egress = layer({ proxy: "none" })
const made = isLoaded()
await Effect.runPromise(Effect.scoped(Layer.build(egress)))
console.log(JSON.stringify([imported, made, isLoaded()]))
`

describe("NodeEgress", () => {
  it("loads undici when its layer is built, not when the module is imported", () => {
    const out = execFileSync(process.execPath, ["--input-type=module", "--eval", program], {
      cwd: import.meta.dirname,
      encoding: "utf8"
    })
    assert.deepStrictEqual(JSON.parse(out), [false, false, true])
  })
})
