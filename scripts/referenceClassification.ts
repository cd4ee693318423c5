/** docs/reference/classification.md, from what packages/core/test/classification observed: docs/classification.json. */
import { ErrorCode } from "@keelson/core"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { root } from "./api/program.ts"
import { code, page, table } from "./referenceMarkdown.ts"

interface Row {
  readonly area: string
  readonly what: string
  readonly where: ReadonlyArray<string>
  readonly code?: ErrorCode.ErrorCode
  readonly retried: boolean
  readonly breaker: ErrorCode.BreakerOutcome
}

const rows: ReadonlyArray<Row> = JSON.parse(readFileSync(join(root, "docs/classification.json"), "utf8"))

const codeCell = (name: ErrorCode.ErrorCode | undefined): string => {
  if (name === undefined) return "none"
  const { id } = ErrorCode.codeInfo[name]
  return `[${id}](error-codes.md#${id.toLowerCase()}) ${code(name)}`
}

const cells = ({ breaker, code: name, retried, what, where }: Row): ReadonlyArray<string> => [
  what,
  where.join(", "),
  codeCell(name),
  retried ? "yes" : "no",
  breaker
]

const head = ["What happens", "Seen with", "Code", "Retried", "Breaker"]

const intro = [
  "What a failed call is taken for. A test makes each of these happen, with the real client or server, and this table is",
  "what it observed. `packages/core/test/classification` holds it. The rows of other runtimes were recorded by hand."
].join("\n")

const legend = [
  "**Retried**: by `Retry` and `Resilience.execute` without a `while`. `HttpRetry` and `Resilience.http` also retry the",
  "statuses of their policy, and repeat no error about which nothing is known. **Breaker**: `failure` counts against the",
  "called service, `success` shows it healthy, `ignored` says nothing about it."
].join("\n")

const rules = [
  "An error of another library is judged by the first of these that applies: a code of the catalogue that it carries, its",
  "own `isRetryable`, and the code that its shape gives it. An error about which nothing is known is retried, and counts as",
  "a failure. An `AbortController` that aborts with a custom reason fails the call with that reason: only the names",
  "`AbortError` and `TimeoutError` are recognized."
].join("\n")

export const classificationPage = (): string =>
  page("Classification", [
    intro,
    legend,
    rules,
    ...[...new Set(rows.map(({ area }) => area))].flatMap((area) => [
      `## ${area}`,
      table(head, rows.filter((row) => row.area === area).map(cells))
    ])
  ])
