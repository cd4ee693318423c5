import { assert, describe, it } from "@effect/vitest"
import { type DnsAnswer, dnsServer } from "@keelson/testing/dnsServer"
import { eventually } from "@keelson/testing/eventually"
import { caFile, httpsOrigin, nodeEgress } from "@keelson/testing/httpsOrigin"
import { Effect, Exit, Fiber } from "effect"
import { execFile, execFileSync } from "node:child_process"
import type { LookupAddress } from "node:dns"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { makeDnsResolve } from "../src/internal/egress/NodeDns.ts"
import { lookupOf, type Resolve } from "../src/internal/egress/NodeResolver.ts"
import { makeSystemResolve, systemLimit } from "../src/internal/egress/NodeSystemLookup.ts"

interface Names {
  readonly hosts?: string
  readonly resolvConf?: string
  readonly zones?: Readonly<Record<string, DnsAnswer>>
  readonly system?: ReadonlyArray<string>
}

const addressOf = (address: string): LookupAddress => ({ address, family: address.includes(":") ? 6 : 4 })

/** A resolver over a real name server, with separate configuration files. It records its requests to the system. */
const resolver = Effect.fnUntraced(function*({ hosts = "", resolvConf = "", system = [], zones = {} }: Names) {
  const server = yield* dnsServer((name) => zones[name] ?? "nxdomain")
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "keelson-names-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true }))
  )
  const files = { hosts: join(folder, "hosts"), resolvConf: join(folder, "resolv.conf") }
  writeFileSync(files.hosts, hosts)
  writeFileSync(files.resolvConf, resolvConf)
  const asked: Array<string> = []
  const throughSystem: Resolve = (hostname, done) => {
    asked.push(hostname)
    if (system.length > 0) return done(null, system.map(addressOf))
    done(Object.assign(new Error("getaddrinfo"), { code: "ENOTFOUND" }), [])
  }
  const resolve = makeDnsResolve({ files, servers: [server.address], system: throughSystem })
  const addresses = (hostname: string) =>
    Effect.callback<string>((resume) => {
      const cancel = resolve(hostname, (error, list) =>
        resume(Effect.succeed(
          error === null ? list.map(({ address }) => address).join(" ") : String(Reflect.get(error, "code"))
        )))
      return Effect.sync(() => cancel?.())
    })
  return { server, asked, resolve, addresses, files }
})

