import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { run, start, statusOf } from "./exampleProcess.ts"

/** The lines below each step's title in a report. */
const stepsOf = (out: string): ReadonlyArray<ReadonlyArray<string>> =>
  out.trim().split("\n\n").map((step) => step.split("\n").slice(1).map((line) => line.trim()))

const hasRedis = process.env["KEELSON_REQUIRE_REDIS"] === "1" ||
  spawnSync("redis-server", ["--version"]).error === undefined

describe("examples", () => {
  it("[K-22] retry-schedules prints the delays of every preset and the effect of jitter at a cap", async () => {
    const { code, err, out } = await run("retry-schedules.ts")
    assert.deepStrictEqual([code, err], [0, ""])
    for (const name of ["standard", "jwks", "tokenGuard", "objectStore"]) {
      assert.match(out, new RegExp(`^${name}$`, "m"))
    }
    assert.include(out, "at most 3 attempts, 750ms of delays, 8s in all")
    const [, after, before, full] = out.split(/^.*cap of 1 s.*$/m)
    assert.match(after ?? "", /1100 ms \|#/)
    assert.match(before ?? "", /1000 ms \|#+ 100\.0 %/)
    assert.match(full ?? "", / 0 ms \|#/)
    assert.match(full ?? "", / 900 ms \|#/)
    assert.notInclude(full ?? "", "1000 ms")
  })

  it("[K-36] retry-storm prints a fleet that stays down, and two that recover", async () => {
    const { code, err, out } = await run("retry-storm.ts")
    assert.deepStrictEqual([code, err], [0, ""])
    const [, storm, bounded, guarded] = out.split(/^== .*$/m)
    assert.include(storm, "stayed down after the cause was gone (metastable)")
    assert.include(bounded, "recovered 0 s after the cause was gone")
    assert.match(guarded ?? "", /recovered \d s after the cause was gone/)
  })

  it("[K-36] synchronised-probes prints the most probes in one second, with equal and with different open durations", async () => {
    const { code, err, out } = await run("synchronised-probes.ts")
    assert.deepStrictEqual([code, err], [0, ""])
    const [together = 0, apart = 0] = [...out.matchAll(/most probes in one second: (\d+)/g)].map(([, most]) =>
      Number(most)
    )
    assert.isAbove(together, 90)
    assert.isBelow(apart, 20)
    assert.isAbove(apart, 0)
  })

  it("[S4-41] [S4-42] [S2-22] [S2-23] [A1] [A2] audit-log prints a line for each request and event, without a token", async () => {
    const { code, err, out } = await run("audit-log.ts")
    assert.deepStrictEqual([code, err], [0, ""])
    const lines = out.trim().split("\n")
    const entries = lines.slice(0, -1).map((line) => JSON.parse(line))
    assert.deepStrictEqual(
      entries.map(({ details, http_method, object_key, request_path, response_status, sequence, user }) => [
        sequence,
        http_method,
        request_path,
        response_status,
        user,
        object_key,
        details?.error_name ?? details?.error_kind ?? null
      ]),
      [
        [1, "GET", "/invoices/1", 200, "alice", "1.json", null],
        [2, "GET", "/invoices/1?access_token=[REDACTED]", 401, null, null, "TOKEN_EXPIRED"],
        [3, "GET", "/invoices/1", 401, null, null, "TOKEN_MISSING"],
        [4, "GET", "/other", 404, null, null, null],
        [5, "token.refresh.start", null, null, null, null, null],
        [6, "token.refresh.failure", null, null, null, null, entries[5].details.error_kind],
        [7, "token.retry.outcome", null, null, null, null, null]
      ]
    )
    assert.strictEqual(entries[0].correlation_id, "order-4711")
    const failure = entries[5]
    assert.deepInclude(failure.details, { server: "billing", outcome: "Failed", attempts: 1, consecutive_failures: 1 })
    assert.match(failure.details.trace_id, /^[0-9a-f]{32}$/)
    assert.strictEqual(failure.correlation_id, entries[4].correlation_id)
    assert.notMatch(out, /eyJ|Bearer/)
    assert.strictEqual(lines.at(-1), "7 entries, 7 written, 0 lost")
  })

  it("[L1] [L3] [K-03] jwks-cache prints the outcomes and the provider's requests, and exits", async () => {
    const { code, err, out } = await run("jwks-cache.ts")
    assert.deepStrictEqual([code, err], [0, ""])
    const steps = stepsOf(out)
    assert.deepStrictEqual(steps.slice(0, -1), [
      ["100 x verified, subject alice", "requests: metadata 200, key set 200; Ready, ok"],
      ["100 x verified, subject alice", "requests: none; Ready, ok"],
      ["500 x JwksKeyNotFound, status 401", "requests: key set 304; Ready, ok"],
      ["1 x verified, subject alice", "requests: key set 200; Ready, ok"],
      ["1 x JwksKeyNotFound, status 401", "requests: none; Ready, ok"],
      ["1 x verified, subject alice", "requests: key set 304; Ready, ok"],
      ["1 x verified, subject alice", "requests: key set 503, key set 503, key set 503; Refreshing, ok"],
      ["1 x JwksUnavailable, status 503", "requests: none; Refreshing, ok"],
      ["1 x verified, subject alice", "requests: key set 304; Ready, ok"]
    ])
    const [, lookups, hits, misses] = /^(\d+) lookups: (\d+) hits, (\d+) misses$/m.exec(out) ?? []
    assert.strictEqual(Number(hits) + Number(misses), Number(lookups))
  })

  it(
    "[K-10] [S2-26] [S3-08] calling-apis prints the requests at the API and the authorization server, and exits",
    async () => {
      const { code, err, out } = await run("calling-apis.ts")
      assert.deepStrictEqual([code, err], [0, ""])
      const steps = stepsOf(out)
      assert.deepStrictEqual(steps, [
        ["100 x 200", "at the API: 100 of reporter; token requests: 1"],
        ["100 x 200", "at the API: 100 of reporter; token requests: 0"],
        ["10 x 200", "at the API: 10 of nobody, 10 of reporter; token requests: 1"],
        ["10 x 200", "at the API: 10 of reporter; token requests: 1"],
        ["1 x EGRESS_REFUSED", "at the API: none; token requests: 0"],
        ["1 x 200", "at the API: 1 of ledger; token requests: 1"]
      ])
      assert.include(out, "/ledger/1 belongs to ledger, /ledgers to no server")
    }
  )

  it("[S2-13] [S2-15] [S2-17] token-sidecar sends the four operations with one token", async () => {
    const { code, err, out } = await run("token-sidecar.ts")
    assert.deepStrictEqual([code, err], [0, ""])
    const [sent, ...others] = stepsOf(out)
    const operations = ["discover_ingest_host", "get_scoped_token", "open_channel", "append_rows"]
    assert.deepStrictEqual(
      sent,
      operations.map((operation) => `202 {"operation":"${operation}","attempts":1,"final_status":"success"}`)
    )
    assert.deepStrictEqual(others[0], ["at the API: 4 of reporter", "at the authorization server: 1"])
    assert.match(others[1]?.[0] ?? "", /^400 .*"invalid_request".*append_rows/)
    assert.match(others[2]?.[0] ?? "", /^401 .*"unauthenticated"/)
  })

  it(
    "[S1-28] [L5] multi-tenant accepts tokens of 51 issuers while customers are added and removed, and exits",
    async () => {
      const { code, err, out } = await run("multi-tenant.ts")
      assert.deepStrictEqual([code, err], [0, ""])
      assert.deepStrictEqual(stepsOf(out), [
        ["49 x accepted", "49 issuers; key sets fetched: 49"],
        ["49 x accepted", "49 issuers; key sets fetched: 0"],
        ["1 x TOKEN_ISSUER_UNTRUSTED, status 401", "49 issuers; key sets fetched: 0"],
        ["1 x accepted", "50 issuers; key sets fetched: 1"],
        ["50 x TOKEN_SIGNATURE_INVALID, status 401", "50 issuers; key sets fetched: 0"],
        ["49 x accepted; 1 x TOKEN_ISSUER_UNTRUSTED, status 401", "49 issuers; key sets fetched: 0"],
        ["50 x accepted", "50 issuers; key sets fetched: 1"],
        ["2 x accepted; 1 x TOKEN_ISSUER_UNTRUSTED, status 401", "51 issuers; key sets fetched: 1"]
      ])
    }
  )

  it("[K-06] [R10] redis shows shared state across processes and a Redis outage, and exits", async () => {
    const { code, err, out } = await run("redis.ts")
    assert.deepStrictEqual([code, err], [0, ""])
    if (!hasRedis) {
      assert.match(out, /^redis-server is not installed/)
      return
    }
    const opening = "3 x UPSTREAM_UNAVAILABLE, status 502; 2 x CIRCUIT_OPEN, status 503; calls to the ledger: 3"
    const open = "5 x CIRCUIT_OPEN, status 503; calls to the ledger: 0"
    assert.deepStrictEqual(stepsOf(out), [
      ["accepted; requests: 2"],
      ["2 x accepted"],
      ["before: accepted", "after: TOKEN_REVOKED, status 401"],
      [opening],
      [open],
      ["AUTHORIZATION_UNAVAILABLE, status 503"],
      ["TOKEN_REVOKED, status 401"],
      [opening, opening],
      ["a valid token: accepted", "the revoked token: TOKEN_REVOKED, status 401"],
      [open]
    ])
  })

  it("[S4-20] [S4-26] [S4-28] [S4-29] tiered-cache keeps its promises in memory, on disk and in Redis, and exits", async () => {
    const { code, err, out } = await run("tiered-cache.ts")
    assert.deepStrictEqual([code, err], [0, ""])
    const promises = [
      "many callers share one load",
      "later ones get it from memory",
      "a restart keeps what is on disk",
      "a stale page beats an error",
      "an unknown page is an error",
      "another machine has it from Redis",
      "a purge removes it from all tiers",
      "after that it is loaded again"
    ].filter((promise) => hasRedis || !promise.includes("Redis"))
    const kept = out.split("\n").filter((line) => line.endsWith("  kept"))
    assert.deepStrictEqual(kept.map((line) => line.split(/ {2,}/)[0]), promises)
    const tiers = hasRedis ? ["memory", "disk", "redis"] : ["memory", "disk"]
    for (const tier of tiers) assert.match(out, new RegExp(String.raw`^${tier} +\d+ +\d+ +1 +\d+$`, "m"))
  })

  it(
    "[T6] existing-node-app responds the same in Fastify and Express, reloads under load, and leaves nothing open",
    async () => {
      const { code, err, out } = await run("existing-node-app.ts")
      assert.deepStrictEqual([code, err], [0, ""])
      const both = (text: string) => [`fastify: ${text}`, `express: ${text}`]
      const good = both("200, {\"caller\":\"reader\",\"reports\":[{\"title\":\"Figures of May\"}]}")
      const realm = "Bearer realm=\"app\""
      const lacking = "The access token lacks a required scope"
      assert.deepStrictEqual(stepsOf(out).slice(1), [
        both("503, 1"),
        good,
        both(`401, ${realm}`),
        both(`401, ${realm}, error="invalid_token", error_description="The access token is not accepted"`),
        both(`403, ${realm}, error="insufficient_scope", error_description="${lacking}", scope="reports:write"`),
        ["200 x 200"],
        [
          "ConfigurationError: Invalid configuration: issuer must be an https URL without user, query and fragment; " +
          "http is for this machine only, with LocalDevelopment.layer or allowLocalhost, or for a host in insecureHosts"
        ],
        good,
        ["none"]
      ])
    }
  )

  it("[T6] [K-03] protected-api prints each kind of response of a protected API, and exits", async () => {
    const { code, err, out } = await run("protected-api.ts")
    assert.deepStrictEqual([code, err], [0, ""])
    const steps = stepsOf(out)
    assert.deepStrictEqual(steps.map(([status]) => status), [
      "503",
      "200",
      "401",
      "401",
      "400",
      "403",
      "201",
      "200",
      "403",
      "204"
    ])
    assert.match(steps[0]?.[1] ?? "", /^retry-after: [1-9]$/)
    assert.strictEqual(steps[2]?.[1], "www-authenticate: Bearer realm=\"reports\"")
    assert.match(steps[3]?.[1] ?? "", /error="invalid_token"/)
    assert.match(steps[4]?.[1] ?? "", /error="invalid_request"/)
    assert.match(steps[5]?.[1] ?? "", /error="insufficient_scope", .*, scope="reports:write"$/)
    assert.strictEqual(steps[7]?.[1], "[{\"title\":\"Figures of May\"}]")
  })

  it("[K-37] mcp prints the challenge, the metadata, a step-up, and a scope that the agent may not ask for", async () => {
    const { code, err, out } = await run("mcp.ts")
    assert.deepStrictEqual([code, err], [0, ""])
    const [[challenge] = [], [metadata] = [], ...steps] = stepsOf(out)
    assert.match(challenge ?? "", /^401 Bearer realm="notes", scope="notes:read", resource_metadata="http:\/\/127/)
    assert.match(metadata ?? "", /^\{"resource":"http:\/\/127[^"]*\/mcp","authorization_servers":\["http:\/\/127/)
    const tokens = (count: number, scopes: string) => `token requests: ${count}; scopes of the token: ${scopes}`
    const first = "notes:read"
    const both = "notes:read notes:write"
    assert.deepStrictEqual(steps, [
      [
        "read_notes, add_note, delete_notes",
        "at the MCP server: server/discover 200, tools/list 200",
        tokens(1, first)
      ],
      ["[]", "at the MCP server: read_notes 200", tokens(0, first)],
      ["\"1 notes of agent\"", "at the MCP server: add_note 403, add_note 200", tokens(1, both)],
      ["\"2 notes of agent\"", "at the MCP server: add_note 200", tokens(0, both)],
      ["[\"Buy oakum\",\"Caulk the deck\"]", "at the MCP server: read_notes 200", tokens(0, both)],
      ["refused with 403", "at the MCP server: delete_notes 403", tokens(0, both)]
    ])
  })

  it(
    "[R22] [K-27] protected-api --serve listens on 127.0.0.1, rejects other hosts, and stops on SIGINT",
    async () => {
      const child = start(["protected-api.ts", "--serve"])
      try {
        const out = await new Promise<string>((resolve) => {
          let text = ""
          child.stdout?.on("data", (chunk) => {
            text += String(chunk)
            if (text.includes("/token")) resolve(text)
          })
        })
        const urls = out.match(/http:\/\/[^\s,]+/g) ?? []
        assert.deepStrictEqual(urls.map((url) => new URL(url).hostname), Array.from(urls, () => "127.0.0.1"))
        const servers = [urls[0] ?? "", urls.at(-1) ?? ""]
        const foreign = await Promise.all(servers.map((url) => statusOf(url, "evil.example")))
        assert.deepStrictEqual(foreign, [421, 421])
        const own = await Promise.all(servers.map((url) => statusOf(url, new URL(url).host)))
        assert.notInclude(own, 421)
        const document = await fetch(new URL("/openapi.json", urls[0]))
        assert.include(await document.text(), "\"security\":[{\"bearer\":[\"reports:write\"]}]")
      } finally {
        child.kill("SIGINT")
        await child.ended
      }
    }
  )
})
