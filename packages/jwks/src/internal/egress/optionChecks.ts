import * as Schema from "effect/Schema"

/** Refuses headers without a list of the hosts that receive them. */
export const areHeadersLimited = Schema.makeFilter(
  (o: { readonly allowedHosts: ReadonlyArray<string>; readonly headers: Readonly<Record<string, unknown>> }) =>
    Object.keys(o.headers).length === 0 || o.allowedHosts.length > 0 ||
    { path: ["allowedHosts"], issue: "at least one host beside headers, since each of these hosts receives them" }
)
