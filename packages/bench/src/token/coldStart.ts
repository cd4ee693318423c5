/**
 * The time from process start to the first validated token, with Keelson and with jose alone: the cost of a cold start.
 * Processes alternate. The packages are the built JavaScript that an application installs.
 */
import { Effect, type Scope } from "effect"
import { execFileSync, spawnSync } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { Comparison } from "../figures.ts"
import { each, spread } from "../measure.ts"
import { audience, claimsOf, issuer, jwkOf, signerOf, tokenOf } from "./issuer.ts"

const group = "process start to first token"
const rounds = 15
const root = join(import.meta.dirname, "../../../..")
const published = ["core", "jwks", "token"] as const

const keelson = `
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as StaticKeys from "@keelson/jwks/StaticKeys"
import * as Claims from "@keelson/token/Claims"
import * as TokenValidator from "@keelson/token/TokenValidator"
import * as ValidationPolicy from "@keelson/token/ValidationPolicy"
const { algorithm, audience, issuer, jwk, token } = JSON.parse(process.env.INPUT)
class Tokens extends TokenValidator.Service()("app/Tokens", { claims: Claims.AccessToken }) {}
const layer = Tokens.layer(
  ValidationPolicy.accessToken({ issuers: [issuer], audiences: [audience], algorithms: [algorithm] })
).pipe(Layer.provide(StaticKeys.layer({ issuers: [issuer], keys: [{ id: jwk.kid, algorithm, jwk }] })))
const validated = await Effect.runPromise(
  Effect.provide(Effect.flatMap(Tokens, (tokens) => tokens.validate(token)), layer)
)
process.stdout.write(validated.registered.iss)
`

const jose = `
import { createLocalJWKSet, jwtVerify } from "jose"
const { algorithm, audience, issuer, jwk, token } = JSON.parse(process.env.INPUT)
const { payload } = await jwtVerify(token, createLocalJWKSet({ keys: [jwk] }), {
  issuer, audience, algorithms: [algorithm], typ: "at+jwt", requiredClaims: ["exp", "iat", "sub", "client_id", "jti"]
})
process.stdout.write(payload.iss)
`

/** A package's manifest in its published form. */
const manifestOf = (name: string): string => {
  const { publishConfig, ...manifest } = JSON.parse(readFileSync(join(root, "packages", name, "package.json"), "utf8"))
  return JSON.stringify({ ...manifest, exports: publishConfig.exports })
}

/** Creates an application's folder with the published packages and their dependencies. */
const install = (folder: string): void => {
  execFileSync(join(root, "node_modules/.bin/tsc"), ["-b", "tsconfig.packages.json"], { cwd: root, stdio: "inherit" })
  for (const name of published) {
    const to = join(folder, "node_modules/@keelson", name)
    mkdirSync(to, { recursive: true })
    writeFileSync(join(to, "package.json"), manifestOf(name))
    cpSync(join(root, "packages", name, "dist"), join(to, "dist"), { recursive: true })
  }
  for (const name of ["effect", "jose", "lru-cache", "http-cache-semantics", "undici", "oauth4webapi"]) {
    const owner = published.find((pkg) => manifestOf(pkg).includes(`"${name}"`)) ?? "token"
    symlinkSync(realpathSync(join(root, "packages", owner, "node_modules", name)), join(folder, "node_modules", name))
  }
  writeFileSync(join(folder, "keelson.mjs"), keelson)
  writeFileSync(join(folder, "jose.mjs"), jose)
}

const folder: Effect.Effect<string, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => {
    const made = mkdtempSync(join(tmpdir(), "keelson-cold-start-"))
    install(made)
    return made
  }),
  (made) => Effect.sync(() => rmSync(made, { recursive: true, force: true }))
)

/** Milliseconds from a process's start to its exit, after it has validated a token. */
const start = (cwd: string, program: string, input: string): number => {
  const began = performance.now()
  const { status, stderr, stdout } = spawnSync(process.execPath, [program], {
    cwd,
    encoding: "utf8",
    env: { ...process.env, INPUT: input, NODE_OPTIONS: "" }
  })
  if (status !== 0 || stdout !== issuer) throw new Error(`${program} did not validate the token: ${stderr}`)
  return performance.now() - began
}

/** Keelson's time divided by that of jose alone. Both include the time of starting Node. */
export const coldStart: Effect.Effect<ReadonlyArray<Comparison>, unknown, Scope.Scope> = Effect.gen(function*() {
  const cwd = yield* folder
  const signer = signerOf("RS256")
  const token = tokenOf(signer, claimsOf(1))
  const input = JSON.stringify({ algorithm: "RS256", audience, issuer, jwk: jwkOf(signer), token })
  const own: Array<number> = []
  const other: Array<number> = []
  for (let round = -1; round < rounds; round++) {
    const [ours, theirs] = [start(cwd, "keelson.mjs", input), start(cwd, "jose.mjs", input)]
    // The first round only fills the file system caches.
    if (round >= 0) {
      own.push(ours)
      other.push(theirs)
    }
  }
  const ratio = spread(each(own, other, (a, b) => a / b))
  return [{ group, measure: "time", other: "jose", ratio, target: 3.8 }]
})
