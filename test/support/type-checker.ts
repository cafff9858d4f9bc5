// Checks the types of a source file as if its text were another one.
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** A function that returns the type errors of the file at `path` if it had this text. Later calls reuse its work. */
export function typeChecker(): (path: string, text: string) => string[] {
  const { config } = ts.readConfigFile(`${ROOT}tsconfig.json`, ts.sys.readFile) as { config: object }
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, ROOT)
  // A rule that is gone may leave a constant behind that nothing uses.
  const settings = { ...options, noUnusedLocals: false, noUnusedParameters: false }
  let changed = { path: '', text: '', version: 0 }
  const service = ts.createLanguageService({
    ...ts.sys,
    useCaseSensitiveFileNames: () => ts.sys.useCaseSensitiveFileNames,
    getCurrentDirectory: () => ROOT,
    getCompilationSettings: () => settings,
    getDefaultLibFileName: ts.getDefaultLibFilePath,
    getScriptFileNames: () => [changed.path],
    getScriptVersion: (path) => (path === changed.path ? String(changed.version) : ''),
    getScriptSnapshot(path) {
      const text = path === changed.path ? changed.text : ts.sys.readFile(path)
      return text === undefined ? undefined : ts.ScriptSnapshot.fromString(text)
    },
  })
  return (path, text) => {
    changed = { path, text, version: changed.version + 1 }
    return service
      .getSemanticDiagnostics(path)
      .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' '))
  }
}
