/** The error of a call that no endpoint admitted. */
import * as Duration from "effect/Duration"
import * as Schema from "effect/Schema"
import { code, ErrorCode } from "../../ErrorCode.ts"
import { errorBody } from "../errors/errorBody.ts"

/** Why one endpoint did not admit a call. */
export const EndpointRejection = Schema.Struct({ endpoint: Schema.String, code: ErrorCode })
export type EndpointRejection = typeof EndpointRejection.Type

/**
 * No endpoint admitted the call (`ENDPOINTS_UNAVAILABLE`): nothing was sent. `rejections` has the reason of each endpoint. A
 * call that some endpoint admitted fails with the error of that call instead.
 */
export class EndpointsUnavailable extends errorBody(
  Schema.TaggedError<EndpointsUnavailable>("@keelson/core/EndpointsUnavailable")("EndpointsUnavailable", {
    code: code("ENDPOINTS_UNAVAILABLE"),
    /** The name of the endpoints. */
    server: Schema.String,
    rejections: Schema.Array(EndpointRejection),
    /** The shortest time until an endpoint may admit a call; zero if one of the rejections has no time. */
    retryAfter: Schema.Duration
  })
) {
  override readonly name = "EndpointsUnavailable"
  override get message(): string {
    return `No endpoint of ${this.server} is available`
  }
  get details() {
    return {
      server: this.server,
      rejections: this.rejections,
      retry_after_ms: Math.round(Duration.toMillis(this.retryAfter))
    }
  }
}
