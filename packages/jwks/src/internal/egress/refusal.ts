import * as KeelsonError from "@keelson/core/KeelsonError"
import * as Host from "@keelson/core/unstable/Host"
import type { RefusalReason } from "../../Egress.ts"

/** A refusal by a rule, as a plain error for Node's callbacks: the socket's name resolution and certificate check. */
export class Refusal extends Error {
  override readonly name = "Refusal"
  readonly reason: RefusalReason
  constructor(reason: RefusalReason) {
    super(`Egress refused: ${reason}`)
    this.reason = reason
  }
}

const messages: Record<RefusalReason, string> = {
  url: "The URL is malformed",
  scheme: "The URL's scheme is not https",
  credentials: "The URL contains a user or password",
  host: "The host is not allowed",
  address: "The host has no allowed address",
  redirect: "The redirect cannot be followed",
  header: "The request has a header that is not allowed",
  pin: "No pinned key could be verified in the certificate chain"
}

/** What to do, with the scheme and host of the URL. Its user, path and query may be secret. */
const messageOf = (reason: RefusalReason, { hostname, protocol }: URL): string => {
  switch (reason) {
    case "scheme":
      if (protocol !== "http:") return `The URL's scheme is ${protocol.slice(0, -1)}, not https`
      return Host.isLocal(hostname)
        ? `The URL's scheme is http, not https: set allowLocalhost to request ${hostname} over http`
        : `The URL's scheme is http, not https: to request ${hostname} over http, name it in insecureHosts`
    case "host":
      return `The host is not allowed: ${hostname} is not in allowedHosts`
    case "address":
      if (Host.isLocal(hostname)) return `The host has no allowed address: ${hostname} needs allowLocalhost`
      return protocol === "http:"
        ? `The host has no allowed address: over http, ${hostname} must have private addresses`
        : `The host has no allowed address: ${hostname} is not public, and its address not in allowedNetworks`
    default:
      return messages[reason]
  }
}

/**
 * Makes an `EGRESS_REFUSED` error. `hop` is 0 for the request itself and n for the n-th redirect, `url` is the URL that was
 * refused.
 */
export const refused = (reason: RefusalReason, hop = 0, url?: string | URL): KeelsonError.NetworkError => {
  const parsed = url === undefined ? null : URL.parse(String(url))
  return new KeelsonError.NetworkError({
    code: "EGRESS_REFUSED",
    message: parsed === null ? messages[reason] : messageOf(reason, parsed),
    details: { reason, hop }
  })
}
