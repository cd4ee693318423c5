/** The options that users write: every member of every options parameter of what the public modules export. */
import { dirname, posix } from "node:path"
import ts from "typescript-api"
import { documentationOf, exportsOf, type Module, ownersOf, ownModule, type Workspace } from "./program.ts"

interface Option {
  /** The path from the parameter: `["retry", "jitter"]`, or `["keys[]", "id"]` for an item of a list. */
  readonly path: ReadonlyArray<string>
  /** The interface that declares it, as in `core/RetryPolicy.Options.jitter`. */
  readonly declaredBy: string | undefined
  readonly documentation: string
}

/** One call that takes options. */
interface Taker {
  readonly module: Module
  /** How a call begins, with `m` for the module and `u` for every other argument: `m.make(`. */
  readonly before: string
  readonly options: ReadonlyArray<Option>
}

const namesOfOptions = /(?:Options|Settings|Names|Text|Input|Data|Key)$/
const namesOfParameters = /^(?:options|settings|names)$/
const maxDepth = 4

/** The object types that a value may have. */
const objectsOf = ({ checker }: Workspace, type: ts.Type): ReadonlyArray<ts.Type> => {
  const known = checker.getNonNullableType(type)
  return (known.isUnion() ? known.types : [known]).filter((one) =>
    (one.flags & ts.TypeFlags.Object) !== 0 || one.isIntersection()
  )
}

const isData = ({ checker }: Workspace, type: ts.Type): boolean =>
  !checker.isArrayType(type) && !type.isClass() && type.getCallSignatures().length === 0 &&
  type.getConstructSignatures().length === 0 && type.getProperties().length > 0

const isInline = (type: ts.Type): boolean =>
  type.symbol?.declarations?.some((node) => ts.isTypeLiteralNode(node) && ts.isParameter(node.parent)) === true

