/** Scopes that imply others: a token with `admin` may do what `write` allows. */

/** For each scope, the scopes that it implies. */
export type ImpliedScopes = Readonly<Record<string, ReadonlyArray<string>>>

/** For each scope, all broader scopes that imply it, directly or through others. */
export type BroaderScopes = ReadonlyMap<string, ReadonlyArray<string>>

/** All scopes that a scope implies, directly or through others. Contains the scope itself only if there is a cycle. */
const allImpliedBy = (scope: string, implies: ReadonlyMap<string, ReadonlyArray<string>>): ReadonlySet<string> => {
  const found = new Set<string>()
  const open = [...implies.get(scope) ?? []]
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (found.has(next)) continue
    found.add(next)
    open.push(...implies.get(next) ?? [])
  }
  return found
}

const mapOf = (implies: ImpliedScopes) => new Map(Object.entries(implies))

/** A scope that implies itself through others. */
export const cyclicScope = (implies: ImpliedScopes): string | undefined => {
  const map = mapOf(implies)
  return Object.keys(implies).find((scope) => allImpliedBy(scope, map).has(scope))
}

/** The broader scopes of each scope. `undefined` if no scope implies another, so that checks cost nothing more. */
export const broaderScopes = (implies: ImpliedScopes | undefined): BroaderScopes | undefined => {
  if (implies === undefined) return undefined
  const map = mapOf(implies)
  const broader = new Map<string, Array<string>>()
  for (const scope of Object.keys(implies)) {
    for (const narrower of allImpliedBy(scope, map)) {
      broader.set(narrower, [...broader.get(narrower) ?? [], scope])
    }
  }
  return broader.size === 0 ? undefined : broader
}

/** Whether the scopes of a token include a scope, or a broader one. */
export const includesScope = (
  scopes: ReadonlyArray<string>,
  scope: string,
  broader: BroaderScopes | undefined
): boolean =>
  scopes.includes(scope) ||
  (broader !== undefined && broader.get(scope)?.some((name) => scopes.includes(name)) === true)
