import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { parseOptions } from "../../examples/src/survival/options.ts"
import { texts } from "../../examples/src/survival/promises.ts"
import { length, script } from "../../examples/src/survival/script.ts"
import { type Ended, root, run, start, statusOf } from "./exampleProcess.ts"

const Figures = Schema.Record(Schema.String, Schema.Number)
const Summary = Schema.fromJsonString(Schema.Struct({
  requests: Schema.Number,
  failed: Schema.Number,
  phases: Schema.Array(Schema.Struct({
    phase: Schema.String,
    requests: Schema.Number,
    failed: Figures,
    upstream: Figures
  })),
  forged: Schema.Struct({
    sent: Schema.Number,
    accepted: Schema.Number,
    kinds: Schema.Array(Schema.Struct({ kind: Schema.String, sent: Schema.Number, answers: Figures }))
  }),
  keys: Figures,
  tokens: Figures,
  api: Figures,
  transitions: Schema.Array(Schema.Struct({ circuit: Schema.String, from: Schema.String, to: Schema.String })),
  promises: Schema.Array(Schema.Struct({ text: Schema.String, kept: Schema.Boolean }))
}))

const summaryOf = ({ out }: Ended) => Schema.decodeUnknownSync(Summary)(out)
type Summary = ReturnType<typeof summaryOf>

const broken = ({ promises }: Summary) => promises.flatMap(({ kept, text }) => kept ? [] : [text])
const upstream = ({ phases }: Summary, name: string) => phases.find(({ phase }) => phase === name)?.upstream

const usual = readFileSync(join(root, "examples/survival.yaml"), "utf8")

