import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { join } from "node:path"

/** Imports a module in a process of its own, and prints the URLs of all modules that were loaded for it. */
const program = `
  import { registerHooks } from "node:module"
  const loaded = new Set()
  registerHooks({ load: (url, context, next) => { loaded.add(url); return next(url, context) } })
  await import(process.argv[1])
  process.stdout.write(JSON.stringify([...loaded]))
`

const loadedFor = (path: string): ReadonlyArray<string> => {
  const module = join(import.meta.dirname, "../../..", path)
  const { stderr, stdout } = spawnSync(process.execPath, ["--input-type=module", "-e", program, module], {
    encoding: "utf8"
  })
  if (stdout === "") throw new Error(stderr)
  const urls: ReadonlyArray<string> = JSON.parse(stdout)
  return urls
}

describe("what importing a module loads", () => {
  it("a validator loads at most 180 modules of Effect, none of them of its HTTP servers or clients", () => {
    const effect = loadedFor("packages/token/src/TokenValidator.ts").filter((url) => url.includes("/effect/dist/"))
    assert.isAbove(effect.length, 50)
    assert.isAtMost(effect.length, 180)
    assert.deepStrictEqual(effect.filter((url) => /\/http\/(?:HttpServer|HttpClient|HttpRouter)/.test(url)), [])
  })

  it("a validator and static keys load no cache of key sets, and only the parts of jose that import keys", () => {
    const loaded = [
      ...loadedFor("packages/token/src/TokenValidator.ts"),
      ...loadedFor("packages/jwks/src/StaticKeys.ts")
    ]
    assert.deepStrictEqual(loaded.filter((url) => /JwksCache|internal\/cache\/|http-cache-semantics/.test(url)), [])
    assert.deepStrictEqual(loaded.filter((url) => /\/jose\/.*\/(?:jwt|jws|jwe|jwks)\//.test(url)), [])
  })

  it("NodeEgress loads undici only when its layer is built", () => {
    const loaded = loadedFor("packages/jwks/src/NodeEgress.ts")
    assert.deepStrictEqual(loaded.filter((url) => url.includes("/undici/")), [])
  })
})
