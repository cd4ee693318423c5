/** docs/reference/error-codes.md, from the catalogue. */
import { ErrorCode } from "@keelson/core"
import { code, list, page, table } from "./referenceMarkdown.ts"

const outcomes: Readonly<Record<ErrorCode.BreakerOutcome, string>> = {
  failure: "a circuit breaker counts a failure",
  success: "a circuit breaker counts a success",
  ignored: "a circuit breaker ignores it"
}

const yesOrNo = (is: boolean): string => is ? "yes" : "no"

const anchorOf = (name: ErrorCode.ErrorCode): string => new URL(ErrorCode.documentationUrl(name)).hash

const row = (name: ErrorCode.ErrorCode): ReadonlyArray<string> => {
  const { breaker, category, id, retryable, severity, status } = ErrorCode.codeInfo[name]
  return [`[${id}](${anchorOf(name)})`, code(name), category, severity, String(status), yesOrNo(retryable), breaker]
}

/** One code's section. Its heading is only the id, so that its anchor matches `documentationUrl`. */
const section = (name: ErrorCode.ErrorCode): string => {
  const { breaker, category, description, id, retryable, severity, status, troubleshooting } = ErrorCode.codeInfo[name]
  return [
    `## ${id}`,
    `${code(name)}: ${description}`,
    `${category}, ${severity}, HTTP ${status}; ${retryable ? "retryable" : "not retryable"}; ` +
    `${outcomes[breaker]}.`,
    list(troubleshooting)
  ].join("\n\n")
}

const intro = [
  "An error carries the name as its `code`. The id is what leaves the process: in problem documents, in the label",
  "`error_code` of `errors_total`, and as the anchor of the `documentation_url`. The guide is",
  "[errors.md](../guides/errors.md)."
].join("\n")

const legend = [
  "**Retryable**: whether the same call may succeed when it is made again; `Retry` goes by it unless a call says",
  "otherwise. `HttpRetry` takes a response's status from its policy instead. **Breaker**: what a circuit breaker records",
  "for a call that ends with the code: `failure` counts against the called service, `success` shows it healthy,",
  "`ignored` says nothing about it."
].join("\n")

const head = ["Id", "Name", "Category", "Severity", "HTTP", "Retryable", "Breaker"]

export const errorCodesPage = (): string =>
  page("Error codes", [
    intro,
    legend,
    table(head, ErrorCode.ErrorCode.literals.map(row)),
    ...ErrorCode.ErrorCode.literals.map(section)
  ])
