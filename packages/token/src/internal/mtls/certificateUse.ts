import * as Context from "effect/Context"

/**
 * Whether the client of token requests has a certificate, so that requests go to the endpoints for mutual TLS.
 *
 * @see RFC 8705, 5
 */
export const UsesMutualTls = Context.Reference<boolean>("@keelson/token/UsesMutualTls", { defaultValue: () => false })

/**
 * Whether a request leaves the origins of a guard, as after a redirect. The client's certificate is a credential: such a request
 * is sent without it.
 */
export const IsForeignRequest = Context.Reference<boolean>("@keelson/token/IsForeignRequest", {
  defaultValue: () => false
})
