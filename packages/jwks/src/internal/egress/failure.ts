import * as ErrorCode from "@keelson/core/ErrorCode"
import * as KeelsonError from "@keelson/core/KeelsonError"
import { findFirst } from "@keelson/core/unstable/CauseChain"
import { Refusal, refused } from "./refusal.ts"

const refusalOf = (error: object): Refusal | undefined => error instanceof Refusal ? error : undefined

/** Of any error in the chain: the outermost may have a code of its own that says "connection" only. */
const tlsOf = (error: object): true | undefined =>
  ErrorCode.codeOf(error) === "TLS_FAILED" || ("code" in error && error.code === "UND_ERR_PRX_TLS") ? true : undefined

/** Why an exchange failed: a rule inside the connection, TLS, or anything else of the network. */
export const failureOf = (cause: unknown, hop: number): KeelsonError.NetworkError => {
  const refusal = findFirst(cause, ["cause"], refusalOf)
  if (refusal !== undefined) return refused(refusal.reason, hop)
  return new KeelsonError.NetworkError({
    code: findFirst(cause, ["cause"], tlsOf) === true ? "TLS_FAILED" : "NETWORK_ERROR",
    details: { hop },
    cause
  })
}
