import type { McpOptions } from "../../McpSecurity.ts"
import type { Scopes } from "../http/scopes.ts"

/** What a request may need: scopes, nothing, or what nobody has. */
export type Requirement = { readonly _tag: "Scopes"; readonly scopes: ReadonlyArray<string> } | {
  readonly _tag: "Denied"
}

const denied: Requirement = { _tag: "Denied" }

const together = (...lists: ReadonlyArray<ReadonlyArray<string>>): ReadonlyArray<string> => [...new Set(lists.flat())]

/** Whether a caller has a scope, or one that implies it. */
interface Caller {
  readonly hasScope: (scope: string) => boolean
}

/** The scopes that the tools of a server need. Those of every request are among them. */
export class ToolRules {
  /** What every request needs. */
  readonly base: Requirement
  readonly #tools: ReadonlyMap<string, Requirement>
  readonly #others: Requirement
  readonly #listsForbidden: boolean

  constructor({ hideForbiddenTools, scopes, tools, unlistedTools }: McpOptions) {
    this.base = { _tag: "Scopes", scopes }
    this.#tools = new Map(
      Object.entries(tools).map(([name, own]) => [name, { _tag: "Scopes", scopes: together(scopes, own) }])
    )
    this.#others = unlistedTools === "deny" ? denied : this.base
    this.#listsForbidden = !hideForbiddenTools
  }
  /** What a call of a tool needs. */
  requirementOf(tool: string): Requirement {
    return this.#tools.get(tool) ?? this.#others
  }
  /** Whether a caller may call a tool. */
  allows(caller: Caller, tool: string): boolean {
    return isMet(this.requirementOf(tool), caller)
  }
  /** Whether a tool is in the list that a caller gets. */
  lists(caller: Caller, tool: string): boolean {
    const requirement = this.requirementOf(tool)
    return requirement._tag === "Scopes" && (this.#listsForbidden || isMet(requirement, caller))
  }
}

/** What several calls need together. */
export const all = (requirements: ReadonlyArray<Requirement>): Requirement => {
  const scopes: Array<ReadonlyArray<string>> = []
  for (const requirement of requirements) {
    if (requirement._tag === "Denied") return denied
    scopes.push(requirement.scopes)
  }
  return { _tag: "Scopes", scopes: together(...scopes) }
}

/** Whether a caller has what is needed. */
export const isMet = (requirement: Requirement, caller: Caller): boolean =>
  requirement._tag === "Scopes" && requirement.scopes.every((scope) => caller.hasScope(scope))

/** The scopes of a requirement that is not met; `undefined` where no scope helps. */
export const missingScopes = (requirement: Requirement): Scopes | undefined => {
  if (requirement._tag === "Denied") return undefined
  const [first, ...rest] = requirement.scopes
  return first === undefined ? undefined : [first, ...rest]
}
