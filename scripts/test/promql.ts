/** What a PromQL expression names: metrics with the labels that are matched on them, and all labels that it mentions. */
import type { SyntaxNode } from "@lezer/common"
import { parser } from "@prometheus-io/lezer-promql"

interface Selector {
  readonly metric: string
  readonly labels: ReadonlyArray<string>
  /** The range that it looks back on, as written. */
  readonly range: string | undefined
}

interface Parsed {
  readonly errors: ReadonlyArray<string>
  readonly selectors: ReadonlyArray<Selector>
  /** Labels of `by`, `on`, `group_left` and their like. */
  readonly grouping: ReadonlyArray<string>
}

const below = (node: SyntaxNode, name: string): ReadonlyArray<SyntaxNode> => {
  const found: Array<SyntaxNode> = []
  node.cursor().iterate((child) => {
    if (child.name === name) found.push(child.node)
  })
  return found
}

/** Grafana writes variables into its expressions. */
const withoutVariables = (expression: string): string => expression.replaceAll("$__rate_interval", "5m")

export const parsePromql = (written: string): Parsed => {
  const expression = withoutVariables(written)
  const text = ({ from, to }: { readonly from: number; readonly to: number }) => expression.slice(from, to)
  const tree = parser.parse(expression).topNode
  const errors: Array<string> = []
  tree.cursor().iterate((node) => {
    if (node.type.isError) errors.push(`${expression.slice(0, node.from)}<here>${expression.slice(node.from)}`)
  })
  return {
    errors,
    selectors: below(tree, "VectorSelector").map((selector) => ({
      metric: text(selector.getChild("Identifier") ?? selector),
      labels: below(selector, "LabelName").map(text),
      range: selector.parent?.name === "MatrixSelector"
        ? below(selector.parent, "DurationExpr").map(text).at(0)
        : undefined
    })),
    grouping: below(tree, "GroupingLabels").flatMap((labels) => below(labels, "LabelName").map(text))
  }
}
