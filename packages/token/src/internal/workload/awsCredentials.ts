import type * as KeelsonError from "@keelson/core/KeelsonError"
import * as Instant from "@keelson/core/unstable/Instant"
import * as Effect from "effect/Effect"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { ExchangeLimits, ReceivedResponse } from "../oauth/exchange.ts"
import type { AwsCredentials } from "./awsSignature.ts"
import { answerOrigin, isBusy, membersOf, type Platform, send, textMember, textOf } from "./metadataRequest.ts"
import { invalidToken, type Origin, type WorkloadIdentityError } from "./workloadToken.ts"

const instance: Platform = { title: "the EC2 Instance Metadata Service", isTransient: isBusy }
const container: Platform = { title: "the AWS container credentials endpoint", isTransient: isBusy }

/** Credentials in the form that both endpoints use. */
const readCredentials = (
  response: ReceivedResponse,
  origin: Origin
): Result.Result<AwsCredentials, KeelsonError.AuthenticationError> =>
  Result.gen(function*() {
    const json = yield* membersOf(response, origin)
    if (json["Code"] !== undefined && json["Code"] !== "Success") {
      return yield* Result.fail(invalidToken(origin, "malformed", "has no credentials: its Code is not Success"))
    }
    return {
      accessKeyId: yield* textMember(json, "AccessKeyId", origin),
      secretAccessKey: Redacted.make(yield* textMember(json, "SecretAccessKey", origin), { label: "secretAccessKey" }),
      sessionToken: Redacted.make(yield* textMember(json, "Token", origin), { label: "sessionToken" })
    }
  })

/** The longest lifetime of a session, in seconds. */
const sessionLifetime = 21_600

/** A session ends this much earlier here than at the service, in milliseconds. */
const sessionMargin = 60_000

interface Session {
  readonly token: Redacted.Redacted
  readonly until: Instant.Instant
}

/**
 * Credentials of the instance's role from the Instance Metadata Service, version 2. A session is kept for 6 hours, and replaced
 * once if the service rejects it. There is no fallback to version 1.
 *
 * @see https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
 */
export const instanceCredentials = (
  endpoint: URL,
  limits: ExchangeLimits
): Effect.Effect<AwsCredentials, WorkloadIdentityError> => {
  let session: Session | undefined
  const ask = (path: string, request: (href: string) => HttpClientRequest.HttpClientRequest, name = "") => {
    const url = new URL(path, endpoint)
    return Effect.map(
      send({ platform: instance, url, request: request(`${url.href}${name}`), limits }),
      (response) => ({
        response,
        origin: answerOrigin({ platform: instance, url })
      })
    )
  }
  const openSession = Effect.clockWith((clock) => {
    const since = Instant.now(clock)
    return ask("/latest/api/token", (href) =>
      HttpClientRequest.put(href, {
        headers: { "x-aws-ec2-metadata-token-ttl-seconds": String(sessionLifetime) }
      })).pipe(
        Effect.flatMap(({ origin, response }) =>
          Effect.fromResult(Result.filterOrFail(
            textOf(response, origin),
            (token) => /^[!-~]{1,4096}$/.test(token),
            () => invalidToken(origin, "malformed", "is no session token")
          ))
        ),
        Effect.map((token) => {
          session = {
            token: Redacted.make(token, { label: "session" }),
            until: Instant.after(since, sessionLifetime * 1_000 - sessionMargin)
          }
          return session
        })
      )
  })
  const currentSession = Effect.clockWith((clock) =>
    session === undefined || Instant.hasCome(session.until, clock) ? openSession : Effect.succeed(session)
  )
  const get = ({ token }: Session, role = "") =>
    ask(
      "/latest/meta-data/iam/security-credentials/",
      (href) => HttpClientRequest.get(href, { headers: { "x-aws-ec2-metadata-token": Redacted.value(token) } }),
      role
    )
  const read = (current: Session) =>
    Effect.gen(function*() {
      const list = yield* get(current)
      const [role = ""] = (yield* Effect.fromResult(textOf(list.response, list.origin))).split("\n")
      // The name of a role (IAM), which becomes a part of the path.
      if (!/^[\w+=,.@-]{1,128}$/.test(role.trim())) {
        return yield* Effect.fail(invalidToken(list.origin, "malformed", "names no role"))
      }
      const { origin, response } = yield* get(current, role.trim())
      return yield* Effect.fromResult(readCredentials(response, origin))
    })
  return Effect.flatMap(currentSession, (current) =>
    Effect.catchIf(
      read(current),
      ({ details }) => details["status"] === 401,
      () => {
        if (session === current) session = undefined
        return Effect.flatMap(currentSession, read)
      }
    ))
}

/**
 * Credentials of a container's role: ECS, EKS Pod Identity, Greengrass, Lambda SnapStart.
 *
 * @see https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
 */
export const containerCredentials = (
  url: URL,
  authorization: Effect.Effect<Redacted.Redacted | undefined, WorkloadIdentityError>,
  limits: ExchangeLimits
): Effect.Effect<AwsCredentials, WorkloadIdentityError> =>
  Effect.flatMap(authorization, (value) => {
    const headers = {
      accept: "application/json",
      ...(value === undefined ? undefined : { authorization: Redacted.value(value) })
    }
    const request = HttpClientRequest.get(url.href, { headers })
    return Effect.flatMap(
      send({ platform: container, url, request, limits }),
      (response) => Effect.fromResult(readCredentials(response, answerOrigin({ platform: container, url })))
    )
  })
