import * as ErrorCode from "@keelson/core/ErrorCode"
import type { RequestObserver } from "@keelson/core/unstable/RequestObserver"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as HttpServerResponse from "effect/http/HttpServerResponse"
import type { AuditEntry } from "../../AuditEntry.ts"

/** What the handler of a request knows about it. */
export type Facts = Pick<AuditEntry, "user" | "bucket" | "objectKey" | "cacheStatus">

/** The entry of the current request, while the request runs. */
export const CurrentDraft: Context.Reference<RequestDraft | undefined> = Context.Reference(
  "@keelson/audit/RequestDraft",
  { defaultValue: (): RequestDraft | undefined => undefined }
)

/** The bytes of a body, where they are known before it is sent. */
const lengthOf = ({ body }: HttpServerResponse.HttpServerResponse): number | undefined =>
  body._tag === "Empty" ? 0 : body.contentLength

/** What is known of a request. Its entry is made of it once, at the end. */
export class RequestDraft implements RequestObserver {
  readonly #request: HttpServerRequest.HttpServerRequest
  readonly #clientIp: string | undefined
  readonly correlationId: string
  #facts: Facts = {}
  #rejection: ErrorCode.ErrorCode | undefined
  /** The bytes of a stream that were read so far. */
  streamed: number | undefined

  constructor(request: HttpServerRequest.HttpServerRequest, clientIp: string | undefined, correlationId: string) {
    this.#request = request
    this.#clientIp = clientIp
    this.correlationId = correlationId
  }

  annotate(facts: Facts): void {
    this.#facts = { ...this.#facts, ...facts }
  }
  authenticated(user: string | undefined): void {
    if (user !== undefined) this.annotate({ user })
  }
  rejected(code: ErrorCode.ErrorCode): void {
    this.#rejection = code
  }

  /** The entry. `isCut`: whether the response was not sent to its end. */
  entry(response: HttpServerResponse.HttpServerResponse, duration: Duration.Duration, isCut: boolean): AuditEntry {
    const { headers, method, url } = this.#request
    const { status } = response
    const rejection = status >= 400 ? this.#rejection : undefined
    const sent = method === "HEAD" ? 0 : this.streamed ?? (isCut ? undefined : lengthOf(response))
    return {
      ...this.#facts,
      correlationId: this.correlationId,
      clientIp: this.#clientIp,
      httpMethod: method,
      requestPath: url,
      responseStatus: status,
      responseSizeBytes: sent,
      duration,
      userAgent: headers["user-agent"],
      referer: headers["referer"],
      ...(rejection === undefined && !isCut ? undefined : {
        details: {
          ...(rejection === undefined ? undefined : {
            error_code: ErrorCode.codeInfo[rejection].id,
            error_name: rejection
          }),
          ...(isCut ? { aborted: true } : undefined)
        }
      })
    }
  }
}
