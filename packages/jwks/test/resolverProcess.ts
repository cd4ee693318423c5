/**
 * A separate process, whose libuv threads nothing else uses: 16 fetches ask a name server that does not answer for their zone.
 * Prints what the application's own lookups and the fetches of a healthy provider do meanwhile.
 *
 * With `namespace` it runs in a network namespace with a separate `resolv.conf`, and uses the system's configuration.
 */
import { dnsServer } from "@keelson/testing/dnsServer"
import { eventually } from "@keelson/testing/eventually"
import { caFile, httpsOrigin, nodeEgress } from "@keelson/testing/httpsOrigin"
import { Effect, Fiber } from "effect"
import { lookup } from "node:dns/promises"
import { mkdtemp, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { makeDnsResolve } from "../src/internal/egress/NodeDns.ts"
import { systemResolve } from "../src/internal/egress/NodeSystemLookup.ts"

const isNamespace = process.argv[2] === "namespace"

const program = Effect.gen(function*() {
  const server = yield* dnsServer(
    (name) => name.endsWith(".dead.example") ? "silence" : name.endsWith(".example") ? ["127.0.0.1"] : "nxdomain",
    isNamespace ? 53 : 0
  )
  const origin = yield* httpsOrigin((_, response) => void response.end("keys"))
  const folder = yield* Effect.promise(() => mkdtemp(join(tmpdir(), "keelson-names-")))
  const files = { hosts: join(folder, "hosts"), resolvConf: join(folder, "resolv.conf") }
  yield* Effect.promise(() => writeFile(files.hosts, "127.0.0.1 localhost\n"))
  const egress = yield* nodeEgress({
    caFile,
    resolve: isNamespace
      ? undefined
      : makeDnsResolve({ files, servers: [server.address], system: systemResolve })
  })
  const asked = (n: number) => server.queries.some((query) => query.startsWith(`t${n}.dead.example`))
  const numbers = Array.from({ length: 16 }, (_, n) => n)
  const fetches = yield* Effect.forEach(
    numbers,
    (n) => Effect.forkChild(egress.get({ url: `https://t${n}.dead.example/jwks` }), { startImmediately: true })
  )
  yield* eventually(() => numbers.every(asked))
  let own = 0
  for (let n = 0; n < 50; n++) {
    yield* Effect.promise(() => lookup(isNamespace ? `app${n}.example` : "localhost"))
    own++
  }
  const pending = () => fetches.filter((fiber) => fiber.pollUnsafe() === undefined).length
  console.log(`${own} own lookups, ${pending()} fetches pending`)
  const healthy = yield* egress.get({ url: `https://idp.example:${origin.port}/jwks` })
  console.log(`healthy provider ${healthy.status}, ${pending()} fetches pending`)
  yield* Fiber.interruptAll(fetches)
  console.log(`${pending()} fetches pending`)
})

await Effect.runPromise(Effect.scoped(program))