/** A checked value, the `Type` of a schema, is made by other functions: it is not for users to write. */
const isOfEffect = (type: ts.Type): boolean =>
  type.aliasSymbol === undefined &&
  type.symbol?.declarations?.some((node) => /node_modules\/effect\//.test(node.getSourceFile().fileName)) === true

const isOptions = (types: Workspace, parameter: ts.Symbol, type: ts.Type): boolean => {
  if (!isData(types, type) || isOfEffect(type)) return false
  const named = type.aliasSymbol ?? type.symbol
  return namesOfParameters.test(parameter.name) || isInline(type) ||
    (ownersOf(named).length > 0 && namesOfOptions.test(named?.name ?? ""))
}

interface Nested {
  readonly type: ts.Type
  readonly isItem: boolean
}

/** Members that are objects of ours without methods are sections; so are the items of lists. */
const sectionsOf = (types: Workspace, type: ts.Type, isItem = false): ReadonlyArray<Nested> =>
  objectsOf(types, type).flatMap((one) => {
    if (types.checker.isArrayType(one)) {
      const item = types.checker.getIndexTypeOfType(one, ts.IndexKind.Number)
      return item === undefined ? [] : sectionsOf(types, item, true)
    }
    const isMethod = (member: ts.Symbol) => types.checker.getTypeOfSymbol(member).getCallSignatures().length > 0
    const isSection = isData(types, one) && ownersOf(one.symbol).length > 0 && !one.getProperties().some(isMethod)
    return isSection ? [{ type: one, isItem }] : []
  })

/** The name of a member with its interface and module. */
export const declaredBy = (member: ts.Symbol): string | undefined => {
  const node = member.declarations?.[0]
  const [module] = ownersOf(member)
  return node !== undefined && module !== undefined && ts.isInterfaceDeclaration(node.parent)
    ? `${module}.${node.parent.name.text}.${member.name}`
    : undefined
}

/** The members of an options type, and of its sections. */
const membersOf = (
  types: Workspace,
  type: ts.Type,
  path: ReadonlyArray<string> = []
): ReadonlyArray<Option> =>
  type.getProperties().filter(({ name }) => !name.startsWith("~")).flatMap((member) => {
    const option = {
      path: [...path, member.name],
      declaredBy: declaredBy(member),
      documentation: documentationOf(types, member)
    }
    const sections = path.length + 1 < maxDepth ? sectionsOf(types, types.checker.getTypeOfSymbol(member)) : []
    return [
      option,
      ...sections.flatMap(({ isItem, type: section }) =>
        membersOf(types, section, [...path, isItem ? `${member.name}[]` : member.name])
      )
    ]
  })

const args = (signature: ts.Signature, count = signature.parameters.length): string =>
  Array.from({ length: count }, () => "u").join(", ")

/** The constructors that users may call: none of an abstract class. */
const constructorsOf = (type: ts.Type): ReadonlyArray<ts.Signature> => {
  const node = type.symbol?.valueDeclaration
  const isAbstract = node !== undefined && (ts.getCombinedModifierFlags(node) & ts.ModifierFlags.Abstract) !== 0
  return isAbstract ? [] : type.getConstructSignatures()
}

/** One call, once for each of its parameters that takes options. */
const takersBy = (types: Workspace, module: Module, call: string, signature: ts.Signature): ReadonlyArray<Taker> =>
  signature.parameters.flatMap((parameter, index) => {
    const options = objectsOf(types, types.checker.getTypeOfSymbol(parameter))
      .filter((type) => isOptions(types, parameter, type))
      .flatMap((type) => membersOf(types, type))
    const before = `${call}(${args(signature, index)}${index === 0 ? "" : ", "}`
    return options.length === 0 ? [] : [{ module, before, options }]
  })

/** The calls that an expression offers: its own, and those of what it returns or holds. */
const takersIn = (
  types: Workspace,
  module: Module,
  expression: string,
  type: ts.Type,
  depth: number
): ReadonlyArray<Taker> => {
  const signatures = [
    ...type.getCallSignatures().map((signature) => ({ signature, call: expression })),
    ...constructorsOf(type).map((signature) => ({ signature, call: `new ${expression}` }))
  ].filter(({ signature: { declaration } }) =>
    declaration !== undefined && ownModule(declaration.getSourceFile().fileName) !== undefined
  )
  const own = signatures.flatMap(({ call, signature }) => takersBy(types, module, call, signature))
  if (depth === 0) return own
  const inner = (expression: string, inside: ts.Type) => takersIn(types, module, expression, inside, depth - 1)
  const returned = signatures.filter(({ call }) => call === expression).flatMap(({ signature }) =>
    inner(`${expression}(${args(signature)})`, signature.getReturnType())
  )
  const held = type.getProperties()
    .filter((member) => ownersOf(member).length > 0 && /^\w+$/.test(member.name) && member.name !== "prototype")
    .flatMap((member) => inner(`${expression}.${member.name}`, types.checker.getTypeOfSymbol(member)))
  return [...own, ...returned, ...held]
}

/** Every call of the modules that takes options; overloads count as one. */
export const takersOf = (types: Workspace, modules: ReadonlyArray<Module>): ReadonlyArray<Taker> => {
  const all = modules.flatMap((module) =>
    exportsOf(types, module)
      .filter(({ isValue }) => isValue)
      .flatMap(({ name, symbol }) => takersIn(types, module, `m.${name}`, types.checker.getTypeOfSymbol(symbol), 3))
  )
  const merged = new Map<string, Taker>()
  for (const taker of all) {
    const key = `${taker.module.name} ${taker.before}`
    const known = merged.get(key)?.options ?? []
    const paths = new Set(known.map(({ path }) => path.join(".")))
    const added = taker.options.filter(({ path }) => !paths.has(path.join(".")) && paths.add(path.join(".")))
    merged.set(key, { ...taker, options: [...known, ...added] })
  }
  return [...merged.values()]
}

/** An interface of options and the schema that it is kept in step with. */
export interface Pair {
  /** The module of the schema, as in `core/RetryPolicy` or `jwks/internal/x`. */
  readonly module: string
  /** The name of the schema in its module. */
  readonly schema: string
  readonly type: ts.Type
}

/** The calls `Decoders.decoders<Options, typeof Schema>(Schema)` of our sources. */
export const pairsIn = ({ checker, program }: Workspace): ReadonlyArray<Pair> => {
  const found: Array<Pair> = []
  const visit = (module: string) => (node: ts.Node): void => {
    if (ts.isCallExpression(node) && /\b(?:decoders|maker)$/.test(node.expression.getText())) {
      const [options, schema] = node.typeArguments ?? []
      if (options !== undefined && schema !== undefined && ts.isTypeQueryNode(schema)) {
        const [name = "", of] = schema.exprName.getText().split(".").toReversed()
        const home = of === undefined ? module : posix.join(dirname(module), of)
        found.push({ module: home, schema: name, type: checker.getTypeFromTypeNode(options) })
      }
    }
    ts.forEachChild(node, visit(module))
  }
  for (const source of program.getSourceFiles()) {
    const module = ownModule(source.fileName)
    if (module !== undefined) visit(module)(source)
  }
  return found
}
