import * as KeelsonError from "@keelson/core/KeelsonError"
import type { RefusalReason } from "../../Egress.ts"

/** A rule said no where only a plain error can be handed on: in the socket's name resolution and certificate check. */
export class Refusal extends Error {
  override readonly name = "Refusal"
  readonly reason: RefusalReason
  constructor(reason: RefusalReason) {
    super(`Refused: ${reason}`)
    this.reason = reason
  }
}

const said: Record<RefusalReason, string> = {
  url: "The URL is malformed",
  scheme: "The URL is not https",
  credentials: "The URL has a user or password in it",
  host: "The host is not allowed",
  address: "The host has no address that may be reached",
  redirect: "The redirect leads nowhere that may be followed",
  header: "The request has a header that is not sent",
  pin: "The certificate has none of the pinned keys"
}

/** `EGRESS_REFUSED`. `hop` is 0 for the request itself and n for the n-th redirect. */
export const refused = (reason: RefusalReason, hop = 0): KeelsonError.NetworkError =>
  new KeelsonError.NetworkError({ code: "EGRESS_REFUSED", message: said[reason], details: { reason, hop } })
