import type * as ErrorCode from "@keelson/core/ErrorCode"
import type { Reason } from "../../BackChannelLogoutError.ts"

/** The code of each reason. */
export const logoutCodes = {
  RequestInvalid: "LOGOUT_REQUEST_INVALID",
  TokenRejected: "LOGOUT_TOKEN_INVALID",
  EventMissing: "LOGOUT_TOKEN_INVALID",
  NoncePresent: "LOGOUT_TOKEN_INVALID",
  SubjectMissing: "LOGOUT_TOKEN_INVALID",
  TokenReplayed: "LOGOUT_TOKEN_REPLAYED",
  KeysUnavailable: "JWKS_UNAVAILABLE",
  RevocationUnavailable: "AUTHORIZATION_UNAVAILABLE"
} as const satisfies Record<Reason["_tag"], ErrorCode.ErrorCode>
