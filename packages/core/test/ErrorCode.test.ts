import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Schema } from "effect"
import { HttpClientError, HttpClientRequest, HttpClientResponse } from "effect/http"
import * as ErrorCode from "../src/ErrorCode.ts"
import { Category, Severity } from "../src/internal/errors/labels.ts"

type Row = readonly [
  id: string,
  status: number,
  severity: Severity,
  category: Category,
  row?: string
]

/** Every name: one that is missing here, or too many, does not compile. */
const table = {
  CONFIG_MISSING: ["CFG-001", 500, "ERROR", "CONFIGURATION", "S3-02"],
  INVALID_CONFIG: ["CFG-002", 500, "ERROR", "CONFIGURATION", "S3-02"],
  CONFIG_VARIABLE_MISSING: ["CFG-003", 500, "ERROR", "CONFIGURATION", "S3-02"],
  KEY_FILE_UNREADABLE: ["CFG-004", 500, "ERROR", "CONFIGURATION"],
  KEY_INVALID: ["CFG-005", 500, "ERROR", "CONFIGURATION"],
  TOKEN_ACQUISITION_FAILED: ["TOK-001", 401, "ERROR", "AUTHENTICATION", "S3-02"],
  TOKEN_EXPIRED: ["TOK-002", 401, "WARNING", "AUTHENTICATION", "S3-02"],
  TOKEN_NOT_CACHED: ["TOK-003", 200, "INFO", "AUTHENTICATION", "S3-02"],
  VALIDATION_FAILED: ["TOK-004", 401, "ERROR", "AUTHENTICATION", "S3-03"],
  TOKEN_RESPONSE_INVALID: ["TOK-005", 502, "ERROR", "AUTHENTICATION", "S3-03"],
  TOKEN_REFRESH_FAILED: ["TOK-006", 401, "ERROR", "AUTHENTICATION", "S3-03"],
  TOKEN_INVALID: ["TOK-007", 401, "ERROR", "AUTHENTICATION"],
  TOKEN_MISSING: ["TOK-008", 401, "ERROR", "AUTHENTICATION"],
  DPOP_REQUIRED: ["TOK-009", 401, "ERROR", "AUTHENTICATION"],
  DPOP_INVALID: ["TOK-010", 401, "ERROR", "AUTHENTICATION"],
  PKCE_INVALID: ["TOK-011", 400, "ERROR", "AUTHENTICATION"],
  SUBJECT_TOKEN_REJECTED: ["TOK-014", 401, "WARNING", "AUTHENTICATION"],
  TOKEN_NOT_BOUND: ["TOK-012", 502, "ERROR", "AUTHENTICATION"],
  DPOP_KEY_MISSING: ["TOK-013", 500, "ERROR", "AUTHENTICATION"],
  WORKLOAD_IDENTITY_UNAVAILABLE: ["TOK-016", 503, "ERROR", "AUTHENTICATION"],
  WORKLOAD_TOKEN_INVALID: ["TOK-017", 503, "ERROR", "AUTHENTICATION"],
  TOKEN_WAIT_EXCEEDED: ["TOK-018", 503, "WARNING", "AUTHENTICATION"],
  TOKEN_STORE_UNAVAILABLE: ["TOK-019", 503, "ERROR", "AUTHENTICATION"],
  TIMEOUT: ["NET-001", 504, "ERROR", "NETWORK", "S3-02"],
  NETWORK_ERROR: ["NET-002", 502, "ERROR", "NETWORK", "S3-02"],
  TLS_FAILED: ["NET-003", 495, "ERROR", "NETWORK", "S3-02"],
  RATE_LIMITED: ["NET-004", 429, "WARNING", "NETWORK"],
  UPSTREAM_UNAVAILABLE: ["NET-005", 502, "ERROR", "NETWORK"],
  UPSTREAM_REJECTED: ["NET-006", 502, "ERROR", "NETWORK"],
  CIRCUIT_OPEN: ["NET-007", 503, "WARNING", "NETWORK"],
  EGRESS_REFUSED: ["NET-008", 403, "ERROR", "NETWORK"],
  RESPONSE_TOO_LARGE: ["NET-009", 502, "ERROR", "NETWORK"],
  REQUEST_INVALID: ["NET-010", 500, "ERROR", "NETWORK"],
  THROTTLED: ["NET-016", 503, "WARNING", "NETWORK"],
  CANCELLED: ["NET-011", 499, "WARNING", "NETWORK"],
  BULKHEAD_FULL: ["NET-013", 503, "WARNING", "NETWORK"],
  LIMIT_EXCEEDED: ["NET-014", 503, "WARNING", "NETWORK"],
  ENDPOINTS_UNAVAILABLE: ["NET-017", 503, "ERROR", "NETWORK"],
  JWKS_KEY_NOT_FOUND: ["JWK-001", 401, "WARNING", "AUTHENTICATION"],
  JWKS_UNAVAILABLE: ["JWK-002", 503, "CRITICAL", "NETWORK"],
  JWKS_INVALID: ["JWK-003", 502, "ERROR", "NETWORK"],
  DISCOVERY_INVALID: ["JWK-004", 502, "ERROR", "NETWORK"],
  JWKS_NOT_REGISTERED: ["JWK-005", 404, "WARNING", "CONFIGURATION"],
  JWKS_UNREGISTERED: ["JWK-006", 410, "WARNING", "CONFIGURATION"],
  JWKS_CONFLICT: ["JWK-007", 409, "WARNING", "CONFIGURATION"],
  JWKS_LOADING: ["JWK-008", 425, "INFO", "NETWORK"],
  SNAPSHOT_REFUSED: ["JWK-009", 500, "WARNING", "INTERNAL"],
  TOKEN_ALGORITHM_UNSUPPORTED: ["JWT-001", 401, "WARNING", "AUTHENTICATION"],
  TOKEN_SIGNATURE_INVALID: ["JWT-002", 401, "WARNING", "AUTHENTICATION"],
  TOKEN_NOT_YET_VALID: ["JWT-003", 401, "WARNING", "AUTHENTICATION"],
  TOKEN_ISSUER_UNTRUSTED: ["JWT-004", 401, "WARNING", "AUTHENTICATION"],
  TOKEN_AUDIENCE_MISMATCH: ["JWT-005", 401, "WARNING", "AUTHENTICATION"],
  TOKEN_CLAIM_MISSING: ["JWT-006", 401, "WARNING", "AUTHENTICATION"],
  TOKEN_CLAIM_INVALID: ["JWT-007", 401, "WARNING", "AUTHENTICATION"],
  TOKEN_TOO_OLD: ["JWT-008", 401, "WARNING", "AUTHENTICATION"],
  TOKEN_TYPE_MISMATCH: ["JWT-009", 401, "WARNING", "AUTHENTICATION"],
  TOKEN_REVOKED: ["JWT-010", 401, "WARNING", "AUTHENTICATION"],
  TOKEN_REQUEST_INVALID: ["JWT-011", 400, "WARNING", "AUTHENTICATION"],
  RESOURCE_METADATA_INVALID: ["JWT-019", 502, "ERROR", "NETWORK"],
  LOGOUT_REQUEST_INVALID: ["JWT-021", 400, "WARNING", "AUTHENTICATION"],
  LOGOUT_TOKEN_INVALID: ["JWT-022", 400, "WARNING", "AUTHENTICATION"],
  LOGOUT_TOKEN_REPLAYED: ["JWT-023", 400, "WARNING", "AUTHENTICATION"],
  TOKEN_UNBOUND: ["JWT-012", 401, "WARNING", "AUTHENTICATION"],
  TOKEN_BINDING_MISMATCH: ["JWT-013", 401, "WARNING", "AUTHENTICATION"],
  TOKEN_BINDING_UNSUPPORTED: ["JWT-014", 401, "WARNING", "AUTHENTICATION"],
  TOKEN_CERTIFICATE_MISSING: ["JWT-015", 401, "WARNING", "AUTHENTICATION"],
  DPOP_NONCE_REQUIRED: ["JWT-016", 401, "WARNING", "AUTHENTICATION"],
  TOKEN_INACTIVE: ["JWT-017", 401, "WARNING", "AUTHENTICATION"],
  INTROSPECTION_UNAVAILABLE: ["JWT-018", 503, "ERROR", "NETWORK"],
  UNAUTHORIZED: ["AUTH-001", 401, "ERROR", "AUTHORIZATION", "S3-02"],
  FORBIDDEN: ["AUTH-002", 403, "ERROR", "AUTHORIZATION", "S3-02"],
  AUTHORIZATION_UNAVAILABLE: ["AUTH-003", 503, "CRITICAL", "AUTHORIZATION", "S3-02"],
  INTERNAL_ERROR: ["INT-001", 500, "ERROR", "INTERNAL", "S3-02"],
  RETRY_EXHAUSTED: ["INT-002", 503, "ERROR", "INTERNAL"],
  SHUTTING_DOWN: ["INT-003", 503, "WARNING", "INTERNAL"],
  STORE_UNAVAILABLE: ["INT-004", 503, "WARNING", "INTERNAL"],
  CACHE_KEY_INVALID: ["CAC-001", 400, "WARNING", "INTERNAL"],
  CACHE_ITEM_TOO_LARGE: ["CAC-002", 413, "WARNING", "INTERNAL"],
  CACHE_ENTRY_NOT_FOUND: ["CAC-003", 404, "INFO", "INTERNAL"],
  CACHE_STORAGE_FULL: ["CAC-004", 507, "ERROR", "INTERNAL"],
  CACHE_IO_FAILED: ["CAC-005", 500, "ERROR", "INTERNAL"],
  CACHE_ENTRY_CORRUPT: ["CAC-006", 500, "WARNING", "INTERNAL"],
  CACHE_BODY_INCOMPLETE: ["CAC-007", 502, "WARNING", "INTERNAL"],
  CACHE_REDIS_FAILED: ["CAC-008", 503, "WARNING", "INTERNAL"],
  AUDIT_FILE_FAILED: ["AUD-001", 500, "ERROR", "INTERNAL"],
  AUDIT_SYSLOG_FAILED: ["AUD-002", 503, "ERROR", "INTERNAL"],
  AUDIT_STORE_FAILED: ["AUD-003", 503, "ERROR", "INTERNAL"],
  GATEWAY_REQUEST_INVALID: ["GWY-001", 400, "WARNING", "INTERNAL"],
  GATEWAY_BUCKET_NOT_FOUND: ["GWY-002", 404, "INFO", "INTERNAL"],
  GATEWAY_KEY_MISSING: ["GWY-003", 404, "INFO", "INTERNAL"],
  GATEWAY_METHOD_NOT_ALLOWED: ["GWY-004", 405, "INFO", "INTERNAL"],
  GATEWAY_QUERY_REFUSED: ["GWY-005", 400, "WARNING", "INTERNAL"],
  GATEWAY_ADDRESS_REJECTED: ["GWY-006", 403, "WARNING", "AUTHORIZATION"],
  GATEWAY_RATE_LIMITED: ["GWY-007", 429, "WARNING", "INTERNAL"],
  GATEWAY_PRECONDITION_FAILED: ["GWY-008", 412, "INFO", "INTERNAL"],
  GATEWAY_RANGE_NOT_SATISFIABLE: ["GWY-009", 416, "INFO", "INTERNAL"]
} as const satisfies Record<ErrorCode.ErrorCode, Row>

