import { assert, describe, it } from "@effect/vitest"
import { spawn } from "node:child_process"
import { join } from "node:path"
import { parseOptions, partNames } from "../src/options.ts"

const run = (...args: ReadonlyArray<string>) =>
  new Promise<{ readonly code: number | null; readonly out: string; readonly err: string }>((resolve, reject) => {
    const child = spawn(process.execPath, [join(import.meta.dirname, "../src/main.ts"), ...args])
    let [out, err] = ["", ""]
    child.stdout.on("data", (text) => out += String(text))
    child.stderr.on("data", (text) => err += String(text))
    child.once("error", reject).once("close", (code) => resolve({ code, out, err }))
  })

describe("bench", () => {
  it("[K-28 H7] runs all parts by default, or those that are named, in a fixed order", () => {
    assert.deepStrictEqual(parseOptions([]), { parts: partNames, json: false, help: false })
    assert.deepStrictEqual(parseOptions(["tokens", "jwks", "tokens"]).parts, ["jwks", "tokens"])
    assert.isTrue(parseOptions(["--", "--json"]).json)
  })

  it("[K-28 H7] refuses other arguments and lists the right ones", () => {
    assert.throws(() => parseOptions(["token"]), /token is not a part: use one of jwks, validation, policies, tokens/)
    assert.throws(() => parseOptions(["--jsn"]), /--jsn/)
    assert.throws(() => parseOptions(["jwks", "--json"]), /give no part/)
  })

  it("[K-28 H7] [K-28 G1] takes a program with its minutes, which is no part of the default run", () => {
    assert.deepStrictEqual(parseOptions(["soak"]).program, { name: "soak", minutes: 30 })
    assert.deepStrictEqual(parseOptions(["soak", "0.5"]), {
      parts: [],
      json: false,
      help: false,
      program: { name: "soak", minutes: 0.5 }
    })
    assert.deepStrictEqual(parseOptions(["dns"]).program, { name: "dns", minutes: 1 })
    assert.isUndefined(parseOptions([]).program)
    for (const wrong of [["soak", "long"], ["soak", "0"], ["dns", "1", "2"], ["soak", "jwks"], ["soak", "1441"]]) {
      assert.throws(() => parseOptions(wrong), /one number of minutes/)
    }
    assert.throws(() => parseOptions(["soak", "--json"]), /--json/)
    assert.throws(() => parseOptions(["jwks", "soak"]), /soak is not a part/)
  })

  it("[K-28 H7] prints its usage for --help, and with each error", async () => {
    const [help, wrong] = await Promise.all([run("--help"), run("everything")])
    assert.deepStrictEqual([help.code, help.err], [0, ""])
    for (const name of [...partNames, "--json"]) assert.include(help.out, name)
    assert.deepStrictEqual([wrong.code, wrong.out], [2, ""])
    assert.include(wrong.err, "everything is not a part")
    assert.include(wrong.err, help.out.trim())
  })
})
