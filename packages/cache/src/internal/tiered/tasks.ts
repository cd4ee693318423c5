import type { CacheKey } from "../../CacheKey.ts"

/** Work on one key. It is superseded when the key is written or deleted before it runs, or cleared before it ends. */
export interface Task {
  readonly key: CacheKey
  isCurrent: boolean
}

/** The work in progress, by key. */
export class Tasks {
  readonly #tasks = new Map<string, Set<Task>>()

  /** The number of keys with work. */
  get size(): number {
    return this.#tasks.size
  }
  has(key: CacheKey): boolean {
    return this.#tasks.has(key.id)
  }
  begin(key: CacheKey): Task {
    const task: Task = { key, isCurrent: true }
    const tasks = this.#tasks.get(key.id)
    if (tasks === undefined) this.#tasks.set(key.id, new Set([task]))
    else tasks.add(task)
    return task
  }
  end(task: Task): void {
    const tasks = this.#tasks.get(task.key.id)
    tasks?.delete(task)
    if (tasks?.size === 0) this.#tasks.delete(task.key.id)
  }
  /** Supersedes the other work on the key of a task, which has just been done. */
  supersedeOthers(done: Task): void {
    for (const task of this.#tasks.get(done.key.id) ?? []) {
      if (task !== done) task.isCurrent = false
    }
  }
  /** Supersedes all work, or that on the keys of a bucket. */
  supersedeAll(bucket: string | undefined): void {
    for (const tasks of this.#tasks.values()) {
      for (const task of tasks) {
        if (bucket === undefined || task.key.bucket === bucket) task.isCurrent = false
      }
    }
  }
}
