import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"

/**
 * The scope of one execution within the scope of its caller. What an execution acquires is released with the execution if
 * another one wins, and with the caller's scope if the execution is kept.
 *
 * It adds a finalizer to the caller's scope only while it has finalizers itself, so that calls without resources do not
 * accumulate in a scope that stays open.
 */
export class ExecutionScope {
  readonly scope: Scope.Closeable
  readonly #parent: Scope.Scope
  #isKept = false
  /** The child of the caller's scope that closes this scope. */
  #link: Scope.Closeable | undefined

  constructor(parent: Scope.Scope) {
    this.#parent = parent
    let state: Scope.Scope["state"] = { _tag: "Empty" }
    const changed = (): void => this.#update(state)
    this.scope = Object.defineProperty(Scope.makeUnsafe(parent.strategy), "state", {
      get: () => state,
      set(next: Scope.Scope["state"]) {
        state = next
        changed()
      }
    })
  }

  /** Leaves what was acquired, and what will be, to the caller's scope. */
  keep(): void {
    this.#isKept = true
    this.#update(this.scope.state)
  }

  #update({ _tag }: Scope.Scope["state"]): void {
    if (!this.#isKept) return
    if (_tag === "Open") this.#attach()
    else this.#detach()
  }

  #attach(): void {
    const link = Scope.forkUnsafe(this.#parent)
    this.#link = link
    // Runs at once if the caller's scope is closed already.
    Effect.runFork(Scope.addFinalizerExit(link, (exit) => {
      this.#link = undefined
      return Scope.close(this.scope, exit)
    }))
  }

  #detach(): void {
    const link = this.#link
    if (link === undefined) return
    this.#link = undefined
    Scope.closeUnsafe(link, Exit.void)
  }
}
