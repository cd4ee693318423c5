import type * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Predicate from "effect/Predicate"
import * as SchemaAST from "effect/SchemaAST"
import * as Text from "effect/String"
import { ConfigurationError } from "../../KeelsonError.ts"
import * as InvalidConfig from "../../unstable/InvalidConfig.ts"

type Path = ReadonlyArray<string>
interface Leaf {
  readonly path: Path
  readonly list: boolean
}
interface Setting {
  readonly path: ReadonlyArray<string | number>
  readonly value: string
}

/** Every path of the schema that can hold a value. */
const leaves = (ast: SchemaAST.AST, path: Path): ReadonlyArray<Leaf> => {
  switch (ast._tag) {
    case "Objects":
      return ast.propertySignatures.flatMap((property) => leaves(property.type, [...path, String(property.name)]))
    case "Union":
      return ast.types.flatMap((member) => leaves(member, path))
    case "Arrays":
      return [{ path, list: true }]
    default:
      return [{ path, list: false }]
  }
}

const variable = (path: ReadonlyArray<string | number>): string =>
  path.map((segment) => Text.constantCase(String(segment))).join("_")

/** Upper bound of the indexes of lists. The highest index in the names of a list's variables determines its length. */
const maxItems = 1_000

const tooLong = (path: ReadonlyArray<string | number>) =>
  InvalidConfig.option(path.join("."), `a list of at most ${maxItems} items`)

/** Every value of the provider below a path. */
const settings = (
  provider: ConfigProvider.ConfigProvider,
  path: ReadonlyArray<string | number>
): Effect.Effect<ReadonlyArray<Setting>, ConfigurationError> =>
  Effect.flatMap(Effect.mapError(provider.load(path), InvalidConfig.unreadableSource), (node) => {
    if (node === undefined) return Effect.succeed([])
    if (node._tag === "Array" && node.length > maxItems) return Effect.fail(tooLong(path))
    const own = node.value === undefined ? [] : [{ path, value: node.value }]
    const children: ReadonlyArray<string | number> = node._tag === "Record"
      ? [...node.keys]
      : node._tag === "Array"
      ? Array.from({ length: node.length }, (_, index) => index)
      : []
    return Effect.map(
      Effect.forEach(children, (child) => settings(provider, [...path, child])),
      (below) => [...own, ...below.flat()]
    )
  })

const assign = (tree: Record<string, unknown>, path: Path, value: unknown): void => {
  const [head = "", ...rest] = path
  if (rest.length === 0) {
    tree[head] = value
    return
  }
  const below: Record<string, unknown> = Predicate.isObject(tree[head]) ? tree[head] : {}
  tree[head] = below
  assign(below, rest, value)
}

const named = (all: ReadonlyArray<Setting>, depth: number) =>
  all.map(({ path, value }) => ({ name: variable(path.slice(depth)), value }))

/**
 * The provider's values below a path as a tree with the names of the schema: `MAX_ATTEMPTS`, `max_attempts` and `maxAttempts`
 * are one option. A value that belongs to no option keeps its own name, so that decoding rejects it.
 */
export const readEnvironment = Effect.fnUntraced(function*(
  ast: SchemaAST.AST,
  provider: ConfigProvider.ConfigProvider,
  path: Path
): Effect.fn.Return<unknown, ConfigurationError> {
  const known = new Map(leaves(SchemaAST.toEncoded(ast), []).map((leaf) => [variable(leaf.path), leaf]))
  // A provider of the environment splits names at each underscore: `objectStore` is `STORE` below `OBJECT`.
  const constant = path.flatMap((segment) => Text.constantCase(segment).split("_"))
  const own = named(yield* settings(provider, path), path.length)
  const upper = named(yield* settings(provider, constant), constant.length)
  // A provider that maps case returns the same value twice. A different value is kept, and rejected as a second name of the option.
  const values = [...own, ...upper.filter(({ name, value }) => !own.some((o) => o.name === name && o.value === value))]
  if (values.length === 0) {
    const key = path.join(".")
    return yield* new ConfigurationError({
      code: "CONFIG_MISSING",
      message: `The environment has no ${variable(path)}_... variable`,
      details: { missing_key: key }
    })
  }
  const tree: Record<string, unknown> = {}
  const lists = new Map<Leaf, Array<string>>()
  const whole = new Set<Leaf>()
  for (const { name, value } of values) {
    const leaf = known.get(name)
    const item = known.get(name.replace(/_\d+$/, ""))
    // An option that is set under two names is rejected, since one of the values would be lost.
    if (leaf !== undefined && whole.has(leaf)) assign(tree, [name], value)
    else if (leaf !== undefined) {
      whole.add(leaf)
      assign(tree, leaf.path, leaf.list ? value.split(",").map((entry) => entry.trim()) : value)
      // An item next to the whole list is rejected, since one of the two would be lost.
    } else if (item?.list === true && !whole.has(item)) lists.set(item, [...(lists.get(item) ?? []), value])
    else assign(tree, [name], value)
  }
  for (const [leaf, items] of lists) assign(tree, leaf.path, items)
  return tree
})
