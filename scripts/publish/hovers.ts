/** What editors show where a user of the packed packages hovers over an option. */
import { join } from "node:path"
import { documentedCount, type Hover, hoversOf, undocumented } from "../api/hover.ts"
import { declaredBy, pairsIn } from "../api/options.ts"
import { modulesAt, open, sourceModules } from "../api/program.ts"
import { boundsOf, schemaIn } from "../referenceSchema.ts"

/** How the documentation of each option of a schema has to end, by the interface's member. */
const endings = async (): Promise<ReadonlyMap<string, string>> => {
  const pairs = await Promise.all(
    pairsIn(open(sourceModules())).map(async ({ module, schema, type }) => {
      const bounds = new Map(boundsOf(await schemaIn(module, schema)).map(({ ending, name }) => [name, ending]))
      return type.getProperties().flatMap((member): ReadonlyArray<readonly [string, string]> => {
        const name = declaredBy(member)
        const ending = bounds.get(member.name)
        return name === undefined || ending === undefined ? [] : [[name, ending]]
      })
    })
  )
  return new Map(pairs.flat())
}

/** Options without documentation, and those whose documentation does not end with the range and default of their schema. */
export const hoverProblems = (
  hovers: ReadonlyArray<Hover>,
  wanted: ReadonlyMap<string, string>
): ReadonlyArray<string> => [
  ...undocumented(hovers),
  ...hovers.flatMap(({ call, declaredBy, documentation, path }) => {
    const ending = wanted.get(declaredBy ?? "") ?? ""
    return documentation === "" || documentation.endsWith(ending)
      ? []
      : [`${call}{ ${path.join(".")} }) has to end with: ${ending}`]
  })
]

/** Looks at every option of every public function that is installed in a project. */
export const documentationProblems = async (project: string): Promise<ReadonlyArray<string>> => {
  const hovers = hoversOf(
    modulesAt((packageName, name) => join(project, "node_modules/@keelson", packageName, "dist", `${name}.d.ts`)),
    project
  )
  console.log(`   ${documentedCount(hovers)}`)
  return hoverProblems(hovers, await endings())
}
