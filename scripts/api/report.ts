/**
 * The API report of each package, packages/<name>/api.md: every exported value and type with its declaration, so that a
 * review sees each change of the surface. It is made from built declarations.
 *
 * `pnpm run api` builds and writes the reports; `node scripts/api/report.ts --check` compares them.
 */
import { join } from "node:path"
import ts from "typescript-api"
import { writeOrCheck } from "../pages.ts"
import { exportsOf, type Module, modulesAt, open, packageNames, root, type Workspace } from "./program.ts"

const printer = ts.createPrinter({ removeComments: true })

/** The members of unions in the order of their texts: the compiler's own order differs from one build to the next. */
const sortUnions = (source: ts.SourceFile): ts.TransformerFactory<ts.Node> => (context) => {
  const textOf = (node: ts.Node) => printer.printNode(ts.EmitHint.Unspecified, node, source)
  const visit = (node: ts.Node): ts.Node => {
    const inner = ts.visitEachChild(node, visit, context)
    if (!ts.isUnionTypeNode(inner)) return inner
    const members = inner.types.map((member) => ({ member, text: textOf(member) }))
    return ts.factory.createUnionTypeNode(
      members.toSorted((a, b) => a.text < b.text ? -1 : 1).map(({ member }) => member)
    )
  }
  return visit
}

const printed = (node: ts.Node): string => {
  const source = node.getSourceFile()
  const [sorted = node] = ts.transform(node, [sortUnions(source)]).transformed
  return printer.printNode(ts.EmitHint.Unspecified, sorted, source)
}

/** The statement of a declaration: the whole `export declare const` of a variable. */
const statementOf = (node: ts.Node): ts.Node => ts.isVariableDeclaration(node) ? node.parent.parent : node

/** The declaration that a class extends, which holds its fields or the shape of its service, if it is in the same file. */
const baseOf = (node: ts.Node): ts.Node | undefined => {
  if (!ts.isClassDeclaration(node)) return undefined
  const base = node.heritageClauses?.[0]?.types[0]?.expression.getText()
  return node.getSourceFile().statements.find((statement) =>
    ts.isVariableStatement(statement) && statement.declarationList.declarations[0]?.name.getText() === base
  )
}

interface Surface {
  readonly module: Module
  readonly values: number
  readonly types: number
  /** Declarations in the order of their names, then what they use and the module does not export. */
  readonly declarations: ReadonlyArray<string>
}

/** What one module exports. */
export const surfaceOf = (types: Workspace, module: Module): Surface => {
  const exported = exportsOf(types, module).toSorted((a, b) => a.name < b.name ? -1 : 1)
  const nodes = new Set(exported.flatMap(({ symbol }) => (symbol.declarations ?? []).map(statementOf)))
  const source = types.program.getSourceFile(module.file)
  const used =
    source?.statements.filter((node) =>
      !nodes.has(node) && !ts.isImportDeclaration(node) && !ts.isExportDeclaration(node)
    ) ?? []
  const bases = [...nodes].map(baseOf).filter((base): base is ts.Node =>
    base !== undefined && base.getSourceFile() !== source
  )
  const values = exported.filter(({ isValue }) => isValue).length
  return {
    module,
    values,
    types: exported.length - values,
    declarations: [...new Set([...nodes, ...used, ...bases])].map(printed)
  }
}

const page = (packageName: string, surfaces: ReadonlyArray<Surface>): string => {
  const count = (of: "types" | "values") => surfaces.reduce((sum, surface) => sum + surface[of], 0)
  return [
    `# API of @keelson/${packageName}`,
    "",
    "Made by `pnpm run api` from the built declarations; not edited by hand.",
    "",
    `${count("values")} values and ${count("types")} types in ${surfaces.length} modules.`,
    ...surfaces.flatMap(({ declarations, module }) => ["", `## ${module.name}`, "", "```ts", ...declarations, "```"]),
    ""
  ].join("\n")
}

if (import.meta.main) {
  const modules = modulesAt((packageName, name) => join(root, "packages", packageName, "dist", `${name}.d.ts`))
  const types = open(modules)
  const surfaces = modules.map((module) => surfaceOf(types, module))
  const reports = packageNames.map((name) => {
    const own = surfaces.filter(({ module }) => module.name.startsWith(`@keelson/${name}/`))
    return [`packages/${name}/api.md`, page(name, own)] as const
  })
  writeOrCheck(new Map(reports), "pnpm run api")
  console.log(`${surfaces.reduce((sum, { values }) => sum + values, 0)} public values`)
}
