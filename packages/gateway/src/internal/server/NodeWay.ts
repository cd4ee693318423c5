/**
 * The way of a request: what it names, whether its caller may have it, and the answer. What memory answers takes no promise.
 */
import { type HttpSecurityError, isHttpSecurityError } from "@keelson/token/HttpSecurityError"
import type { Principal } from "@keelson/token/Principal"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Method } from "../../BucketOptions.ts"
import * as NodeAccessRules from "../../NodeAccessRules.ts"
import type { Refused } from "../../ObjectKey.ts"
import type { Rejection } from "../../RateLimits.ts"
import { lackFor } from "./authorize.ts"
import type { RefusalReason } from "./counts.ts"
import { type Refusal, refusals } from "./errorBody.ts"
import type { NodeExchange } from "./NodeExchange.ts"
import { answerObject } from "./NodeObjectRequest.ts"
import type { Admission, RoutedBucket, ServedBucket, Snapshot } from "./NodeServed.ts"
import { answerWrite } from "./NodeWrite.ts"

/** Answers a request. It never throws. */
export const answerRequest = (x: NodeExchange, snapshot: Snapshot): void => {
  try {
    route(x, snapshot)
  } catch {
    x.refuse(refusals.internal)
  }
}

const route = (x: NodeExchange, snapshot: Snapshot): void => {
  const { method = "", url = "" } = x.request
  const target = snapshot.route(method, url)
  x.clientAddress = snapshot.clientAddress(x.request)
  if (target._tag === "Server") return x.sendEmpty(204, ["allow", "GET, HEAD, PUT, DELETE, OPTIONS"])
  x.bucket = target.bucket?.served
  if (x.bucket !== undefined && !x.bucket.allows(x.clientAddress)) return refuse(x, "address", refusals.addressDenied)
  switch (target._tag) {
    case "Refused":
      return refuseTarget(x, target)
    case "Redirect":
      return x.sendEmpty(301, ["location", target.location])
    case "Found": {
      const { served } = target.bucket
      x.key = target.key
      if (method === "OPTIONS") return x.preflight(served)
      return whenAdmitted(
        x,
        served.limits?.address?.(NodeAccessRules.rateKey(x.clientAddress)),
        () => authenticate(x, served, target.key)
      )
    }
  }
}

const refuse = (x: NodeExchange, reason: RefusalReason, refusal: Refusal, headers?: Array<string>): void => {
  const counts = x.bucket?.counts ?? x.shared.unrouted
  counts.refusals[reason]++
  x.refuse(refusal, headers)
}

const targetRefusals: Readonly<Record<Refused<unknown>["code"], Refusal>> = {
  GATEWAY_REQUEST_INVALID: refusals.targetInvalid,
  GATEWAY_QUERY_REFUSED: refusals.queryUnsupported,
  GATEWAY_BUCKET_NOT_FOUND: refusals.bucketUnknown,
  GATEWAY_KEY_MISSING: refusals.objectMissing,
  GATEWAY_METHOD_NOT_ALLOWED: refusals.methodDenied
}

const refuseTarget = (x: NodeExchange, { bucket, code }: Refused<RoutedBucket>): void => {
  if (code !== "GATEWAY_METHOD_NOT_ALLOWED" || bucket === undefined) return refuse(x, "target", targetRefusals[code])
  refuse(x, "method", refusals.methodDenied, ["allow", [...bucket.methods, "OPTIONS"].join(", ")])
}

/** Goes on if a rate limit admits the request. */
const whenAdmitted = (x: NodeExchange, admission: Admission, next: () => void): void => {
  const decide = (rejection: Rejection | undefined) => {
    if (rejection === undefined) return next()
    refuse(x, "rate", refusals.rateLimited, ["retry-after", String(rejection.retryAfter)])
  }
  if (!Effect.isEffect(admission)) return decide(admission)
  x.runBody(Effect.map(admission, decide))
}

const authenticate = (x: NodeExchange, bucket: ServedBucket, key: string): void => {
  if (bucket.authenticate === undefined) {
    return whenAdmitted(x, bucket.limits?.caller?.(undefined), () => serve(x, bucket, key))
  }
  const started = x.shared.clock.monotonicTimeNanosUnsafe()
  const decide = (exit: Exit.Exit<Principal<object>, HttpSecurityError>): void => {
    x.split.auth = x.since(started)
    if (x.isOver) return
    if (Exit.isFailure(exit)) return refuseCaller(x, "token", exit.cause)
    x.caller = exit.value
    authorize(x, bucket, key, exit.value)
  }
  const fiber = x.shared.run(bucket.authenticate(x.request))
  // A remembered token is answered in this turn of the event loop.
  const exit = fiber.pollUnsafe()
  if (exit !== undefined) return decide(exit)
  x.follow(fiber)
  fiber.addObserver((exit) => {
    try {
      decide(exit)
    } catch {
      x.refuse(refusals.internal)
    }
  })
}

/** Runs for every request, before the cache is asked. */
const authorize = (x: NodeExchange, bucket: ServedBucket, key: string, caller: Principal<object>): void => {
  const lack = lackFor(caller, bucket.options, methodOf(x))
  if (lack !== undefined) {
    const [first, ...others] = lack === "other" ? [] : lack.scopes
    const denied = first === undefined ? caller.deny : caller.denyScopes(first, ...others)
    const exit = x.shared.run(denied).pollUnsafe()
    return refuseCaller(x, "authorization", exit !== undefined && Exit.isFailure(exit) ? exit.cause : Cause.empty)
  }
  const user = caller.subject ?? caller.clientId
  const name = user === undefined ? undefined : `${caller.issuer} ${user}`
  whenAdmitted(x, bucket.limits?.caller?.(name), () => serve(x, bucket, key))
}

const methodOf = (x: NodeExchange): Method => {
  const { method } = x.request
  return method === "PUT" || method === "DELETE" || method === "HEAD" ? method : "GET"
}

const serve = (x: NodeExchange, bucket: ServedBucket, key: string): void => {
  const method = methodOf(x)
  if (method === "PUT" || method === "DELETE") return answerWrite(x, bucket, key, method)
  answerObject(x, bucket, key)
}

const s3Codes: Readonly<Record<HttpSecurityError["_tag"], string>> = {
  Unauthorized: "Unauthorized",
  Forbidden: "AccessDenied",
  InvalidRequest: "InvalidRequest",
  Unavailable: "ServiceUnavailable"
}

/** Errors of tokens are shared by many requests, and so are their refusals. */
const ofErrors = new WeakMap<HttpSecurityError, Refusal>()

const refusalOf = (error: HttpSecurityError): Refusal => {
  const existing = ofErrors.get(error)
  if (existing !== undefined) return existing
  const { code, message, status } = error
  const refusal: Refusal = { status, code, message, s3: s3Codes[error._tag] }
  ofErrors.set(error, refusal)
  return refusal
}

const refuseCaller = (x: NodeExchange, reason: RefusalReason, cause: Cause.Cause<HttpSecurityError>): void => {
  const error = Cause.findErrorOption(cause)
  if (error._tag === "Some" && isHttpSecurityError(error.value)) {
    return refuse(x, reason, refusalOf(error.value), Object.entries(error.value.headers).flat())
  }
  if (!Cause.hasInterruptsOnly(cause)) x.refuse(refusals.internal)
}
