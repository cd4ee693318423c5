/** What the pages say of metrics, codes and one another, compared with what there is. */
import { assert, describe, it } from "@effect/vitest"
import { ErrorCode } from "@keelson/core"
import * as MetricSeries from "@keelson/core/unstable/MetricSeries"
import { existsSync, globSync, readFileSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import { defaultPrefix } from "../referenceMetrics.ts"

const root = join(import.meta.dirname, "../..")
const paths = globSync(["README.md", "packages/*/README.md", "docs/*.md", "docs/{guides,reference,decisions}/*.md"], {
  cwd: root
}).map((path) => path.replaceAll("\\", "/"))
const textOf = (path: string): string => readFileSync(join(root, path), "utf8").replaceAll("\r\n", "\n")
const prose = (path: string): string => textOf(path).replaceAll(/^```[\s\S]*?^```/gm, "")

/** As code hosts make anchors of headings. */
const anchorsIn = (path: string): ReadonlyArray<string> =>
  Array.from(
    prose(path).matchAll(/^#+ (.*)$/gm),
    ([, heading = ""]) => heading.toLowerCase().replaceAll(/[^\p{L}\p{N} _-]/gu, "").replaceAll(" ", "-")
  )

/** Where pages that are read outside the repository find its files. */
const published = "https://github.com/keelson/keelson/blob/main/"

const linksIn = (path: string): ReadonlyArray<string> =>
  Array.from(prose(path).matchAll(/\]\(([^)\s]+)\)/g), ([, link = ""]) => link)

const broken = (path: string): ReadonlyArray<string> =>
  linksIn(path)
    .map((link) => link.startsWith(published) ? relative(dirname(path), link.slice(published.length)) : link)
    .filter((link) => !/^[a-z]+:/.test(link))
    .filter((link) => {
      const [file = "", anchor] = link.split("#")
      const target = file === "" ? path : join(dirname(path), file)
      if (!existsSync(join(root, target))) return true
      return anchor !== undefined && target.endsWith(".md") && !anchorsIn(target).includes(anchor)
    })

const metrics = new Set(Object.values(MetricSeries.definitions).map(({ name }) => name as string))

describe("documentation", () => {
  it.each(paths)("%s: links lead somewhere", (path) => {
    assert.deepStrictEqual(broken(path), [])
  })

  it.each(paths.filter((path) => path.startsWith("packages/")))(
    "%s: has only absolute links, which work in node_modules and on npmjs.com",
    (path) => {
      const relativeLinks = linksIn(path).filter((link) => !/^(?:https:|#)/.test(link))
      assert.deepStrictEqual(relativeLinks, [])
    }
  )

  it.each(paths)("%s: names no metric that there is not", (path) => {
    const named = Array.from(textOf(path).matchAll(/\bkeelson_([a-z_]+)/g), ([, name = ""]) => name)
    const unknown = named.filter((name) => !metrics.has(name.replace(/_(bucket|sum|count)$/, "")) && name !== "")
    assert.deepStrictEqual(unknown, [])
  })

  it.each(paths)("%s: names no code that there is not", (path) => {
    const named = Array.from(textOf(path).matchAll(/\b(?:CFG|TOK|NET|AUTH|INT)-\d{3}\b/g), ([id]) => id)
    assert.deepStrictEqual(named.filter((id) => ErrorCode.fromId(id) === undefined), [])
  })

  it("[S3-36] the README begins with the two commands, and links to resilience, metrics and error codes", () => {
    const [, first = ""] = /```sh\n([\s\S]*?)```/.exec(textOf("README.md")) ?? []
    assert.strictEqual(first, "npx -y pnpm@12 start\nnpx -y pnpm@12 test\n")
    for (const page of ["guides/resilience.md", "reference/metrics.md", "reference/error-codes.md"]) {
      assert.include(textOf("README.md"), `(docs/${page})`)
    }
  })

  it("[S3-36] observability has four queries at least, on metrics that there are", () => {
    const queries = Array.from(
      textOf("docs/guides/observability.md").matchAll(/```promql\n([\s\S]*?)```/g),
      ([, query = ""]) => query
    )
    assert.isAtLeast(queries.length, 4)
    for (const query of queries) assert.include(query, defaultPrefix)
  })

  it("[R21] observability says that what users log themselves is out of scope", () => {
    assert.include(textOf("docs/guides/observability.md"), "What an application logs itself is out of scope")
  })
})
