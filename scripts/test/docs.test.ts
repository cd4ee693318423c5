import { assert, describe, it } from "@effect/vitest"
import * as MetricSeries from "@keelson/core/unstable/MetricSeries"
import { existsSync, globSync, readFileSync } from "node:fs"
import { dirname, join, resolve } from "node:path"

const root = join(import.meta.dirname, "..", "..")
const read = (path: string) => readFileSync(join(root, path), "utf8")

const pages = globSync(["*.md", "docs/**/*.md", "packages/*/README.md"], {
  cwd: root,
  exclude: (name) => name.includes("node_modules") || name.endsWith("docs/api")
})

/** The links of a page to files of this repository. */
const links = (path: string) =>
  [...read(path).matchAll(/\]\((?!https?:|mailto:|#)([^)#\s]+)(?:#[^)]*)?\)/g)].map(([, target = ""]) =>
    resolve(root, dirname(path), target)
  )

describe("Documentation", () => {
  it("[S3-36] the README links the pages on resilience, metrics and error codes", () => {
    const linked = links("README.md")
    for (
      const page of [
        "guides/resilience.md",
        "guides/observability.md",
        "reference/metrics.md",
        "reference/error-codes.md"
      ]
    ) assert.include(linked, join(root, "docs", page))
  })

  it("[S3-36] the guide on observability has four PromQL queries, of metrics that there are", () => {
    const queries = [...read("docs/guides/observability.md").matchAll(/```promql\n([\s\S]*?)```/g)].map((
      [, query = ""]
    ) => query)
    assert.isAtLeast(queries.length, 4)
    const known = Object.values(MetricSeries.definitions).map(({ name }) => `keelson_${name}`)
    for (const query of queries) {
      const names = query.match(/keelson_\w+/g) ?? []
      assert.isNotEmpty(names)
      for (const name of names) assert.include(known, name.replace(/_(?:bucket|sum|count)$/, ""))
    }
  })

  it("[S3-36] the gates: warnings fail the linter, the security scan is named, coverage has its bounds", () => {
    assert.match(read(".oxlintrc.json"), /"denyWarnings": true/)
    assert.match(read("CONTRIBUTING.md"), /pnpm audit --prod/)
    assert.match(read("vitest.config.ts"), /branches: 95/)
    for (const step of ["format", "lint", "types", "build", "docs", "tests", "acceptance"]) {
      assert.match(read(".ci/run"), new RegExp(`^step ${step} `, "m"))
    }
  })

  it("no page links a file that is not there", () => {
    const isMissing = (target: string) => !existsSync(target) && !target.includes(join("docs", "api"))
    for (const page of pages) assert.deepStrictEqual(links(page).filter(isMissing), [], page)
  })

  it("[R22] no snippet of a README or guide uses an insecure option; examples that do reach servers of their own", () => {
    const insecure = /allowLocalhost|[lL]ocalDevelopment|insecureHosts|unverifiedAddresses|skipExpiry/
    const guides = pages.filter((page) => /^README|\/README|getting-started|guides\//.test(page.replaceAll("\\", "/")))
    assert.isAtLeast(guides.length, 17)
    const snippets = (page: string) => (read(page).match(/^```[\s\S]*?^```/gm) ?? []).join("\n")
    // The page about the switch for development is not about production.
    const strict = guides.filter((page) => !page.endsWith("local-development.md"))
    assert.lengthOf(strict, guides.length - 1)
    for (const page of strict) assert.notMatch(snippets(page), insecure, page)
    const examples = globSync("examples/src/**/*.ts", { cwd: root }).filter((path) => insecure.test(read(path)))
    assert.deepStrictEqual(examples.toSorted(), [
      join("examples", "src", "calling-apis.ts"),
      join("examples", "src", "existing-node-app", "keelson.ts"),
      join("examples", "src", "gateway.ts"),
      join("examples", "src", "jwks-cache.ts"),
      join("examples", "src", "mcp.ts"),
      join("examples", "src", "mcp", "agent.ts"),
      join("examples", "src", "mcp", "server.ts"),
      join("examples", "src", "multi-tenant.ts"),
      join("examples", "src", "protected-api", "server.ts"),
      join("examples", "src", "redis", "instance.ts"),
      join("examples", "src", "survival", "server.ts"),
      join("examples", "src", "token-sidecar.ts")
    ])
    assert.include(read("examples/src/survival/server.ts"), `host: "127.0.0.1"`)
    assert.include(read("examples/src/survival/metricsPage.ts"), `host: "127.0.0.1"`)
    assert.include(read("examples/src/jwks/provider.ts"), `host: "127.0.0.1"`)
    assert.include(read("examples/src/protected-api/server.ts"), `host: "127.0.0.1"`)
    assert.include(read("examples/src/mcp/server.ts"), `host: "127.0.0.1"`)
    assert.include(read("examples/src/protected-api/issuer.ts"), `server.listen(0, "127.0.0.1"`)
  })

  it("no guide and no example turns a protection off", () => {
    const sources = ["README.md", ...globSync(["docs/guides/*.md", "examples/src/**/*.ts"], { cwd: root })]
    for (const source of sources) {
      assert.notMatch(read(source), /rejectUnauthorized|NODE_TLS_REJECT_UNAUTHORIZED|0\.0\.0\.0/, source)
    }
  })
})
