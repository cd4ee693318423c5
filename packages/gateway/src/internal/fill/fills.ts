import { Fill, type FillOwner, type FillPlan, type FillReader } from "./fill.ts"

/**
 * The fills in progress, at most one for each cache entry, with a budget of bytes for all. A body beyond the budget is not buffered:
 * each reader then streams it by a request of its own.
 */
export class Fills {
  readonly #fills = new Map<string, Fill>()
  readonly #ids = new Map<Fill, string>()
  readonly #owner: FillOwner
  #bytes = 0

  constructor(maxBytes: number) {
    this.#owner = {
      reserve: (bytes) => {
        if (this.#bytes + bytes > maxBytes) return false
        this.#bytes += bytes
        return true
      },
      release: (bytes) => {
        this.#bytes -= bytes
      },
      close: (fill) => {
        const id = this.#ids.get(fill)
        if (id === undefined) return
        this.#ids.delete(fill)
        this.#fills.delete(id)
      }
    }
  }
  /** The bytes of bodies that are not in the cache yet. */
  get bytes(): number {
    return this.#bytes
  }
  get size(): number {
    return this.#fills.size
  }

  /** Joins the fill of an entry, or begins it. Returns whether another reader had begun it. */
  join(id: string, plan: FillPlan, reader: FillReader): boolean {
    const running = this.#fills.get(id)
    if (running !== undefined) {
      running.join(reader)
      return true
    }
    const fill = new Fill(plan, this.#owner)
    this.#fills.set(id, fill)
    this.#ids.set(fill, id)
    fill.join(reader)
    fill.start()
    return false
  }
  /** What the running fills of these entries read is not stored, and later readers begin new fills. */
  discard(matches: (id: string) => boolean): void {
    for (const [id, fill] of Array.from(this.#fills)) {
      if (matches(id)) fill.discard()
    }
  }
}
