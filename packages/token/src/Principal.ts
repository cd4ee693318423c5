/**
 * Who calls: the claims of a token that was validated, and what they allow.
 *
 * A principal is a tag of an application's own, so that handlers get claims of its type. Nothing of the token's text is in
 * it, and it shows nothing of itself where it is logged.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Inspectable from "effect/Inspectable"
import * as Predicate from "effect/Predicate"
import type * as Claims from "./Claims.ts"
import type { Forbidden } from "./HttpSecurityError.ts"
import { defaultProtection, isScope, type Protection } from "./internal/http/challenge.ts"
import { denied, scopesLacking } from "./internal/http/refusals.ts"
import type { Validated } from "./TokenValidator.ts"

export type { Protection } from "./internal/http/challenge.ts"

/** What a principal is made of. */
export interface Parts<C> extends Validated<C> {
  readonly roles: ReadonlyArray<string>
  /** What challenges say of the API. */
  readonly protection: Protection
}

/** Who calls. It has getters alone, and no field of its own: loggers and inspectors find nothing to show. */
export class Principal<C> {
  readonly #parts: Parts<C>

  constructor(parts: Parts<C>) {
    this.#parts = parts
  }
  /** What the claims schema made of the token's claims. */
  get claims(): C {
    return this.#parts.claims
  }
  /** The registered claims, in one form for all tokens. */
  get registered(): Claims.Registered {
    return this.#parts.registered
  }
  /** The roles, of the claim that the tag names. */
  get roles(): ReadonlyArray<string> {
    return this.#parts.roles
  }
  /** Who vouches for the caller: `iss`. A subject means something at its issuer only. */
  get issuer(): string {
    return this.registered.iss
  }
  /** `sub`, where the token has one. */
  get subject(): string | undefined {
    return this.registered.sub
  }
  /** `client_id`, where the token has one. */
  get clientId(): string | undefined {
    return this.registered.client_id
  }
  /** The scopes that the token was issued with. */
  get scopes(): ReadonlySet<string> {
    return new Set(this.registered.scopes)
  }
  /** Whether the token was issued with a scope. */
  hasScope(scope: string): boolean {
    return this.registered.scopes.includes(scope)
  }
  /** Whether the caller has a role. */
  hasRole(role: string): boolean {
    return this.roles.includes(role)
  }
  /** Refuses the caller with `Forbidden`: a 403. */
  get deny(): Effect.Effect<never, Forbidden> {
    return Effect.suspend(() => Effect.fail(denied(this.#parts.protection)))
  }
  /** Refuses the caller for want of scopes, which are named to it: a 403. Throws a `TypeError` for what can't be a scope. */
  denyScopes(...scopes: NonEmpty): Effect.Effect<never, Forbidden> {
    const all = checkedScopes(scopes)
    return Effect.suspend(() => Effect.fail(scopesLacking(this.#parts.protection, all)))
  }
  /** Nothing: claims are personal, and logs are not the place for them. */
  toJSON(): unknown {
    return { _id: "Principal" }
  }
  [Inspectable.NodeInspectSymbol](): unknown {
    return this.toJSON()
  }
}

/** One or more names. */
export type NonEmpty = readonly [string, ...ReadonlyArray<string>]

/** What a tag is made with. */
export interface ServiceOptions<C> {
  /** Where the claims have the roles. Default: `roles` (RFC 9068, 2.2.3.1), where it is a list of text. */
  readonly roles?: ((claims: C) => ReadonlyArray<string>) | undefined
}

/** The tag of a principal, with its guards: each gives the principal, or fails with `Forbidden`. */
export interface ServiceClass<Self, Id extends string, C> extends Context.ServiceClass<Self, Id, Principal<C>> {
  /** The principal of a validated token, as a test may make one; `protection` is what its challenges say of the API. */
  readonly fromValidated: (validated: Validated<C>, protection?: Protection) => Principal<C>
  /** The token has all of these scopes. Throws a `TypeError` for what can't be a scope (RFC 6749, 3.3). */
  readonly requireScopes: (...scopes: NonEmpty) => Effect.Effect<Principal<C>, Forbidden, Self>
  /** The token has one of these scopes. */
  readonly requireAnyScope: (...scopes: NonEmpty) => Effect.Effect<Principal<C>, Forbidden, Self>
  /** The caller has all of these roles, which a refusal does not name. */
  readonly requireRoles: (...roles: NonEmpty) => Effect.Effect<Principal<C>, Forbidden, Self>
  /** The caller has one of these roles. */
  readonly requireAnyRole: (...roles: NonEmpty) => Effect.Effect<Principal<C>, Forbidden, Self>
  /** The caller is as a predicate wants it. */
  readonly require: (predicate: (principal: Principal<C>) => boolean) => Effect.Effect<Principal<C>, Forbidden, Self>
}

const isText = (u: unknown): u is ReadonlyArray<string> => Array.isArray(u) && u.every(Predicate.isString)

const rolesClaim = (claims: unknown): ReadonlyArray<string> =>
  Predicate.hasProperty(claims, "roles") && isText(claims.roles) ? claims.roles : []

/** The scopes, which some token could have. Throws a `TypeError` for others: a guard by them would let nobody pass. */
export const checkedScopes = (scopes: NonEmpty): NonEmpty => {
  const wrong = scopes.find((scope) => !isScope(scope))
  if (wrong !== undefined || scopes.length > 64) {
    throw new TypeError("A guard takes up to 64 scopes, each without spaces, quotes and backslashes (RFC 6749, 3.3)")
  }
  return scopes
}

type Check<C> = (principal: Principal<C>) => boolean
type Refuse<C> = (principal: Principal<C>) => Effect.Effect<never, Forbidden>

const guard = <Self, C>(
  tag: Context.Service<Self, Principal<C>>,
  allows: Check<C>,
  refuse: Refuse<C> = ({ deny }) => deny
): Effect.Effect<Principal<C>, Forbidden, Self> =>
  Effect.flatMap(tag, (caller) => allows(caller) ? Effect.succeed(caller) : refuse(caller))

/**
 * The tag of a principal with claims of one type: `class Caller extends Principal.Service<Caller, MyClaims>()("app/Caller") {}`.
 */
export const Service =
  <Self, C>() =>
  <const Id extends string>(id: Id, { roles = rolesClaim }: ServiceOptions<C> = {}): ServiceClass<Self, Id, C> =>
    class Tag extends Context.Service<Self, Principal<C>>()(id) {
      static readonly fromValidated = (validated: Validated<C>, protection: Protection = defaultProtection) =>
        new Principal({ ...validated, roles: roles(validated.claims), protection })
      static readonly requireScopes = (...scopes: NonEmpty) => {
        const all = checkedScopes(scopes)
        return guard(
          Tag,
          (caller) => all.every((scope) => caller.hasScope(scope)),
          (caller) => caller.denyScopes(...all)
        )
      }
      static readonly requireAnyScope = (...scopes: NonEmpty) => {
        const any = checkedScopes(scopes)
        // A challenge lists what is needed all together (RFC 6750, 3): the first choice is named.
        return guard(
          Tag,
          (caller) => any.some((scope) => caller.hasScope(scope)),
          (caller) => caller.denyScopes(any[0])
        )
      }
      static readonly requireRoles = (...all: NonEmpty) =>
        guard(Tag, (caller) => all.every((role) => caller.hasRole(role)))
      static readonly requireAnyRole = (...any: NonEmpty) =>
        guard(Tag, (caller) => any.some((role) => caller.hasRole(role)))
      static readonly require = (predicate: Check<C>) => guard(Tag, predicate)
    }
