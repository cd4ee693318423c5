import * as KeelsonError from "@keelson/core/KeelsonError"
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
  scheme: "The URL is not https",
  credentials: "The URL contains a user or password",
  host: "The host is not allowed",
  address: "The host has no allowed address",
  redirect: "The redirect cannot be followed",
  header: "The request has a header that is not allowed",
  pin: "No pinned key could be verified in the certificate chain"
}

/** Makes an `EGRESS_REFUSED` error. `hop` is 0 for the request itself and n for the n-th redirect. */
export const refused = (reason: RefusalReason, hop = 0): KeelsonError.NetworkError =>
  new KeelsonError.NetworkError({ code: "EGRESS_REFUSED", message: messages[reason], details: { reason, hop } })