describe("names", () => {
  it.live("[K-28 G1] [R27] resolve to the addresses of both families", () =>
    Effect.gen(function*() {
      const { addresses, asked, server } = yield* resolver({
        zones: {
          "both.example": ["192.0.2.1", "2001:db8::1"],
          "six.example": ["2001:db8::6"],
          "four.example": ["192.0.2.4"]
        }
      })
      assert.strictEqual(yield* addresses("both.example"), "192.0.2.1 2001:db8::1")
      assert.strictEqual(yield* addresses("six.example"), "2001:db8::6")
      assert.strictEqual(yield* addresses("four.example"), "192.0.2.4")
      assert.deepStrictEqual(server.queries.slice(0, 2).toSorted(), ["both.example A", "both.example AAAA"])
      assert.isEmpty(asked)
    }))

  it.live("[K-28 G1] in the hosts file are not asked for", () =>
    Effect.gen(function*() {
      const { addresses, server } = yield* resolver({
        hosts:
          "# 192.0.2.9 idp.example\n192.0.2.1\tIDP.example idp # name\n2001:db8::1 idp.example\nnonsense idp.example\n",
        zones: { "idp.example": ["192.0.2.2"], "x.idp.example": ["192.0.2.3"] }
      })
      assert.strictEqual(yield* addresses("idp.example"), "192.0.2.1 2001:db8::1")
      assert.strictEqual(yield* addresses("idp"), "192.0.2.1")
      assert.isEmpty(server.queries)
      assert.strictEqual(yield* addresses("x.idp.example"), "192.0.2.3")
    }))

  it.live("[K-28 G1] localhost is this machine without a query, whatever the hosts file lacks", () =>
    Effect.gen(function*() {
      for (const [hosts, expected] of [["", "127.0.0.1 ::1"], ["::1 localhost", "::1 127.0.0.1"]] as const) {
        const { addresses, asked, server } = yield* resolver({ hosts })
        assert.strictEqual(yield* addresses("localhost"), expected)
        assert.isEmpty([...server.queries, ...asked])
      }
    }))

  it.live("[K-28 G1] are completed by the search domains, as resolv.conf says", () =>
    Effect.gen(function*() {
      const zones = {
        "idp.one.test": ["192.0.2.1"],
        "idp.auth.two.test": ["192.0.2.2"],
        "idp.dev": ["192.0.2.3"],
        "idp.dev.two.test": ["192.0.2.4"]
      }
      const conf = "domain old.test\nsearch one.test two.test. # both\noptions rotate ndots:2 timeout:1\n"
      const two = yield* resolver({ resolvConf: conf, zones })
      assert.strictEqual(yield* two.addresses("idp"), "192.0.2.1")
      assert.strictEqual(yield* two.addresses("idp.auth"), "192.0.2.2")
      assert.strictEqual(yield* two.addresses("idp.dev"), "192.0.2.4")
      const one = yield* resolver({ resolvConf: "search one.test two.test\n", zones })
      assert.strictEqual(yield* one.addresses("idp.dev"), "192.0.2.3")
      assert.strictEqual(yield* one.addresses("idp"), "192.0.2.1")
    }))

  it.live("[K-28 G1] that neither the hosts file nor DNS has are resolved by the system", () =>
    Effect.gen(function*() {
      const { addresses, asked } = yield* resolver({ system: ["192.0.2.7"], zones: { "empty.example": [] } })
      assert.strictEqual(yield* addresses("printer.local"), "192.0.2.7")
      assert.strictEqual(yield* addresses("empty.example"), "192.0.2.7")
      assert.deepStrictEqual(asked, ["printer.local", "empty.example"])
      const none = yield* resolver({})
      assert.strictEqual(yield* none.addresses("gone.example"), "ENOTFOUND")
    }))

  it.live("[K-28 G1] whose name server fails are not resolved by the system, which would hang", () =>
    Effect.gen(function*() {
      const { addresses, asked } = yield* resolver({
        resolvConf: "search dead.test\noptions ndots:2\n",
        zones: { "broken.example": "servfail", "idp.example.dead.test": "servfail", "idp.example": ["192.0.2.1"] }
      })
      assert.strictEqual(yield* addresses("broken.example"), "ESERVFAIL")
      assert.strictEqual(yield* addresses("idp.example"), "192.0.2.1")
      assert.isEmpty(asked)
    }))

  it.live("[K-28 G1] nobody waits for are not asked for any more", () =>
    Effect.gen(function*() {
      const { addresses, asked, server } = yield* resolver({ zones: { "idp.example": "silence" } })
      const fiber = yield* Effect.forkChild(addresses("idp.example"))
      yield* eventually(() => server.queries.length >= 2)
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual([Exit.isFailure(yield* Fiber.await(fiber)), asked], [true, []])
      // Another name is answered while the first one, if it were still asked for, would hang.
      assert.strictEqual(yield* addresses("other.example"), "ENOTFOUND")
    }))

  it.live("[K-28 G1] [R17] an interrupted fetch cancels the resolution of its name", () =>
    Effect.gen(function*() {
      let cancelled = 0
      let asked = 0
      const egress = yield* nodeEgress({
        resolve: () => {
          asked++
          return () => cancelled++
        }
      })
      const fiber = yield* Effect.forkChild(egress.get({ url: "https://idp.example/" }))
      yield* eventually(() => asked === 1)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(cancelled, 1)
    }))

  it.live("[K-28 G1] [R26] the name of a proxy is resolved in the same way, without a check of its address", () =>
    Effect.gen(function*() {
      const names: Array<string> = []
      const egress = yield* nodeEgress({
        proxy: "http://proxy.internal:9",
        allowedNetworks: [],
        resolve: (hostname, done) => {
          names.push(hostname)
          done(null, [addressOf("127.0.0.1")])
        }
      })
      assert.strictEqual((yield* Effect.flip(egress.get({ url: "https://idp.example/" }))).code, "NETWORK_ERROR")
      assert.deepStrictEqual(names, ["proxy.internal"])
    }))

  it("[R27] a lookup for one family returns an address of it, or fails", () => {
    const lookup = lookupOf((_, done) => done(null, [addressOf("192.0.2.1")]))
    const results: Array<unknown> = []
    lookup("a", { family: 4 }, (error, address, family) => results.push([error, address, family]))
    lookup("a", { family: 6 }, (error) => results.push(error && Reflect.get(error, "code")))
    assert.deepStrictEqual(results, [[null, "192.0.2.1", 4], "ENOTFOUND"])
  })
})

