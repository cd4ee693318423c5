import * as Schema from "effect/Schema"
import { scopeIssue } from "./scopeIssue.ts"

/** A server's name, which is the label `server` of its metrics. */
export const ServerName = Schema.String.check(
  Schema.isPattern(/^[A-Za-z0-9_.-]{1,64}$/, { expected: "1 to 64 of A-Z, a-z, 0-9, _, . and -" })
)

interface ServerUrls {
  readonly url: string
  readonly origins: ReadonlyArray<string>
  readonly allowLocalhost: boolean
}

/** Whether all URLs of a server can be scopes. */
export const areServerScopes = Schema.makeFilter(({ allowLocalhost, origins, url }: ServerUrls) =>
  scopeIssue([
    [["url"], url],
    ...origins.map((origin, index) => [["origins", index], origin] as const)
  ], { allowLocalhost }) ?? true
)
