import * as Result from "effect/Result"
import * as UrlScope from "./urlScope.ts"

/** What a scope must be, by why it was refused. */
const expected: Record<UrlScope.UrlReason, string> = {
  url: "a URL with scheme and host",
  scheme: "an https URL; http is for this machine only, with allowLocalhost",
  credentials: "a URL without user name and password",
  host: "a URL whose host has no empty label",
  query: "a URL without query and fragment",
  path: "a URL whose path can be read in one way only"
}

/** The first URL of a list that cannot be a scope, with its path in the options and what it must be. */
export const scopeIssue = (
  urls: ReadonlyArray<readonly [path: ReadonlyArray<string | number>, url: string]>,
  options: UrlScope.Options
): { readonly path: ReadonlyArray<string | number>; readonly issue: string } | undefined => {
  for (const [path, url] of urls) {
    const parsed = UrlScope.parse(url, options)
    if (Result.isFailure(parsed)) return { path, issue: expected[parsed.failure] }
  }
  return undefined
}