describe("the system's resolver", () => {
  const calls = () => {
    const ends: Array<() => void> = []
    const names: Array<string> = []
    const results: Array<string> = []
    return {
      names,
      ends,
      results,
      call: (hostname: string, done: (error: Error | null, list: ReadonlyArray<LookupAddress>) => void) => {
        names.push(hostname)
        ends.push(() => done(null, [addressOf("192.0.2.1")]))
      },
      note: (name: string) => () => void results.push(name)
    }
  }

  it("[K-28 G1] is called once for a name, however many wait, and not again while it hangs", () => {
    const { call, ends, names, note, results } = calls()
    const resolve = makeSystemResolve(2, call)
    const cancels = ["one", "two", "three"].map((name) => resolve("idp", note(name)))
    for (const cancel of cancels) cancel?.()
    resolve("idp", note("four"))
    resolve("other", note("other"))
    assert.deepStrictEqual(names, ["idp", "other"])
    ends[0]?.()
    assert.deepStrictEqual(results, ["four"])
    resolve("idp", note("five"))
    assert.deepStrictEqual(names, ["idp", "other", "idp"])
  })

  it("[K-28 G1] has few calls at once; who is cancelled in the queue is never called for", () => {
    const { call, ends, names, note, results } = calls()
    const resolve = makeSystemResolve(1, call)
    resolve("a", note("a"))
    const cancel = resolve("b", note("b"))
    resolve("c", note("c"))
    cancel?.()
    assert.deepStrictEqual(names, ["a"])
    for (let n = 0; n < 2; n++) ends[n]?.()
    assert.deepStrictEqual([names, results], [["a", "c"], ["a", "c"]])
  })

  it("[K-28 G1] leaves a thread of libuv to the application", () => {
    // libuv runs slow work, as name resolution, on half of its threads, rounded up.
    const limits = [undefined, "", "x", "1", "4", "8", "16", "9999"].map(systemLimit)
    assert.deepStrictEqual(limits, [1, 1, 1, 1, 1, 3, 7, 511])
  })
})

describe("a zone that does not answer", () => {
  const script = join(import.meta.dirname, "resolverProcess.ts")
  const run = (file: string, args: ReadonlyArray<string>) =>
    Effect.callback<string>((resume) => {
      const child = execFile(file, args, (error, stdout, stderr) =>
        resume(Effect.succeed(error === null ? stdout : `${stdout}${stderr}`)))
      return Effect.sync(() =>
        child.kill()
      )
    })
  const expected = [
    "50 own lookups, 16 fetches pending",
    "healthy provider 200, 16 fetches pending",
    "0 fetches pending"
  ]

  it.live("[K-28 G1] delays neither the application's own lookups nor other providers", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual((yield* run(process.execPath, [script])).trim().split("\n"), expected)
    }))

  it.live("[K-28 G1] delays neither by the system's own configuration, in a network namespace where there are some", () =>
    Effect.gen(function*() {
      const folder = mkdtempSync(join(tmpdir(), "keelson-netns-"))
      writeFileSync(join(folder, "resolv.conf"), "nameserver 127.0.0.1\n")
      writeFileSync(join(folder, "hosts"), "127.0.0.1 localhost\n")
      const mount = `mount --bind ${folder}/resolv.conf /etc/resolv.conf && mount --bind ${folder}/hosts /etc/hosts`
      const setUp = `ip link set lo up && ${mount}`
      const unshare = ["--net", "--mount", "--map-root-user", "sh", "-c"]
      const isPossible = (() => {
        try {
          execFileSync("unshare", [...unshare, setUp], { stdio: "ignore" })
          return true
        } catch {
          return false
        }
      })()
      const command = `${setUp} && exec "${process.execPath}" "${script}" namespace`
      const output = yield* (isPossible ? run("unshare", [...unshare, command]) : run(process.execPath, [script]))
      rmSync(folder, { recursive: true })
      assert.deepStrictEqual(output.trim().split("\n"), expected)
    }))
})

describe("NodeEgress by DNS", () => {
  it.live("[K-28 G1] [R17] checks the addresses of a name in the socket's lookup, and connects to none that is refused", () =>
    Effect.gen(function*() {
      const origin = yield* httpsOrigin((_, response) => void response.end("keys"))
      const { resolve } = yield* resolver({ zones: { "idp.example": ["127.0.0.1", "::ffff:127.0.0.1"] } })
      const url = `https://idp.example:${origin.port}/`
      const strict = yield* nodeEgress({ resolve, allowedNetworks: [] })
      assert.strictEqual((yield* Effect.flip(strict.get({ url }))).details["reason"], "address")
      assert.strictEqual(origin.connections(), 0)
      const open = yield* nodeEgress({ resolve, caFile })
      assert.strictEqual((yield* open.get({ url })).status, 200)
    }))
})