/** An error as Node makes it. */
const system = (code: string, cause?: unknown): Error =>
  Object.assign(new Error(`it failed: ${code}`, cause === undefined ? undefined : { cause }), { code })

const request = HttpClientRequest.get("https://api.example/orders")
const transport = (cause?: unknown) =>
  new HttpClientError.HttpClientError({ reason: new HttpClientError.TransportError({ request, cause }) })
const response = (status: number) => HttpClientResponse.fromWeb(request, new Response(null, { status }))

describe("ErrorCode", () => {
  describe("catalogue", () => {
    for (const name of ErrorCode.ErrorCode.literals) {
      const [id, status, severity, category, row]: Row = table[name]
      it(`${row === undefined ? "" : `[${row}] `}${id} is ${name}: ${status}, ${severity}, ${category}`, () => {
        const info = ErrorCode.codeInfo[name]
        assert.deepStrictEqual([info.id, info.status, info.severity, info.category], [id, status, severity, category])
      })
    }

    it("[S3-01] has exactly five categories and four severities", () => {
      const categories = ["CONFIGURATION", "AUTHENTICATION", "NETWORK", "AUTHORIZATION", "INTERNAL"]
      assert.deepStrictEqual<ReadonlyArray<string>>(Category.literals, categories)
      const severities = ["INFO", "WARNING", "ERROR", "CRITICAL"]
      assert.deepStrictEqual<ReadonlyArray<string>>(Severity.literals, severities)
      const used = new Set<string>(ErrorCode.ErrorCode.literals.map((name) => ErrorCode.codeInfo[name].category))
      assert.sameMembers([...used], categories)
    })

    it("[S0-25] has the 12 names", () => {
      const names: ReadonlyArray<ErrorCode.ErrorCode> = [
        "INVALID_CONFIG",
        "TOKEN_EXPIRED",
        "TOKEN_INVALID",
        "TOKEN_MISSING",
        "TOKEN_REFRESH_FAILED",
        "NETWORK_ERROR",
        "RATE_LIMITED",
        "VALIDATION_FAILED",
        "UNAUTHORIZED",
        "DPOP_REQUIRED",
        "DPOP_INVALID",
        "PKCE_INVALID"
      ]
      assert.lengthOf(names, 12)
      assert.includeMembers([...ErrorCode.ErrorCode.literals], [...names])
    })

    it("lists every name, and no id twice", () => {
      assert.sameMembers<string>([...ErrorCode.ErrorCode.literals], Object.keys(table))
      const ids = ErrorCode.ErrorCode.literals.map((name) => ErrorCode.codeInfo[name].id)
      assert.lengthOf(new Set(ids), ids.length)
      for (const id of ids) assert.match(id, /^[A-Z]{3,4}-\d{3}$/)
    })

    for (const name of ErrorCode.ErrorCode.literals) {
      it(`[S3-04] ${name} has a description, a step and a documentation URL`, () => {
        const { description, id, troubleshooting } = ErrorCode.codeInfo[name]
        assert.match(description, /^[A-Z].{10,}\.$/)
        assert.isAtLeast(troubleshooting.length, 1)
        for (const step of troubleshooting) assert.isAbove(step.trim().length, 10)
        const url = new URL(ErrorCode.documentationUrl(name))
        assert.deepStrictEqual([url.protocol, url.hash], ["https:", `#${id.toLowerCase()}`])
      })

      it(`fromId reads the id of ${name}`, () => {
        assert.strictEqual(ErrorCode.fromId(ErrorCode.codeInfo[name].id), name)
      })
    }

    it("fromId knows nothing else", () => {
      for (const id of ["", "TOK-999", "tok-001", "TOKEN_EXPIRED", "__proto__", "toString"]) {
        assert.isUndefined(ErrorCode.fromId(id))
      }
    })

    it("a code that may be retried is never a success for a breaker", () => {
      for (const name of ErrorCode.ErrorCode.literals) {
        const { breaker, retryable } = ErrorCode.codeInfo[name]
        assert.isFalse(retryable && breaker === "success", name)
      }
    })

    it("[S0-10] network errors and rate limits are retryable; refusals, tokens and configuration are not", () => {
      const retryable = ErrorCode.ErrorCode.literals.filter((name) => ErrorCode.codeInfo[name].retryable)
      assert.sameMembers(retryable, [
        "TIMEOUT",
        "NETWORK_ERROR",
        "RATE_LIMITED",
        "UPSTREAM_UNAVAILABLE",
        "BULKHEAD_FULL",
        "LIMIT_EXCEEDED",
        "JWKS_UNAVAILABLE",
        "JWKS_LOADING",
        "INTROSPECTION_UNAVAILABLE",
        "AUTHORIZATION_UNAVAILABLE",
        "STORE_UNAVAILABLE",
        "TOKEN_STORE_UNAVAILABLE",
        "TOKEN_WAIT_EXCEEDED",
        "THROTTLED",
        "CACHE_STORAGE_FULL",
        "CACHE_IO_FAILED",
        "CACHE_ENTRY_CORRUPT",
        "CACHE_BODY_INCOMPLETE",
        "CACHE_REDIS_FAILED",
        "AUDIT_FILE_FAILED",
        "AUDIT_SYSLOG_FAILED",
        "AUDIT_STORE_FAILED",
        "GATEWAY_RATE_LIMITED"
      ])
    })
  })

  describe("schemas", () => {
    it("of a name is closed, by type and at run time", () => {
      const unknown = Schema.decodeUnknownOption(ErrorCode.ErrorCode)
      assert.strictEqual(unknown("TIMEOUT")._tag, "Some")
      for (const name of ["NET-001", "timeout", "toString", 1, null]) assert.strictEqual(unknown(name)._tag, "None")
      // @ts-expect-error: no such name
      const name: ErrorCode.ErrorCode = "NO_SUCH_NAME"
      assert.notInclude(ErrorCode.ErrorCode.literals, name)
    })

    it("code fills the field of an error class, and stays when it is encoded", () => {
      class Late extends Schema.TaggedError<Late>()("Late", { code: ErrorCode.code("TIMEOUT") }) {}
      const late = new Late()
      assert.strictEqual(late.code, "TIMEOUT")
      assert.deepEqual(Schema.encodeSync(Late)(late), { _tag: "Late", code: "TIMEOUT" })
      assert.strictEqual(ErrorCode.codeOf(late), "TIMEOUT")
    })
  })

  describe("codeOf", () => {
    const statuses = [
      [400, "UPSTREAM_REJECTED"],
      [401, "UPSTREAM_REJECTED"],
      [404, "UPSTREAM_REJECTED"],
      [408, "TIMEOUT"],
      [429, "RATE_LIMITED"],
      [500, "UPSTREAM_UNAVAILABLE"],
      [502, "UPSTREAM_UNAVAILABLE"],
      [503, "UPSTREAM_UNAVAILABLE"],
      [504, "TIMEOUT"],
      [599, "UPSTREAM_UNAVAILABLE"]
    ] as const
    for (const [status, code] of statuses) {
      it(`a response of ${status} is ${code}`, () => {
        const reason = new HttpClientError.StatusCodeError({ request, response: response(status) })
        assert.strictEqual(ErrorCode.codeOf(new HttpClientError.HttpClientError({ reason })), code)
        assert.strictEqual(ErrorCode.statusCode(status), code)
      })
    }

    it("a status below 400 has no code", () => {
      for (const status of [200, 204, 304, 399]) assert.isUndefined(ErrorCode.statusCode(status))
    })

    it("another error of the HTTP client is the network's, the response's or ours", () => {
      const { DecodeError, EmptyBodyError, EncodeError, InvalidUrlError } = HttpClientError
      const of = (reason: HttpClientError.HttpClientErrorReason) =>
        ErrorCode.codeOf(new HttpClientError.HttpClientError({ reason }))
      assert.strictEqual(ErrorCode.codeOf(transport()), "NETWORK_ERROR")
      assert.strictEqual(ErrorCode.codeOf(transport(new Error("socket hang up"))), "NETWORK_ERROR")
      assert.strictEqual(of(new DecodeError({ request, response: response(200) })), "UPSTREAM_REJECTED")
      assert.strictEqual(of(new EmptyBodyError({ request, response: response(200) })), "UPSTREAM_REJECTED")
      assert.strictEqual(of(new EncodeError({ request })), "REQUEST_INVALID")
      assert.strictEqual(of(new InvalidUrlError({ request })), "REQUEST_INVALID")
    })

    it.effect("Effect's own timeout is TIMEOUT", () =>
      Effect.gen(function*() {
        assert.strictEqual(ErrorCode.codeOf(new Cause.TimeoutError()), "TIMEOUT")
        const error = yield* Effect.flip(Effect.timeout(Effect.never, 0))
        assert.strictEqual(ErrorCode.codeOf(error), "TIMEOUT")
      }))

    const systemCodes = [
      [
        "[S3-33] ",
        "NETWORK_ERROR",
        "ECONNREFUSED ECONNRESET ECONNABORTED EPIPE EHOSTUNREACH ENETUNREACH ENETDOWN UND_ERR_SOCKET"
      ],
      ["[R27] ", "NETWORK_ERROR", "ENOTFOUND EAI_AGAIN EAI_FAIL EAI_NONAME ESERVFAIL ENODATA EREFUSED"],
      ["[S3-33] ", "TIMEOUT", "ETIMEDOUT ESOCKETTIMEDOUT ETIMEOUT UND_ERR_CONNECT_TIMEOUT UND_ERR_HEADERS_TIMEOUT"],
      ["", "TIMEOUT", "UND_ERR_BODY_TIMEOUT ERR_SOCKET_CONNECTION_TIMEOUT ERR_TLS_HANDSHAKE_TIMEOUT"],
      [
        "[R27] ",
        "TLS_FAILED",
        "CERT_HAS_EXPIRED DEPTH_ZERO_SELF_SIGNED_CERT SELF_SIGNED_CERT_IN_CHAIN CERT_NOT_YET_VALID"
      ],
      [
        "[R27] ",
        "TLS_FAILED",
        "UNABLE_TO_VERIFY_LEAF_SIGNATURE UNABLE_TO_GET_ISSUER_CERT_LOCALLY CERT_REVOKED INVALID_CA"
      ],
      ["[R27] ", "TLS_FAILED", "ERR_TLS_CERT_ALTNAME_INVALID ERR_SSL_WRONG_VERSION_NUMBER EPROTO HOSTNAME_MISMATCH"],
      ["[R27] ", "TLS_FAILED", "INVALID_PURPOSE PATH_LENGTH_EXCEEDED ERROR_IN_CERT_NOT_AFTER_FIELD EE_KEY_TOO_SMALL"],
      ["[K-28 D3] ", "REQUEST_INVALID", "ERR_INVALID_ARG_TYPE ERR_INVALID_CHAR ERR_INVALID_URL UND_ERR_INVALID_ARG"],
      ["[K-28 D3] ", "REQUEST_INVALID", "ERR_INVALID_PROTOCOL ERR_UNESCAPED_CHARACTERS UND_ERR_NOT_SUPPORTED"],
      ["[K-28 D4] ", "CANCELLED", "ABORT_ERR UND_ERR_ABORTED"],
      ["", "RESPONSE_TOO_LARGE", "HPE_HEADER_OVERFLOW UND_ERR_HEADERS_OVERFLOW"],
      ["", undefined, "ENOENT EACCES EISDIR EEXIST ENOSPC EMFILE EINVAL XENOTFOUND"]
    ] as const
    for (const [rule, code, names] of systemCodes) {
      for (const name of names.split(" ")) {
        it(`${rule}${name} of Node is ${code ?? "no code"}, itself or as a cause`, () => {
          assert.strictEqual(ErrorCode.codeOf(system(name)), code)
          assert.strictEqual(
            ErrorCode.codeOf(new TypeError("fetch failed", { cause: system(name) })),
            code ?? "NETWORK_ERROR"
          )
          assert.strictEqual(ErrorCode.codeOf(transport(system(name))), code ?? "NETWORK_ERROR")
          assert.strictEqual(
            ErrorCode.codeOf(transport(new TypeError("x", { cause: system(name) }))),
            code ?? "NETWORK_ERROR"
          )
        })
      }
    }

    it("is what the error carries, itself or in its reason", () => {
      assert.strictEqual(ErrorCode.codeOf({ code: "TOKEN_EXPIRED" }), "TOKEN_EXPIRED")
      assert.strictEqual(ErrorCode.codeOf({ _tag: "JwksError", reason: { code: "TIMEOUT" } }), "TIMEOUT")
      assert.strictEqual(ErrorCode.codeOf({ code: "FORBIDDEN", reason: { code: "TIMEOUT" } }), "FORBIDDEN")
      assert.strictEqual(ErrorCode.codeOf({ reason: transport(system("ENOTFOUND")) }), "NETWORK_ERROR")
    })

    it("is undefined for anything else", () => {
      const others = [undefined, null, "TIMEOUT", 5, {}, [], new Error("x"), { code: "toString" }, { code: 23 }, {
        code: "NET-001"
      }]
      for (const other of others) assert.isUndefined(ErrorCode.codeOf(other))
    })

    it("ends where causes and reasons go in circles", () => {
      const cause = new Error("b")
      const error = new Error("a", { cause })
      cause.cause = error
      assert.isUndefined(ErrorCode.codeOf(error))
      const one: Record<string, unknown> = {}
      one["reason"] = { reason: one }
      assert.isUndefined(ErrorCode.codeOf(one))
    })
  })
})
