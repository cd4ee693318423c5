/**
 * Names of an older format of options, which are read as the current ones.
 */
import * as Predicate from "effect/Predicate"

/** What an older name means. */
export interface Alias {
  /** The current name, in the same section. */
  readonly name: string
  /** The unit of its values, which were plain numbers. Default: the value is as it is now. */
  readonly unit?: "MiB" | "GiB" | "seconds" | undefined
}

/** Older names, with the current names of the sections they are in: `memory.max_item_size_mb`. `*` stands for any section. */
export type Aliases = Readonly<Record<string, Alias>>

const isNumber = (value: unknown): boolean =>
  typeof value === "number" || (typeof value === "string" && /^\s*-?\d+(?:\.\d+)?\s*$/.test(value))

const withUnit = (value: unknown, { unit }: Alias): unknown =>
  unit !== undefined && isNumber(value) ? `${String(value).trim()} ${unit}` : value

/**
 * Replaces older names in data that is not decoded yet. A second name of the same option stays: it is refused as unknown, since which
 * of the two was meant is not known.
 */
export const rename = (aliases: Aliases) => {
  const find = (section: ReadonlyArray<string>, key: string): Alias | undefined => {
    const own = [...section, key].join(".")
    if (Object.hasOwn(aliases, own)) return aliases[own]
    const general = [...section.slice(0, -1), "*", key].join(".")
    return section.length > 0 && Object.hasOwn(aliases, general) ? aliases[general] : undefined
  }
  const renamed = (data: unknown, section: ReadonlyArray<string>): unknown => {
    if (!Predicate.isObject(data) || Array.isArray(data) || Object.getPrototypeOf(data) !== Object.prototype) {
      return data
    }
    const entries = new Map<string, unknown>()
    for (const [key, value] of Object.entries(data)) {
      const alias = find(section, key)
      if (alias === undefined || Object.hasOwn(data, alias.name) || entries.has(alias.name)) {
        entries.set(key, renamed(value, [...section, key]))
      } else entries.set(alias.name, renamed(withUnit(value, alias), [...section, alias.name]))
    }
    return Object.fromEntries(entries)
  }
  return (data: unknown): unknown => renamed(data, [])
}
