import type * as KeelsonError from "@keelson/core/KeelsonError"
import type * as SafeUrl from "@keelson/core/unstable/SafeUrl"
import * as Result from "effect/Result"
import { checkEndpoint } from "../oauth/endpoints.ts"
import { mutualTlsEndpoint } from "../oauth/metadata.ts"
import type { Document } from "./document.ts"
import { invalid } from "./fetchMetadata.ts"
import { maxScopes, scopesIn } from "./resourceChallenge.ts"

type Checked<A> = Result.Result<A, KeelsonError.NetworkError>

/** An origin without a path has two spellings: with a slash at the end and without. */
const isSame = (received: unknown, resource: string): boolean => {
  if (received === resource) return true
  const { origin, pathname } = new URL(resource)
  return pathname === "/" && resource.startsWith(origin) && (received === origin || received === `${origin}/`) &&
    (resource === origin || resource === `${origin}/`)
}

const stringsOf = (value: unknown): ReadonlyArray<string> | undefined =>
  Array.isArray(value) && value.every((item): item is string => typeof item === "string") ? value : undefined

/** What is used of the metadata of a protected resource. */
export interface ResourceMetadata {
  /** The authorization server to use: the first one of the metadata at which the client is registered. */
  readonly issuer: string
  /** The scopes that basic use needs. */
  readonly scopes: ReadonlyArray<string>
  readonly document: Document
}

/** Upper bound of the authorization servers that are read. */
const maxServers = 64

/**
 * Checks the metadata of a protected resource (RFC 9728, 3.3). Only a server at which the client is registered is used: the metadata
 * of a hostile resource could otherwise have the client send its secret to any server.
 */
export const checkResource = (
  document: Document,
  resource: string,
  issuers: ReadonlyArray<string>
): Checked<ResourceMetadata> => {
  if (!isSame(document["resource"], resource)) {
    return Result.fail(
      invalid("resource", "The metadata belong to another resource: `resource` must be the configured one")
    )
  }
  const { bearer_methods_supported: methods } = document
  if (methods !== undefined && stringsOf(methods)?.includes("header") !== true) {
    return Result.fail(invalid("bearerMethods", "The resource must accept tokens in the header Authorization"))
  }
  const servers = stringsOf(document["authorization_servers"])?.slice(0, maxServers) ?? []
  const issuer = servers.find((server) => issuers.includes(server))
  if (issuer === undefined) {
    return Result.fail(
      invalid("authorizationServer", "The metadata name no authorization server at which the client is registered")
    )
  }
  const scopes = stringsOf(document["scopes_supported"]) ?? []
  return Result.succeed({ issuer, scopes: scopes.length > maxScopes ? [] : scopesIn(scopes.join(" ")), document })
}

/**
 * Checks the metadata of an authorization server (RFC 8414, 3.3), and returns its token endpoint: with `isMutualTls` the one for
 * mutual TLS, if there is one (RFC 8705, 5).
 */
export const checkServer = (
  document: Document,
  issuer: string,
  options: SafeUrl.Options,
  isMutualTls: boolean
): Checked<string> => {
  if (document["issuer"] !== issuer) {
    return Result.fail(invalid("issuer", "The metadata belong to another issuer: `issuer` must be the configured one"))
  }
  const { token_endpoint: common } = document
  const endpoint = isMutualTls ? mutualTlsEndpoint(document, "token_endpoint", common) : common
  const url = typeof endpoint === "string" && endpoint.length <= 8_192 ? checkEndpoint(endpoint, options) : undefined
  return url === undefined || Result.isFailure(url)
    ? Result.fail(invalid("tokenEndpoint", "`token_endpoint` must be an https URL without user and fragment"))
    : Result.succeed(url.success.href)
}

/**
 * The places of the metadata of an authorization server, in the order of MCP 2026-07-28: RFC 8414, then OpenID Connect with the path
 * of the issuer inserted, and appended.
 */
export const serverPlaces = (issuer: string): ReadonlyArray<URL> => {
  const { origin, pathname } = new URL(issuer)
  const path = pathname.replace(/\/$/, "")
  const places = [
    `${origin}/.well-known/oauth-authorization-server${path}`,
    `${origin}/.well-known/openid-configuration${path}`,
    `${origin}${path}/.well-known/openid-configuration`
  ]
  return [...new Set(places)].map((place) => new URL(place))
}
