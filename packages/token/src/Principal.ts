/**
 * The authenticated caller: the claims of a validated token, and checks of its scopes and roles.
 *
 * Each application has its own tag for the principal, so that handlers get claims of its type. A principal does not contain
 * the token's text, and shows nothing when it is logged.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Inspectable from "effect/Inspectable"
import * as Predicate from "effect/Predicate"
import type * as Claims from "./Claims.ts"
import type { Forbidden } from "./HttpSecurityError.ts"
import { defaultProtectionSpace, type ProtectionSpace } from "./internal/http/challenge.ts"
import { type Rejector, rejectorOf } from "./internal/http/rejector.ts"
import { includesScope } from "./internal/http/scopeHierarchy.ts"
import { checkScopes, type Scopes } from "./internal/http/scopes.ts"
import { stringsOf } from "./internal/validation/claims.ts"
import type { Validated } from "./TokenValidator.ts"

export type { ProtectionSpace } from "./internal/http/challenge.ts"
export type { Scopes } from "./internal/http/scopes.ts"

/** What a principal consists of. */
export interface PrincipalState<C> extends Validated<C> {
  readonly roles: ReadonlyArray<string>
  readonly space: ProtectionSpace
}

/** The authenticated caller. It has getters only, and no fields that loggers and inspectors could show. */
export class Principal<C> {
  readonly #state: PrincipalState<C>
  #rejector: Rejector | undefined

