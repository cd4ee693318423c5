import * as ErrorCode from "@keelson/core/ErrorCode"
import * as KeelsonError from "@keelson/core/KeelsonError"
import { findFirst } from "@keelson/core/unstable/CauseChain"
import { Refusal, refused } from "./refusal.ts"

const refusalOf = (error: object): Refusal | undefined => error instanceof Refusal ? error : undefined

/** Checks every error in the cause chain, since the outermost may have a general connection code. */
const tlsOf = (error: object): true | undefined =>
  ErrorCode.codeOf(error) === "TLS_FAILED" || ("code" in error && error.code === "UND_ERR_PRX_TLS") ? true : undefined

/** Converts the cause of a failed exchange: `EGRESS_REFUSED` for a `Refusal`, `TLS_FAILED`, otherwise `NETWORK_ERROR`. */
export const failureOf = (cause: unknown, hop: number, url?: URL): KeelsonError.NetworkError => {
  const refusal = findFirst(cause, ["cause"], refusalOf)
  if (refusal !== undefined) return refused(refusal.reason, hop, url)
  return new KeelsonError.NetworkError({
    code: findFirst(cause, ["cause"], tlsOf) === true ? "TLS_FAILED" : "NETWORK_ERROR",
    details: { hop },
    cause
  })
}
