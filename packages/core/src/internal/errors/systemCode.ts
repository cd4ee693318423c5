import type { ErrorCode } from "../../ErrorCode.ts"

const cancelled = /^(?:ABORT_ERR|UND_ERR_ABORTED)$/
/** Codes of requests that the local HTTP client rejects before it sends anything. */
const unsendable =
  /^(?:ERR_INVALID_(?:URL|PROTOCOL|CHAR|HTTP_TOKEN|ARG_(?:TYPE|VALUE))|ERR_UNESCAPED_CHARACTERS|ERR_HTTP_(?:INVALID_HEADER_VALUE|CONTENT_LENGTH_MISMATCH)|ERR_HTTP2_(?:INVALID|CONNECT|PSEUDOHEADER|HEADER_SINGLE)_[A-Z_]+|UND_ERR_(?:INVALID_ARG|INVALID_RETURN_VALUE|NOT_SUPPORTED|REQ_CONTENT_LENGTH_MISMATCH|DESTROYED|CLOSED))$/
const tooLarge = /^(?:HPE_HEADER_OVERFLOW|UND_ERR_(?:HEADERS_OVERFLOW|RES_EXCEEDED_MAX_SIZE))$/
/** Bun's codes for a redirect that was not followed. */
const misdirected = /^(?:TooManyRedirects|UnexpectedRedirect|RedirectURLInvalid)$/
const tls =
  /^(?:ERR_TLS|ERR_SSL|CERT_|UNABLE_TO_|SELF_SIGNED|DEPTH_ZERO|HOSTNAME_MISMATCH|EPROTO$|CRL_|INVALID_(?:CA|PURPOSE)$|PATH_LENGTH_EXCEEDED$|ERROR_IN_C(?:ERT|RL)_|(?:CA|EE)_(?:KEY|MD)_TOO_|UND_ERR_PRX_TLS$)/
const network =
  /^(?:ECONN(?:REFUSED|RESET|ABORTED)|EPIPE|E(?:HOST|NET)(?:UNREACH|DOWN)|EADDRNOTAVAIL|UND_ERR_[A-Z_]+|HPE_[A-Z_]+|ERR_STREAM_PREMATURE_CLOSE|ERR_HTTP2_[A-Z_]+|Z_BUF_ERROR|InvalidHTTPResponse|Connection(?:Refused|Closed))$/
const resolution = /^(?:ENOTFOUND|EAI_[A-Z]+|ENODATA|ENONAME|ESERVFAIL|EREFUSED|EFORMERR|ENOTIMP|EBAD(?:NAME|RESP))$/
const timeout =
  /^(?:ETIMEDOUT|ETIMEOUT|ESOCKETTIMEDOUT|ERR_(?:SOCKET_CONNECTION|TLS_HANDSHAKE)_TIMEOUT|UND_ERR_(?:HEADERS|BODY|CONNECT)_TIMEOUT)$/

/** The code of an error of Node, undici or Bun, by its `code`. The specific patterns come first. */
export const systemCode = (code: string): ErrorCode | undefined => {
  if (timeout.test(code)) return "TIMEOUT"
  if (cancelled.test(code)) return "CANCELLED"
  if (unsendable.test(code)) return "REQUEST_INVALID"
  if (tooLarge.test(code)) return "RESPONSE_TOO_LARGE"
  if (misdirected.test(code)) return "UPSTREAM_REJECTED"
  if (tls.test(code)) return "TLS_FAILED"
  return network.test(code) || resolution.test(code) ? "NETWORK_ERROR" : undefined
}

/** The messages of `fetch` for a failed connection or an incomplete body, in Node, Deno, Chrome, Firefox and Safari. */
const failedFetch =
  /^(?:fetch failed|terminated|Failed to fetch|Load failed|NetworkError when attempting to fetch resource\.?|error reading a body from connection)$/
/** The messages of the causes of Node's `fetch failed`: `unsent` if nothing was sent, `notFollowed` for a redirect. */
const unsent = /^(?:bad port|unknown scheme|URL scheme must be a HTTP\(S\) scheme|invalid path)$/
const notFollowed = /^(?:redirect count exceeded|unexpected redirect)$/
/** Deno's messages for a redirect that was not followed. Deno sets no cause. */
const notFollowedByDeno = /^Fetch failed: (?:Maximum number of redirects|Encountered redirect)\b/
/** The messages with which `fetch` of Node, Bun and Deno rejects an argument: a header, method, URL or body. */
const refusedArgument =
  /^(?:Headers\.(?:append|set)\b|Invalid (?:header|URL)\b|Header '.*' has invalid value$|Cannot convert argument to a ByteString\b|Failed to (?:parse URL from|construct 'Request':)|Url scheme '.*' not supported$|Request (?:with GET|cannot be constructed)|'.*' (?:is not a valid HTTP method|HTTP method is unsupported)\.|Method is (?:forbidden|not valid)$|Fetch failed: Requests to port \d+ are blocked$)/s

const messageOf = (error: unknown): string => error instanceof Error ? error.message : ""

/**
 * The code of a `TypeError` of `fetch`, by its message: these errors have no code. `undefined` for any other error.
 *
 * @see https://fetch.spec.whatwg.org/#fetch-method: both bad arguments and network errors are a `TypeError`
 */
export const fetchCode = (error: object): ErrorCode | undefined => {
  if (!(error instanceof TypeError)) return undefined
  if (failedFetch.test(error.message)) {
    const cause = messageOf(error.cause)
    if (unsent.test(cause)) return "REQUEST_INVALID"
    return notFollowed.test(cause) ? "UPSTREAM_REJECTED" : "NETWORK_ERROR"
  }
  if (notFollowedByDeno.test(error.message)) return "UPSTREAM_REJECTED"
  return refusedArgument.test(error.message) ? "REQUEST_INVALID" : undefined
}