  constructor(state: PrincipalState<C>) {
    this.#state = state
  }
  get #rejects(): Rejector {
    return this.#rejector ??= rejectorOf(this.#state.space)
  }
  /** The token's claims, decoded by the claims schema. */
  get claims(): C {
    return this.#state.claims
  }
  /** The registered claims, in the same form for all tokens. */
  get registered(): Claims.Registered {
    return this.#state.registered
  }
  /** The caller's roles; see the option `roles` of `Service`. */
  get roles(): ReadonlyArray<string> {
    return this.#state.roles
  }
  /** `iss`. A subject is only unique at its issuer. */
  get issuer(): string {
    return this.registered.iss
  }
  /** `sub`, if the token has one. */
  get subject(): string | undefined {
    return this.registered.sub
  }
  /** `client_id`, if the token has one. */
  get clientId(): string | undefined {
    return this.registered.client_id
  }
  /** The scopes of the token, without those that they imply. */
  get scopes(): ReadonlySet<string> {
    return new Set(this.registered.scopes)
  }
  /** Whether the token has a scope, or one that implies it by the option `implies` of the API. */
  hasScope(scope: string): boolean {
    return includesScope(this.registered.scopes, scope, this.#state.space.broader)
  }
  /** Whether the caller has a role. */
  hasRole(role: string): boolean {
    return this.roles.includes(role)
  }
  /** Rejects the caller with `Forbidden`: a 403. */
  get deny(): Effect.Effect<never, Forbidden> {
    return Effect.suspend(() => this.#rejects.denied)
  }
  /**
   * Rejects the caller with `Forbidden`, a 403 that names the missing scopes. Throws `ConfigurationError` (`INVALID_CONFIG`)
   * for text that is not a scope.
   */
  denyScopes(...scopes: Scopes): Effect.Effect<never, Forbidden> {
    const checked = checkScopes(scopes)
    return Effect.suspend(() => this.#rejects.scopesMissing(checked))
  }
  /** Without claims, which are personal data and do not belong in logs. */
  toJSON(): unknown {
    return { _id: "Principal" }
  }
  [Inspectable.NodeInspectSymbol](): unknown {
    return this.toJSON()
  }
}

/** One or more roles. */
export type Roles = readonly [string, ...ReadonlyArray<string>]

/** Options of `Service`. */
export interface ServiceOptions<C> {
  /** Returns the roles in the claims. Default: `roles` (RFC 9068, 2.2.3.1), as text or an array of strings. */
  readonly roles?: ((claims: C) => ReadonlyArray<string>) | undefined
}

/** The tag of a principal, with checks. Each check returns the principal, or fails with `Forbidden`. */
export interface ServiceClass<Self, Id extends string, C> extends Context.ServiceClass<Self, Id, Principal<C>> {
  /** Makes the principal of a validated token, for example in a test. `space` is the realm and metadata URL of its challenges. */
  readonly fromValidated: (validated: Validated<C>, space?: ProtectionSpace) => Principal<C>
  /**
   * Requires that the token has all of these scopes. Throws `ConfigurationError` (`INVALID_CONFIG`) for text that is not a
   * scope (RFC 6749, 3.3), and for more than 64 scopes.
   */
  readonly requireScopes: (...scopes: Scopes) => Effect.Effect<Principal<C>, Forbidden, Self>
  /** Requires that the token has one of these scopes. Throws as `requireScopes` does. */
  readonly requireAnyScope: (...scopes: Scopes) => Effect.Effect<Principal<C>, Forbidden, Self>
  /** Requires that the caller has all of these roles. The response does not name them. */
  readonly requireRoles: (...roles: Roles) => Effect.Effect<Principal<C>, Forbidden, Self>
  /** Requires that the caller has one of these roles. */
  readonly requireAnyRole: (...roles: Roles) => Effect.Effect<Principal<C>, Forbidden, Self>
  /** Requires that a predicate holds for the principal. */
  readonly require: (predicate: (principal: Principal<C>) => boolean) => Effect.Effect<Principal<C>, Forbidden, Self>
}

const rolesClaim = (claims: unknown): ReadonlyArray<string> =>
  Predicate.hasProperty(claims, "roles") ? stringsOf(claims.roles) ?? [] : []

type Check<C> = (principal: Principal<C>) => boolean
type Reject<C> = (principal: Principal<C>) => Effect.Effect<never, Forbidden>

const requireThat = <Self, C>(
  tag: Context.Service<Self, Principal<C>>,
  check: Check<C>,
  reject: Reject<C> = ({ deny }) => deny
): Effect.Effect<Principal<C>, Forbidden, Self> =>
  Effect.flatMap(tag, (principal) => check(principal) ? Effect.succeed(principal) : reject(principal))

/**
 * Creates the tag of a principal with claims of one type.
 *
 * **Example** (Requiring a scope in a handler)
 *
 * ```ts import.meta.vitest
 * import { type Claims, Principal } from "@keelson/token"
 * import { Effect } from "effect"
 *
 * class Caller extends Principal.Service<Caller, Claims.AccessToken>()("app/Caller") {}
 *
 * const deleteReport = Effect.fn("deleteReport")(function*(id: string) {
 *   const caller = yield* Caller.requireScopes("reports:write")
 *   return `${id} deleted by ${caller.clientId}`
 * })
 *
 * const registered = {
 *   iss: "https://idp.example", sub: "ada", aud: ["api"], exp: 2000000000, nbf: undefined, iat: 1, jti: "1",
 *   sid: undefined, client_id: "web", cnf: undefined, scope: "reports:read", scopes: ["reports:read"]
 * }
 * const claims = { iss: registered.iss, sub: "ada", aud: "api", exp: 2000000000, iat: 1, jti: "1", client_id: "web" }
 * const caller = Caller.fromValidated({ claims, registered })
 *
 * const rejected = Effect.flip(deleteReport("report-1")).pipe(Effect.provideService(Caller, caller))
 * Effect.runSync(rejected).scopes // => ["reports:write"]
 * ```
 */
export const Service =
  <Self, C>() =>
  <const Id extends string>(id: Id, { roles = rolesClaim }: ServiceOptions<C> = {}): ServiceClass<Self, Id, C> =>
    class Tag extends Context.Service<Self, Principal<C>>()(id) {
      static readonly fromValidated = (validated: Validated<C>, space: ProtectionSpace = defaultProtectionSpace) =>
        new Principal({ ...validated, roles: roles(validated.claims), space })
      static readonly requireScopes = (...scopes: Scopes) => {
        const all = checkScopes(scopes)
        return requireThat(
          Tag,
          (principal) => all.every((scope) => principal.hasScope(scope)),
          (principal) => principal.denyScopes(...all)
        )
      }
      static readonly requireAnyScope = (...scopes: Scopes) => {
        const any = checkScopes(scopes)
        // All scopes in a challenge are required together (RFC 6750, 3): therefore it names the first one alone.
        return requireThat(
          Tag,
          (principal) => any.some((scope) => principal.hasScope(scope)),
          (principal) => principal.denyScopes(any[0])
        )
      }
      static readonly requireRoles = (...all: Roles) =>
        requireThat(Tag, (principal) => all.every((role) => principal.hasRole(role)))
      static readonly requireAnyRole = (...any: Roles) =>
        requireThat(Tag, (principal) => any.some((role) => principal.hasRole(role)))
      static readonly require = (predicate: Check<C>) => requireThat(Tag, predicate)
    }
