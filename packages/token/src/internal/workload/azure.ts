import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import type { TokenResponse } from "../../TokenSource.ts"
import type { ExchangeLimits, ReceivedResponse } from "../oauth/exchange.ts"
import { answerOrigin, isBusy, membersOf, type Platform, send, textMember } from "./metadataRequest.ts"
import { expired, invalidToken, type Origin, type WorkloadIdentityError } from "./workloadToken.ts"

/** The service answers 404 and 410 while it is being updated, for at most 70 seconds. */
const instance: Platform = {
  title: "the Azure Instance Metadata Service",
  isTransient: (status) => isBusy(status) || status === 404 || status === 410
}

const appService: Platform = { title: "the Azure App Service identity endpoint", isTransient: isBusy }

/** What a managed identity's token is for. */
export interface Wanted {
  readonly resource: string
  /** Of a user-assigned identity. */
  readonly clientId: string | undefined
  readonly limits: ExchangeLimits
}

/** Whole seconds, which Azure writes as text. */
const secondsIn = (value: unknown): number | undefined => {
  const seconds = typeof value === "string" && /^\d{1,12}$/.test(value) ? Number(value) : value
  return typeof seconds === "number" && Number.isFinite(seconds) && seconds >= 0 ? seconds : undefined
}

/**
 * Reads a token response. Both endpoints return tokens that they cached for hours, and `expires_in` counts from the time of
 * issuance: the lifetime that is left follows from `expires_on`.
 */
const readResponse = (response: ReceivedResponse, origin: Origin, now: number) =>
  Result.gen(function*() {
    const json = yield* membersOf(response, origin)
    const token = yield* textMember(json, "access_token", origin)
    const expiresOn = secondsIn(json["expires_on"])
    const expiresIn = secondsIn(json["expires_in"])
    const left = Math.min(
      expiresOn === undefined ? Infinity : expiresOn * 1_000 - now,
      expiresIn === undefined ? Infinity : expiresIn * 1_000
    )
    if (left === Infinity) {
      return yield* Result.fail(invalidToken(origin, "malformed", "has neither a valid expires_on nor expires_in"))
    }
    if (left <= 0) return yield* Result.fail(expired(origin, now + left))
    // Opaque to clients: it is not decoded.
    return { accessToken: Redacted.make(token, { label: "accessToken" }), expiresIn: Duration.millis(left) }
  })

const ask = (
  platform: Platform,
  endpoint: URL,
  { clientId, limits, resource }: Wanted,
  apiVersion: string,
  headers: Readonly<Record<string, string>>
): Effect.Effect<TokenResponse, WorkloadIdentityError> => {
  const url = new URL(endpoint)
  url.searchParams.set("api-version", apiVersion)
  url.searchParams.set("resource", resource)
  if (clientId !== undefined) url.searchParams.set("client_id", clientId)
  const request = HttpClientRequest.get(url.href, { headers })
  return Effect.flatMap(
    send({ platform, url, request, limits }),
    (response) =>
      Effect.flatMap(
        Clock.currentTimeMillis,
        (now) => Effect.fromResult(readResponse(response, answerOrigin({ platform, url }), now))
      )
  )
}

/**
 * Asks the Instance Metadata Service of a virtual machine for a managed identity's token.
 *
 * @see https://learn.microsoft.com/entra/identity/managed-identities-azure-resources/how-to-use-vm-token
 */
export const instanceToken = (origin: URL, wanted: Wanted): Effect.Effect<TokenResponse, WorkloadIdentityError> =>
  ask(instance, new URL("/metadata/identity/oauth2/token", origin), wanted, "2018-02-01", { metadata: "true" })

/**
 * Asks the endpoint of App Service, Functions and Container Apps. `endpoint` and `header` come from the environment.
 *
 * @see https://learn.microsoft.com/azure/app-service/overview-managed-identity
 */
export const appServiceToken = (
  endpoint: URL,
  header: Redacted.Redacted,
  wanted: Wanted
): Effect.Effect<TokenResponse, WorkloadIdentityError> =>
  ask(appService, endpoint, wanted, "2019-08-01", { "x-identity-header": Redacted.value(header) })
