/** Finds public names without a hover text in editors. */

import { relative } from 'node:path'
import ts from 'typescript'

/** 'LimiterStats.parked (src/limiter/limiter-stats.ts:20)' for each exported symbol, and each member, without a doc comment. */
export function undocumented(root: string, files: readonly string[]): string[] {
  const config = ts.readConfigFile(`${root}/tsconfig.json`, (path) => ts.sys.readFile(path)).config as object
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root)
  const program = ts.createProgram([...files], { ...options, noEmit: true })
  const checker = program.getTypeChecker()
  const found = new Set<string>()

  const told = (symbol: ts.Symbol) => symbol.getDocumentationComment(checker).length > 0
  const check = (symbol: ts.Symbol, name: string) => {
    const declaration = symbol.declarations?.[0]
    const file = declaration?.getSourceFile().fileName ?? ''
    if (!declaration || !file.startsWith(`${root}/src/`)) return false
    if (ts.getJSDocTags(declaration).some(({ tagName }) => tagName.text === 'internal')) return false
    if (!told(symbol)) {
      const { line } = ts.getLineAndCharacterOfPosition(declaration.getSourceFile(), declaration.getStart())
      found.add(`${name} (${relative(root, file)}:${line + 1})`)
    }
    return true
  }
  const isMember = (symbol: ts.Symbol) =>
    !symbol.name.startsWith('#') &&
    !symbol.name.startsWith('__') &&
    !(ts.getCombinedModifierFlags(symbol.declarations![0] as ts.Declaration) & ts.ModifierFlags.Private)

  for (const file of files) {
    const module = checker.getSymbolAtLocation(program.getSourceFile(file)!)!
    for (const exported of checker.getExportsOfModule(module)) {
      const symbol = exported.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(exported) : exported
      if (!check(symbol, symbol.name)) continue
      for (const member of symbol.members?.values() ?? [])
        if (
          member.declarations &&
          isMember(member) &&
          member.flags & (ts.SymbolFlags.Property | ts.SymbolFlags.Method | ts.SymbolFlags.Accessor)
        )
          check(member, `${symbol.name}.${member.name}`)
    }
  }
  return [...found]
}
