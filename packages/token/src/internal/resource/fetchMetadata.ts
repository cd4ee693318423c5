import * as Deadline from "@keelson/core/Deadline"
import * as ErrorCode from "@keelson/core/ErrorCode"
import * as KeelsonError from "@keelson/core/KeelsonError"
import type * as Egress from "@keelson/jwks/Egress"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as Result from "effect/Result"
import type { Document } from "./document.ts"

/** The check that metadata or their place failed: the `reason` in the details of `RESOURCE_METADATA_INVALID`. */
export type MetadataProblem =
  | "location"
  | "missing"
  | "status"
  | "contentType"
  | "json"
  | "resource"
  | "bearerMethods"
  | "authorizationServer"
  | "issuer"
  | "tokenEndpoint"

/** The error of a check. Its message names what was expected, and nothing that the server sent. */
export const invalid = (
  reason: MetadataProblem,
  message: string,
  details: Readonly<Record<string, unknown>> = {}
): KeelsonError.NetworkError =>
  new KeelsonError.NetworkError({ code: "RESOURCE_METADATA_INVALID", message, details: { reason, ...details } })

/** The rules of requests for metadata. */
export interface FetchRules {
  readonly egress: Egress.Egress["Service"]
  readonly maxBytes: number
  readonly timeout: Duration.Duration
}

/**
 * Requests a URL with an egress. It follows no redirect, which could lead to another origin, and goes to the host of the URL only.
 */
export const get = (
  url: URL,
  { egress, maxBytes, timeout }: FetchRules
): Effect.Effect<Egress.EgressResponse, KeelsonError.NetworkError> =>
  egress.get({
    url,
    headers: { accept: "application/json" },
    rules: { allowedHosts: [url.hostname], maxBytes, maxRedirects: 0 }
  }).pipe(
    Deadline.within(timeout, { detach: true }),
    Effect.mapError((error) =>
      error instanceof KeelsonError.NetworkError ? error : new KeelsonError.NetworkError({ code: "TIMEOUT" })
    )
  )

/** The statuses of a place where there is nothing, so that the next place is tried. */
const absent: ReadonlySet<number> = new Set([400, 401, 403, 404, 405, 406, 410])

const isNetwork = (code: ErrorCode.ErrorCode): code is KeelsonError.CodeOf<"NETWORK"> =>
  ErrorCode.codeInfo[code].category === "NETWORK"

const statusError = (status: number): KeelsonError.NetworkError => {
  const code = ErrorCode.statusCode(status)
  return code !== undefined && isNetwork(code)
    ? new KeelsonError.NetworkError({ code, details: { status } })
    : invalid("status", "The metadata must be a response with the status 200", { status })
}

const jsonType = /^application\/json(?:[ \t]*;|$)/i

const parse = ({ body, headers }: Egress.EgressResponse): Result.Result<Document, KeelsonError.NetworkError> => {
  if (!jsonType.test(headers["content-type"] ?? "")) {
    return Result.fail(invalid("contentType", "The metadata must have the content type application/json"))
  }
  return Result.try({
    try: (): unknown => JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body)),
    catch: () => invalid("json", "The metadata must be a JSON object")
  }).pipe(Result.flatMap((json) =>
    Predicate.isObject(json) && !Array.isArray(json)
      ? Result.succeed({ ...json })
      : Result.fail(invalid("json", "The metadata must be a JSON object"))
  ))
}

/** Fetches metadata from the first of several places that has any. `undefined` where none has. */
export const fetchFirst = Effect.fnUntraced(function*(
  places: ReadonlyArray<URL>,
  rules: FetchRules
): Effect.fn.Return<Document | undefined, KeelsonError.NetworkError> {
  for (const place of places) {
    const response = yield* get(place, rules)
    if (response.status === 200) return yield* Effect.fromResult(parse(response))
    if (!absent.has(response.status)) return yield* Effect.fail(statusError(response.status))
  }
  return undefined
})