/** Runs with a configuration file that differs from the usual one. */
const withConfig = async <A>(change: (text: string) => string, use: (file: string) => Promise<A>): Promise<A> => {
  const folder = mkdtempSync(join(tmpdir(), "keelson-"))
  try {
    const file = join(folder, "survival.yaml")
    writeFileSync(file, change(usual))
    return await use(file)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const staleFromEnvironment = (text: string) => text.replace("staleWindow: 1 minute", "staleWindow: ${STALE_WINDOW}")

// Both take as long as the script: they are played at once.
let played: Promise<readonly [Ended, Ended]> | undefined
const both = () =>
  played ??= withConfig(staleFromEnvironment, (file) =>
    Promise.all([
      run("start.ts", "--seed", "7", "--json"),
      start(["start.ts", "--json", "--config", file], { STALE_WINDOW: "0 millis" }).ended
    ]))

// The script takes 45 seconds, and several times as long on a machine that others use as well.
describe("start", () => {
  it("[L3] [L4] [L5] plays the whole script, and every promise is kept", async () => {
    const [ended] = await both()
    assert.deepStrictEqual([ended.code, ended.err], [0, ""])
    const summary = summaryOf(ended)
    assert.deepStrictEqual(broken(summary), [])
    assert.deepStrictEqual(summary.promises.map(({ text }) => text), [...texts])
    assert.deepStrictEqual(summary.phases.map(({ phase }) => phase), script.map(({ name }) => name))
    assert.isAtLeast(summary.requests, 20 * length)
    assert.strictEqual(summary.failed, 0)
    assert.isAtLeast(summary.forged.sent, 500)
    assert.strictEqual(summary.forged.accepted, 0)
    assert.isAtLeast(summary.forged.kinds.length, 10)
    assert.strictEqual(upstream(summary, "rotation")?.["keys"], 1)
    assert.isAtMost(upstream(summary, "flood")?.["keys"] ?? NaN, 1)
    assert.isAbove(summary.keys["stale"] ?? 0, 0)
    assert.isAbove(summary.api["limited"] ?? 0, 0)
    assert.isAbove(summary.api["unavailable"] ?? 0, 0)
    assert.deepInclude(summary.transitions, { circuit: "tokens", from: "CLOSED", to: "OPEN" })
  })

  it(
    "with a stale window of zero, from the environment, callers see the outage, and the exit code says so",
    async () => {
      const [, ended] = await both()
      assert.deepStrictEqual([ended.code, ended.err], [1, ""])
      const summary = summaryOf(ended)
      assert.include(broken(summary), "no caller saw a failure")
      const failed = summary.phases.filter((phase) => Object.keys(phase.failed).length > 0).map(({ phase }) => phase)
      assert.include(failed, "stale")
      assert.isAbove(summary.failed, 0)
      assert.strictEqual(summary.keys["stale"], 0)
      assert.strictEqual(summary.forged.accepted, 0)
    }
  )

  it("shows a line for each second and a table, without colours where there is no terminal", async () => {
    const { code, err, out } = await run("start.ts", "--phase", "rotation", "--seconds", "4")
    assert.deepStrictEqual([code, err], [0, ""])
    assert.notInclude(out, "\u001b")
    assert.strictEqual(out.match(/^ +\d+ s +\d+ calls +0 failed +p95 +\d+ ms/gm)?.length, 4)
    assert.match(out, /^ {2}2 s {2}rotation: /m)
    assert.match(out, /^kept +no caller saw a failure$/m)
  })

  it("refuses options that are unknown or out of their range, naming the range", () => {
    for (
      const wrong of ["--seconds=0", "--seconds=", "--seconds=soon", "--seed=-1", "--phase=lunch", "--fast", "now"]
    ) {
      assert.throws(() => parseOptions([wrong]), undefined, undefined, wrong)
    }
    assert.throws(() => parseOptions(["--seconds=0"]), RangeError, "--seconds must be a number from 1 to 3600")
    assert.throws(() => parseOptions(["--phase=lunch"]), RangeError, "--phase must be one of steady, rotation")
    assert.deepInclude(parseOptions(["--phase=flood", "--seed", "7"]), { phase: "flood", seed: 7, json: false })
  })

  it("[K-28 H7] prints its options for --help, and ends with 0", async () => {
    const { code, err, out } = await run("start.ts", "--help")
    assert.deepStrictEqual([code, err], [0, ""])
    for (const option of ["phase", "seconds", "seed", "config", "json", "serve", "help"]) {
      assert.include(out, `--${option}`)
    }
  })

  it("[K-28 H7] ends with 2, and names the file and the cause, where an option or the configuration is wrong", async () => {
    const far = (text: string) => text.replace("staleWindow: 1 minute", "staleWindow: 25 hours")
    const [option, absent, bound, unset] = await Promise.all([
      run("start.ts", "--seconds", "0"),
      run("start.ts", "--config", "no/such.yaml"),
      withConfig(far, (file) => run("start.ts", "--config", file)),
      withConfig(staleFromEnvironment, (file) => run("start.ts", "--config", file))
    ])
    for (const { code, err, out } of [option, absent, bound, unset]) {
      assert.deepStrictEqual([code, out], [2, ""])
      assert.match(err, /\nnpx -y pnpm@12 start /)
    }
    assert.match(option.err, /^--seconds must be a number from 1 to 3600\n/)
    assert.match(absent.err, /^The configuration file no\/such\.yaml cannot be read: ENOENT\n/)
    assert.match(
      bound.err,
      /^\S+survival\.yaml: Invalid configuration: api\.jwks\.staleWindow \(line \d+\) must be .*24 hours/
    )
    assert.include(unset.err, "STALE_WINDOW")
  })

  it(
    "[R22] --serve goes on with a page of metrics on 127.0.0.1, for its host and who has the token alone",
    async () => {
      const child = start(["start.ts", "--serve", "--seconds", "1"])
      try {
        const url = await new Promise<string>((resolve, reject) => {
          child.stdout?.on("data", (text) => {
            const found = /http:\S+/.exec(String(text))
            if (found !== null) resolve(found[0])
          })
          void child.ended.then(({ err }) => reject(new Error(err)))
        })
        const { host, hostname, origin } = new URL(url)
        assert.strictEqual(hostname, "127.0.0.1")
        assert.strictEqual(await statusOf(url, "evil.example"), 421)
        assert.strictEqual(await statusOf(`${origin}/metrics`, host), 403)
        assert.strictEqual(await statusOf(`${origin}/metrics?token=${crypto.randomUUID()}`, host), 403)
        const text = await (await fetch(url)).text()
        for (const name of ["keelson_jwks_cache_requests_total", "keelson_token_validations_total"]) {
          assert.match(text, new RegExp(`^${name}\\{.*\\} [1-9]`, "m"))
        }
      } finally {
        child.kill("SIGINT")
        await child.ended
      }
    }
  )

  it("docs/demo.md tells of the phases, promises and options that there are", () => {
    const page = readFileSync(join(root, "docs/demo.md"), "utf8")
    const phases = Array.from(page.matchAll(/^\| `(\w+)` +\|/gm), ([, name]) => name)
    assert.deepStrictEqual(phases, script.map(({ name }) => name))
    const kept = Array.from(page.matchAll(/^kept +(.*)$/gm), ([, text]) => text)
    assert.deepStrictEqual(kept, [...texts])
    for (const { name, says } of script) assert.include(page, `${name}: ${says}`)
    assert.include(page, `${length} seconds`)
    assert.include(readFileSync(join(root, "examples/src/start.ts"), "utf8"), `a script of ${length} seconds`)
    for (const option of ["phase", "seconds", "seed", "config", "json", "serve", "help"]) {
      assert.include(page, `\`--${option}`)
    }
  })
})
